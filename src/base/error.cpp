#include "base/error.h"

#include <fmt/format.h>

#include <limits>

namespace pajamas {

Error::Error(ErrorCode code, std::string problem, std::string hint)
    : code_(code), problem_(std::move(problem)), hint_(std::move(hint)) {
  compose();
}

Error& Error::at(std::string_view where) & {
  place_ = place_.empty() ? std::string(where) : fmt::format("{}: {}", where, place_);
  compose();
  return *this;
}

Error&& Error::at(std::string_view where) && {
  at(where);
  return std::move(*this);
}

void Error::compose() {
  text_ = problem_;
  if (!place_.empty()) text_ += fmt::format(" ({})", place_);
  if (!hint_.empty()) text_ += fmt::format("; {}", hint_);
  // Whoever forgot to escape a name must not break the promise of one line.
  text_ = printable(text_, std::numeric_limits<std::size_t>::max());
}

namespace {

// Length of the valid UTF-8 sequence at the start of `text`, or 0.
std::size_t sequence_length(std::string_view text) {
  const auto byte = [&](std::size_t i) { return static_cast<unsigned char>(text[i]); };
  const unsigned char lead = byte(0);
  if (lead < 0x80) return 1;
  const std::size_t length = lead >= 0xF0 ? 4 : lead >= 0xE0 ? 3 : 2;
  if (lead < 0xC2 || lead > 0xF4 || text.size() < length) return 0;
  for (std::size_t i = 1; i < length; ++i) {
    if ((byte(i) & 0xC0) != 0x80) return 0;
  }
  if ((lead == 0xE0 && byte(1) < 0xA0) || (lead == 0xED && byte(1) > 0x9F) ||
      (lead == 0xF0 && byte(1) < 0x90) || (lead == 0xF4 && byte(1) > 0x8F)) {
    return 0;
  }
  return length;
}

}  // namespace

std::string printable(std::string_view text, std::size_t limit) {
  std::string out;
  while (!text.empty()) {
    if (out.size() >= limit) return out + "...";
    const std::size_t length = sequence_length(text);
    const auto lead = static_cast<unsigned char>(text[0]);
    // 0xC2 0x80..0x9F are the C1 controls.
    const bool control =
        lead < 0x20 || lead == 0x7F ||
        (length == 2 && lead == 0xC2 && static_cast<unsigned char>(text[1]) < 0xA0);
    if (length == 0 || control) {
      out += fmt::format("\\x{:02x}", lead);
      text.remove_prefix(1);
    } else {
      out.append(text.substr(0, length));
      text.remove_prefix(length);
    }
  }
  return out;
}

namespace internal {
void check_failed(const char* condition, const char* file, int line) {
  throw Error(ErrorCode::kInternal, fmt::format("broken invariant `{}`", condition),
              "this is a bug in llama-pajamas, please report it")
      .at(fmt::format("{}:{}", file, line));
}
}  // namespace internal

}  // namespace pajamas
