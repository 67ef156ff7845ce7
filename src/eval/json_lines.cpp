#include "eval/json_lines.h"

#include <fmt/format.h>
#include <zlib.h>

#include <algorithm>
#include <memory>
#include <nlohmann/json.hpp>
#include <utility>

#include "base/error.h"
#include "base/file.h"
#include "base/json.h"

namespace pajamas::eval {
namespace {

constexpr std::string_view kGzip = "\x1F\x8B";
constexpr int kGzipAlone = 16 + MAX_WBITS;  // zlib's way of asking for its header
constexpr std::size_t kPiece = 1 << 20;

}  // namespace

std::string inflated(std::string bytes) {
  if (!std::string_view(bytes).starts_with(kGzip)) return bytes;
  ::z_stream stream{};
  if (::inflateInit2(&stream, kGzipAlone) != Z_OK) {
    throw Error(ErrorCode::kOutOfMemory, "no memory to inflate it");
  }
  const std::unique_ptr<::z_stream, decltype(&::inflateEnd)> end(&stream, &::inflateEnd);
  stream.next_in = reinterpret_cast<::Bytef*>(bytes.data());
  stream.avail_in = static_cast<::uInt>(bytes.size());
  std::string text;
  for (int code = Z_OK; code != Z_STREAM_END || stream.avail_in > 0;) {
    if (code == Z_STREAM_END) ::inflateReset(&stream);  // another stream follows
    const std::size_t before = text.size();
    if (before >= kMaxTextBytes) {
      throw Error(ErrorCode::kCorruptFile,
                  fmt::format("what it holds is larger than {} MB", kMaxTextBytes >> 20));
    }
    text.resize(before + kPiece);
    stream.next_out = reinterpret_cast<::Bytef*>(text.data() + before);
    stream.avail_out = kPiece;
    code = ::inflate(&stream, Z_NO_FLUSH);
    text.resize(text.size() - stream.avail_out);
    if (code == Z_STREAM_END || (code == Z_OK && text.size() > before)) continue;
    if (code == Z_OK && stream.avail_in > 0) continue;
    const bool cut = code == Z_OK || code == Z_BUF_ERROR;
    throw Error(ErrorCode::kCorruptFile,
                cut ? "its gzip stream is cut" : "its gzip stream is broken", "get it again");
  }
  return text;
}

std::string read_lines_file(const std::filesystem::path& path) {
  std::string bytes = read_text_file(path);
  return with_context(printable(path.native(), 300), [&] { return inflated(std::move(bytes)); });
}

void for_each_line(std::string_view text,
                   FunctionRef<void(const nlohmann::json&, std::size_t)> each) {
  for (std::size_t line = 1; !text.empty(); ++line) {
    const std::size_t end = std::min(text.find('\n'), text.size());
    const std::string_view one = text.substr(0, end);
    text.remove_prefix(std::min(end + 1, text.size()));
    if (one.find_first_not_of(" \t\r") == std::string_view::npos) continue;
    const nlohmann::json object =
        with_context(fmt::format("line {}", line), [&] { return parse_json(one); });
    if (!object.is_object()) bad_line(line, "no JSON object");
    each(object, line);
  }
}

void bad_line(std::size_t line, std::string problem, std::string hint) {
  throw Error(ErrorCode::kCorruptFile, std::move(problem), std::move(hint))
      .at(fmt::format("line {}", line));
}

std::string text_at(const nlohmann::json& object, const std::string& key, std::size_t line) {
  const auto found = object.find(key);
  if (found == object.end() || !found->is_string()) {
    bad_line(line, fmt::format("no text \"{}\"", key));
  }
  return found->get<std::string>();
}

}  // namespace pajamas::eval
