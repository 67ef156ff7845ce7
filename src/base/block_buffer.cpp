#include "base/block_buffer.h"

#include <new>

#include "base/bytes.h"

namespace pajamas {

std::span<std::byte> BlockBuffer::place(std::uint64_t offset, std::uint64_t size) {
  const std::uint64_t head = offset % kTransferBlock;
  const std::uint64_t needed = align_up(checked_add(size, head), kTransferBlock);
  if (needed > capacity_) {
    memory_.reset(static_cast<std::byte*>(std::aligned_alloc(kTransferBlock, needed)));
    if (!memory_) throw std::bad_alloc();
    capacity_ = needed;
  }
  return {memory_.get() + head, size};
}

}  // namespace pajamas
