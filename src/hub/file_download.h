// One file on its way into the cache: which parts are asked for, and what has arrived in order.
#pragma once

#include <cstdint>
#include <list>
#include <optional>
#include <vector>

#include "base/append_file.h"
#include "base/file_lock.h"
#include "base/parallel.h"
#include "hub/cache.h"
#include "hub/digest.h"
#include "hub/failure.h"
#include "hub/transfers.h"

namespace pajamas::hub {

// Bytes of a file that one connection brings.
struct Segment {
  std::uint64_t first = 0;
  std::uint64_t end = 0;
  std::uint64_t arrived = 0;
  std::vector<std::byte> held;  // arrived before those in front of it
  std::optional<Transfers::Id> transfer;
  std::uint64_t arrived_before = 0;  // when its last request began
  double not_before = 0;             // of the next request
  bool by_name = false;              // the place that a redirect led to did not serve it
  Backoff backoff;

  std::uint64_t next() const noexcept { return first + arrived; }
  bool complete() const noexcept { return next() == end; }
};

class FileDownload {
 public:
  FileDownload(const Cache& cache, RepoFile file) : cache_(&cache), file_(std::move(file)) {}

  const RepoFile& file() const noexcept { return file_; }
  // Bytes that lie in the unfinished file of an earlier attempt.
  std::uint64_t bytes_there() const;

  // Takes the lock of the blob. False where another process had it half a second ago.
  bool lock(double now);
  // Opens the unfinished file and takes its bytes into the checksum.
  void open(const StopFlag& stop);
  bool is_open() const noexcept { return out_.has_value(); }

  // The next part to ask for; none while enough are on their way. `ahead`: there is memory for more
  // than the part that is written next.
  Segment* next_part(double now, bool ahead);
  // Takes bytes of `part`; those that follow what is there are written.
  void take(Segment& part, std::span<const std::byte> bytes);
  // Forgets parts that are complete.
  void settle();
  // A server sends bytes; until then, one connection finds out where they are and whether in parts.
  void note_answer() noexcept { answered_ = true; }
  bool answered() const noexcept { return answered_; }
  // This server knows no ranges. What is on its way means nothing any more; once `restart` was
  // called, the file is asked for in one piece, from the start.
  void expect_whole() noexcept { whole_ = restarting_ = true; }
  bool whole() const noexcept { return whole_; }
  bool restarting() const noexcept { return restarting_; }
  // Drops all parts, whose transfers the caller has cancelled.
  void restart();
  const std::list<Segment>& parts() const noexcept { return parts_; }
  // Bytes in memory.
  std::uint64_t held() const noexcept;

  bool arrived() const noexcept { return out_ && parts_.empty() && out_->size() == file_.size; }
  // Checks the content; right, it becomes the blob, else it is dropped. Throws Error{kCorruptFile}
  // the second time that it is wrong.
  bool finish();

 private:
  void write(std::span<const std::byte> bytes);
  Digest new_digest() const;

  const Cache* cache_;
  RepoFile file_;
  std::optional<FileLock> lock_;
  std::optional<AppendFile> out_;
  std::optional<Digest> digest_;
  std::list<Segment> parts_;  // in order, the first follows what is written
  std::uint64_t asked_ = 0;
  bool answered_ = false;
  bool whole_ = false;
  bool restarting_ = false;
  double no_lock_before_ = 0;
  int wrong_ = 0;
};

}  // namespace pajamas::hub
