#include "cli/byte_size.h"

#include <fmt/format.h>

#include <cctype>
#include <charconv>
#include <system_error>

#include "base/error.h"

namespace pajamas::cli {
namespace {

// Of "", "B", "K", "KB", "KiB" and so on; 0: no unit.
double unit_bytes(std::string_view text) {
  std::string unit;
  for (const char c : text) unit += static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
  if (unit.ends_with('b')) unit.pop_back();
  const bool binary = unit.ends_with('i');
  if (binary) unit.pop_back();
  if (unit.empty()) return binary ? 0 : 1;
  constexpr std::string_view kUnits = "kmgt";
  const std::size_t power = unit.size() == 1 ? kUnits.find(unit[0]) : kUnits.npos;
  if (power == kUnits.npos) return 0;
  double bytes = 1;
  for (std::size_t i = 0; i <= power; ++i) bytes *= binary ? 1024 : 1000;
  return bytes;
}

}  // namespace

std::uint64_t parse_byte_size(std::string_view text, const std::string& option) {
  double number = 0;
  const char* const last = text.data() + text.size();
  auto [end, code] = std::from_chars(text.data(), last, number, std::chars_format::fixed);
  while (end != last && *end == ' ') ++end;
  const double bytes = number * unit_bytes({end, static_cast<std::size_t>(last - end)});
  constexpr double kMost = 1e18;
  if (code == std::errc() && bytes >= 1 && bytes <= kMost) return static_cast<std::uint64_t>(bytes);
  throw Error(ErrorCode::kUsage, fmt::format("\"{}\" is no size", printable(text, 40)),
              "give one as 4GB, 1.5GiB or 800MB")
      .at(option);
}

}  // namespace pajamas::cli
