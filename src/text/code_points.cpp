#include "text/code_points.h"

#include <algorithm>
#include <string>

namespace pajamas::text {
namespace {

constexpr std::uint32_t kLastCodePoint = 0x10FFFF;

std::string plain_name(std::string_view name) {
  std::string out;
  for (const char c : name) {
    if (c == ' ' || c == '-' || c == '_') continue;
    out.push_back(c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c);
  }
  return out;
}

// The long names of the groups; the rest of the long names no published pattern uses.
std::string short_name(std::string name) {
  constexpr std::pair<std::string_view, std::string_view> kLong[] = {
      {"letter", "l"},          {"mark", "m"},   {"number", "n"},
      {"separator", "z"},       {"symbol", "s"}, {"punctuation", "p"},
      {"punct", "p"},           {"other", "c"},  {"uppercaseletter", "lu"},
      {"lowercaseletter", "ll"}};
  for (const auto& [longer, shorter] : kLong) {
    if (name == longer) return std::string(shorter);
  }
  return name;
}

CodePointSet categories_that_start_with(std::string_view name) {
  CodePointSet out;
  const auto changes = tables::kCategoryChanges;
  for (std::size_t i = 0; i < changes.size(); ++i) {
    if (!plain_name(tables::kCategoryNames[changes[i] >> 24]).starts_with(name)) continue;
    const std::uint32_t next =
        i + 1 < changes.size() ? changes[i + 1] & 0xFFFFFF : kLastCodePoint + 1;
    out.add(changes[i] & 0xFFFFFF, next - 1);
  }
  return out;
}

}  // namespace

std::vector<CodePointRange> CodePointSet::ranges() const {
  std::vector<CodePointRange> sorted = parts_;
  std::sort(sorted.begin(), sorted.end(),
            [](const auto& a, const auto& b) { return a.first < b.first; });
  std::vector<CodePointRange> merged;
  for (const CodePointRange& range : sorted) {
    if (!merged.empty() && range.first <= merged.back().last + 1) {
      merged.back().last = std::max(merged.back().last, range.last);
    } else {
      merged.push_back(range);
    }
  }
  return merged;
}

CodePointSet CodePointSet::complement() const {
  CodePointSet out;
  std::uint32_t next = 0;
  for (const CodePointRange& range : ranges()) {
    if (range.first > next) out.add(next, range.first - 1);
    next = range.last + 1;
  }
  if (next <= kLastCodePoint) out.add(next, kLastCodePoint);
  return out;
}

bool contains(std::span<const CodePointRange> sorted, std::uint32_t code_point) noexcept {
  const auto after = std::upper_bound(
      sorted.begin(), sorted.end(), code_point,
      [](std::uint32_t value, const CodePointRange& range) { return value < range.first; });
  return after != sorted.begin() && code_point <= (after - 1)->last;
}

std::optional<CodePointSet> property(std::string_view name) {
  const std::string plain = short_name(plain_name(name));
  if (plain.empty()) return std::nullopt;
  if (plain.size() <= 2) {
    CodePointSet set = categories_that_start_with(plain);
    if (set.empty()) return std::nullopt;
    return set;
  }
  for (const tables::Script& script : tables::kScripts) {
    if (plain_name(script.name) == plain) return CodePointSet(script.ranges);
  }
  return std::nullopt;
}

}  // namespace pajamas::text
