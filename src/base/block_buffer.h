// Memory for transfers that pass the page cache by (O_DIRECT): those want offset, length and
// address to be multiples of a block.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <memory>
#include <span>

namespace pajamas {

// A multiple of what any disk or file system asks for, and no page of the cache is ever shared by
// direct and ordinary writes.
inline constexpr std::uint64_t kTransferBlock = 4096;

// Grows as it must and is reused; movable, one owner at a time.
class BlockBuffer {
 public:
  // Room for `size` bytes that lie at `offset` of a file, at an address with the same remainder by
  // kTransferBlock, so that the whole blocks around them are the buffer's too. What was there
  // before is lost.
  std::span<std::byte> place(std::uint64_t offset, std::uint64_t size);

 private:
  struct Free {
    void operator()(std::byte* memory) const noexcept { std::free(memory); }
  };
  std::unique_ptr<std::byte[], Free> memory_;
  std::uint64_t capacity_ = 0;
};

}  // namespace pajamas
