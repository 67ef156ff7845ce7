#include "base/error.h"

#include <fmt/format.h>

#include <limits>

#include "base/utf8.h"

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

std::string printable(std::string_view text, std::size_t limit) {
  std::string out;
  while (!text.empty()) {
    if (out.size() >= limit) return out + "...";
    const Utf8Front front = utf8_front(text);
    const auto lead = static_cast<unsigned char>(text[0]);
    // 0xC2 0x80..0x9F are the C1 controls.
    const bool control =
        lead < 0x20 || lead == 0x7F ||
        (front.whole && lead == 0xC2 && static_cast<unsigned char>(text[1]) < 0xA0);
    if (!front.whole || control) {
      out += fmt::format("\\x{:02x}", lead);
      text.remove_prefix(1);
    } else {
      out.append(text.substr(0, front.bytes));
      text.remove_prefix(front.bytes);
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
