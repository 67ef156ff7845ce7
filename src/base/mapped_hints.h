// What the system is told of mapped files from a thread of its own: whoever asks for a lot waits
// until most of it is there, and giving a lot back takes its time too.
#pragma once

#include <condition_variable>
#include <cstdint>
#include <deque>
#include <mutex>
#include <thread>

#include "base/file.h"

namespace pajamas {

// The thread begins with the first wish. From any thread.
class MappedHints {
 public:
  MappedHints() = default;
  MappedHints(const MappedHints&) = delete;
  MappedHints& operator=(const MappedHints&) = delete;
  // What has not begun is left.
  ~MappedHints();

  // As MappedFile::read_in, after what was wished before, piece by piece. Returns at once; failure
  // is ignored. `file` must live as long.
  void read(const MappedFile& file, std::uint64_t offset, std::uint64_t length) noexcept;
  // As drop_mapped, after what was wished before.
  void drop(const MappedFile& file, std::uint64_t offset, std::uint64_t length,
            bool evict) noexcept;
  // Until all wishes have been seen to.
  void wait();

 private:
  enum class Wish { kRead, kDrop, kEvict };
  struct Range {
    const MappedFile* file;
    std::uint64_t offset;
    std::uint64_t length;
    Wish wish;
  };
  void add(const Range& range) noexcept;
  void run();

  std::mutex mutex_;
  std::condition_variable changed_;
  std::deque<Range> waiting_;
  bool busy_ = false;
  bool stop_ = false;
  std::thread thread_;
};

}  // namespace pajamas
