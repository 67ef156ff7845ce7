// Reading of mapped files in advance, in a thread of its own: whoever asks the system for a lot
// waits until most of it is there.
#pragma once

#include <condition_variable>
#include <cstdint>
#include <deque>
#include <mutex>
#include <thread>

#include "base/file.h"

namespace pajamas {

// The thread begins with the first bytes that are added. From any thread.
class ReadAhead {
 public:
  ReadAhead() = default;
  ReadAhead(const ReadAhead&) = delete;
  ReadAhead& operator=(const ReadAhead&) = delete;
  // What has not begun is left.
  ~ReadAhead();

  // Asks for these bytes after those that were added before, piece by piece: of a large request
  // Linux reads no more than its window. Returns at once; failure is ignored. `file` must live as
  // long.
  void add(const MappedFile& file, std::uint64_t offset, std::uint64_t length) noexcept;
  // Until all that was added has been asked for.
  void wait();

 private:
  struct Range {
    const MappedFile* file;
    std::uint64_t offset;
    std::uint64_t length;
  };
  void run();

  std::mutex mutex_;
  std::condition_variable changed_;
  std::deque<Range> waiting_;
  bool busy_ = false;
  bool stop_ = false;
  std::thread thread_;
};

}  // namespace pajamas
