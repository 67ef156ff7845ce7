#include "io/gguf_cursor.h"

#include <fmt/format.h>

#include <algorithm>

#include "base/error.h"

namespace pajamas::io {
namespace {

constexpr std::size_t kWindowBytes = 256u << 10;

}  // namespace

GgufCursor::GgufCursor(const File& file)
    : file_(file),
      end_(std::min(file.size(), kMaxHeaderBytes)),
      buffer_(std::min<std::uint64_t>(kWindowBytes, end_)) {}

void GgufCursor::require(std::uint64_t count, std::uint64_t bytes_each) const {
  if (count <= left() / bytes_each) return;
  if (file_.size() > end_ && count <= (file_.size() - offset_) / bytes_each) {
    throw Error(ErrorCode::kUnsupported, fmt::format("a header of more than {} bytes", end_),
                "no known model has one: the file is damaged");
  }
  throw Error(ErrorCode::kCorruptFile,
              fmt::format("{} x {} bytes are announced at byte {}, the file has {} more", count,
                          bytes_each, offset_, file_.size() - offset_),
              "the file is truncated or damaged: download or copy it again");
}

void GgufCursor::read_into(std::span<std::byte> out) {
  require(out.size(), 1);
  while (!out.empty()) {
    if (window_.empty() && out.size() >= buffer_.size()) {  // past the window, straight there
      file_.read_at(offset_, out);
      offset_ += out.size();
      return;
    }
    if (window_.empty()) {
      const auto fill = std::span(buffer_).first(std::min<std::uint64_t>(buffer_.size(), left()));
      file_.read_at(offset_, fill);
      window_ = fill;
    }
    const auto part = window_.first(std::min(out.size(), window_.size()));
    std::copy(part.begin(), part.end(), out.begin());
    out = out.subspan(part.size());
    window_ = window_.subspan(part.size());
    offset_ += part.size();
  }
}

bool GgufCursor::read_bool() {
  const auto byte = read<std::uint8_t>();
  if (byte > 1) {
    throw Error(ErrorCode::kCorruptFile, fmt::format("{} is neither true (1) nor false (0)", byte));
  }
  return byte == 1;
}

std::string GgufCursor::read_string(std::uint64_t max_bytes) {
  const auto length = read<std::uint64_t>();
  require(length, 1);
  if (length > max_bytes) {
    throw Error(ErrorCode::kCorruptFile,
                fmt::format("a text of {} bytes, at most {} are allowed here", length, max_bytes));
  }
  std::string text(length, '\0');
  read_into(std::as_writable_bytes(std::span(text)));
  return text;
}

}  // namespace pajamas::io
