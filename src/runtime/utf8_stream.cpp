#include "runtime/utf8_stream.h"

#include <utility>

#include "base/utf8.h"

namespace pajamas::runtime {
namespace {

constexpr std::string_view kReplacement = "\xEF\xBF\xBD";

}  // namespace

std::string Utf8Stream::push(std::string_view bytes) {
  pending_ += bytes;
  std::string out;
  std::string_view rest = pending_;
  while (!rest.empty()) {
    const Utf8Front front = utf8_front(rest);
    if (front.may_go_on) break;  // what is missing may still come
    out += front.whole ? rest.substr(0, front.bytes) : kReplacement;
    rest.remove_prefix(front.bytes);
  }
  pending_ = std::string(rest);
  return out;
}

std::string Utf8Stream::finish() {
  return std::exchange(pending_, {}).empty() ? std::string() : std::string(kReplacement);
}

}  // namespace pajamas::runtime
