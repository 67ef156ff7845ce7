#include "cli/whole_number.h"

#include <fmt/format.h>

#include <charconv>
#include <cstdint>
#include <limits>
#include <string_view>
#include <system_error>

#include "base/error.h"

namespace pajamas::cli {
namespace {

template <class Number>
std::string checked_number(std::string_view text, const std::string& option) {
  constexpr Number kLeast = std::numeric_limits<Number>::min();
  constexpr Number kMost = std::numeric_limits<Number>::max();
  const std::string_view digits = text.starts_with('+') ? text.substr(1) : text;
  Number number = 0;
  const auto [end, code] = std::from_chars(digits.data(), digits.data() + digits.size(), number);
  const bool all_digits =
      !digits.empty() &&
      digits.find_first_not_of("0123456789", digits.starts_with('-') ? 1 : 0) == digits.npos &&
      digits != "-";
  if (!all_digits) {
    throw Error(ErrorCode::kUsage, fmt::format("\"{}\" is no whole number", printable(text, 40)),
                "write it in digits")
        .at(option);
  }
  if (code != std::errc() || end != digits.data() + digits.size()) {
    throw Error(ErrorCode::kUsage, fmt::format("{} is out of range", printable(text, 40)),
                fmt::format("give a whole number from {} to {}", kLeast, kMost))
        .at(option);
  }
  return std::to_string(number);
}

}  // namespace

std::string whole_number(const std::string& text, const std::string& option, bool is_unsigned) {
  return is_unsigned ? checked_number<std::uint64_t>(text, option)
                     : checked_number<std::int64_t>(text, option);
}

}  // namespace pajamas::cli
