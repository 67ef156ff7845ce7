#include "base/mapped_hints.h"

#include <algorithm>
#include <exception>

#include "base/mapped_pages.h"

namespace pajamas {
namespace {

// So much that reading it is worth a system call, and so little that the end does not wait for it.
constexpr std::uint64_t kPiece = 4u << 20;

}  // namespace

MappedHints::~MappedHints() {
  {
    const std::lock_guard lock(mutex_);
    stop_ = true;
  }
  changed_.notify_all();
  if (thread_.joinable()) thread_.join();
}

void MappedHints::read(const MappedFile& file, std::uint64_t offset,
                       std::uint64_t length) noexcept {
  add({&file, offset, length, Wish::kRead});
}

void MappedHints::drop(const MappedFile& file, std::uint64_t offset, std::uint64_t length,
                       bool evict) noexcept {
  add({&file, offset, length, evict ? Wish::kEvict : Wish::kDrop});
}

void MappedHints::add(const Range& range) noexcept {
  if (range.length == 0) return;
  try {
    const std::lock_guard lock(mutex_);
    if (!thread_.joinable()) thread_ = std::thread([this] { run(); });
    waiting_.push_back(range);
  } catch (const std::exception&) {  // no memory, no threads: it is read when it is used
    return;
  }
  changed_.notify_all();
}

void MappedHints::wait() {
  std::unique_lock lock(mutex_);
  changed_.wait(lock, [&] { return waiting_.empty() && !busy_; });
}

void MappedHints::run() {
  std::unique_lock lock(mutex_);
  while (true) {
    busy_ = false;
    if (waiting_.empty()) changed_.notify_all();
    changed_.wait(lock, [&] { return stop_ || !waiting_.empty(); });
    if (stop_) return;
    busy_ = true;
    Range& range = waiting_.front();
    const Range piece{range.file, range.offset, std::min(range.length, kPiece), range.wish};
    range.offset += piece.length;
    range.length -= piece.length;
    if (range.length == 0) waiting_.pop_front();
    lock.unlock();
    if (piece.wish == Wish::kRead) {
      piece.file->read_in(piece.offset, piece.length);
    } else {
      drop_mapped(piece.file->bytes().subspan(piece.offset, piece.length),
                  piece.wish == Wish::kEvict);
    }
    lock.lock();
  }
}

}  // namespace pajamas
