#include "base/read_ahead.h"

#include <algorithm>
#include <exception>

namespace pajamas {
namespace {

// Below the window of every disk's queue.
constexpr std::uint64_t kPiece = 512u << 10;

}  // namespace

ReadAhead::~ReadAhead() {
  {
    const std::lock_guard lock(mutex_);
    stop_ = true;
  }
  changed_.notify_all();
  if (thread_.joinable()) thread_.join();
}

void ReadAhead::add(const MappedFile& file, std::uint64_t offset, std::uint64_t length) noexcept {
  if (length == 0) return;
  try {
    const std::lock_guard lock(mutex_);
    if (!thread_.joinable()) thread_ = std::thread([this] { run(); });
    waiting_.push_back({&file, offset, length});
  } catch (const std::exception&) {  // no memory, no threads: it is read when it is used
    return;
  }
  changed_.notify_all();
}

void ReadAhead::wait() {
  std::unique_lock lock(mutex_);
  changed_.wait(lock, [&] { return waiting_.empty() && !busy_; });
}

void ReadAhead::run() {
  std::unique_lock lock(mutex_);
  while (true) {
    busy_ = false;
    if (waiting_.empty()) changed_.notify_all();
    changed_.wait(lock, [&] { return stop_ || !waiting_.empty(); });
    if (stop_) return;
    busy_ = true;
    Range& range = waiting_.front();
    const Range piece{range.file, range.offset, std::min(range.length, kPiece)};
    range.offset += piece.length;
    range.length -= piece.length;
    if (range.length == 0) waiting_.pop_front();
    lock.unlock();
    piece.file->prefetch(piece.offset, piece.length);
    lock.lock();
  }
}

}  // namespace pajamas
