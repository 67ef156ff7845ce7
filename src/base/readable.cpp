#include "base/readable.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <cstdlib>

namespace pajamas {

std::string readable_bytes(std::uint64_t bytes) {
  const double value = static_cast<double>(bytes);
  if (bytes >= 1'000'000'000) return fmt::format("{:.2f} GB", value / 1e9);
  if (bytes >= 1'000'000) return fmt::format("{:.1f} MB", value / 1e6);
  if (bytes >= 1'000) return fmt::format("{:.1f} kB", value / 1e3);
  return fmt::format("{} B", bytes);
}

std::string readable_seconds(double seconds) {
  if (seconds < 10) return fmt::format("{:.1f} s", seconds);
  const auto whole = static_cast<std::uint64_t>(seconds + 0.5);
  if (whole < 60) return fmt::format("{} s", whole);
  if (whole < 3600) return fmt::format("{}:{:02}", whole / 60, whole % 60);
  return fmt::format("{}:{:02}:{:02}", whole / 3600, whole / 60 % 60, whole % 60);
}

std::string with_thousands(std::uint64_t number) {
  std::string digits = std::to_string(number);
  for (std::size_t at = digits.size(); at > 3;) {
    at -= 3;
    digits.insert(at, ",");
  }
  return digits;
}

std::string readable_rate(double per_second) {
  if (!std::isfinite(per_second)) return "unknown";
  if (per_second <= 0) return "0";
  // Rounded first, so that 99.96 is one of three figures before the point.
  const double rounded = std::strtod(fmt::format("{:.2e}", per_second).c_str(), nullptr);
  if (rounded >= 1000) return with_thousands(static_cast<std::uint64_t>(rounded));
  const int before = static_cast<int>(std::floor(std::log10(rounded))) + 1;
  return fmt::format("{:.{}f}", rounded, std::clamp(3 - before, 0, 6));
}

std::string readable_byte_rate(double per_second) {
  if (!std::isfinite(per_second)) return "unknown";
  // What would be rounded up to a thousand is one of the next unit.
  if (per_second >= 999.5e6) return readable_rate(per_second / 1e9) + " GB/s";
  if (per_second >= 999.5e3) return readable_rate(per_second / 1e6) + " MB/s";
  if (per_second >= 999.5) return readable_rate(per_second / 1e3) + " kB/s";
  return readable_rate(per_second) + " B/s";
}

}  // namespace pajamas
