#include "hub/file_download.h"

#include <fmt/format.h>

#include <algorithm>

#include "base/error.h"
#include "base/file.h"

namespace pajamas::hub {
namespace {

namespace fs = std::filesystem;

constexpr std::uint64_t kPartBytes = 16u << 20;
// Parts of one file that may be on their way; all but the first are held in memory.
constexpr std::size_t kPartsAhead = 8;
constexpr std::uint64_t kReadBytes = 4u << 20;
constexpr double kLockSeconds = 0.5;

}  // namespace

std::uint64_t FileDownload::bytes_there() const {
  std::error_code code;
  const std::uintmax_t bytes = fs::file_size(cache_->incomplete(file_), code);
  return code || bytes > file_.size ? 0 : bytes;
}

bool FileDownload::lock(double now) {
  if (lock_) return true;
  if (now < no_lock_before_) return false;
  lock_ = FileLock::try_acquire(cache_->lock(file_));
  if (!lock_) no_lock_before_ = now + kLockSeconds;
  return lock_.has_value();
}

Digest FileDownload::new_digest() const {
  return file_.large ? Digest::sha256() : Digest::git_blob(file_.size);
}

void FileDownload::open(const StopFlag& stop) {
  const fs::path path = cache_->incomplete(file_);
  out_.emplace(path);
  if (out_->size() > file_.size) out_->clear();
  digest_ = new_digest();
  if (out_->size() > 0) {
    const File there = File::open(path);
    std::vector<std::byte> buffer(kReadBytes);
    for (std::uint64_t at = 0; at < out_->size();) {
      stop.check();
      const auto some = std::span(buffer).first(std::min(kReadBytes, out_->size() - at));
      there.read_at(at, some);
      digest_->update(some);
      at += some.size();
    }
  }
  asked_ = out_->size();
}

Segment* FileDownload::next_part(double now, bool ahead) {
  for (Segment& part : parts_) {
    if (!part.transfer && !part.complete() && part.not_before <= now) return &part;
  }
  if (asked_ == file_.size || parts_.size() >= (ahead ? kPartsAhead : 1)) return nullptr;
  Segment part;
  part.first = asked_;
  part.end = whole_ ? file_.size : std::min(file_.size, asked_ + kPartBytes);
  asked_ = part.end;
  return &parts_.emplace_back(std::move(part));
}

void FileDownload::write(std::span<const std::byte> bytes) {
  out_->append(bytes);
  digest_->update(bytes);
}

void FileDownload::take(Segment& part, std::span<const std::byte> bytes) {
  if (bytes.size() > part.end - part.next()) {
    throw Error(
        ErrorCode::kNetwork,
        fmt::format("the server sends more than the {} bytes that the hub lists", file_.size),
        "try again later, or another revision")
        .at(printable(file_.path));
  }
  if (&part == &parts_.front()) {
    write(bytes);
  } else {
    part.held.reserve(part.end - part.first);
    part.held.insert(part.held.end(), bytes.begin(), bytes.end());
  }
  part.arrived += bytes.size();
}

std::uint64_t FileDownload::held() const noexcept {
  std::uint64_t bytes = 0;
  for (const Segment& part : parts_) bytes += part.held.size();
  return bytes;
}

void FileDownload::settle() {
  while (!parts_.empty() && parts_.front().complete() && !parts_.front().transfer) {
    parts_.pop_front();
    if (parts_.empty()) return;
    Segment& front = parts_.front();
    write(front.held);
    std::vector<std::byte>().swap(front.held);
  }
}

void FileDownload::restart() {
  restarting_ = false;
  parts_.clear();
  asked_ = out_->size();
}

bool FileDownload::finish() {
  const std::string digest = digest_->finish();
  if (digest == file_.digest) {
    out_->commit(cache_->blob(file_));
    out_.reset();
    lock_.reset();
    return true;
  }
  parts_.clear();
  out_->clear();
  digest_ = new_digest();
  asked_ = 0;
  if (++wrong_ < 2) return false;
  out_.reset();
  std::error_code ignored;
  fs::remove(cache_->incomplete(file_), ignored);
  throw Error(ErrorCode::kCorruptFile,
              fmt::format("arrived twice with the wrong checksum ({} {}, {} expected)",
                          file_.large ? "SHA-256" : "git SHA-1", digest, file_.digest),
              "try again later; a proxy in between may change files")
      .at(printable(file_.path));
}

}  // namespace pajamas::hub
