#include "base/suggest.h"

#include <fmt/format.h>

#include <algorithm>
#include <cctype>
#include <utility>
#include <vector>

#include "base/error.h"

namespace pajamas {
namespace {

constexpr std::size_t kLongest = 128;      // nothing longer resembles anything
constexpr int kMostSiblings = 1000;        // a folder is looked through so far
constexpr std::size_t kShortestStart = 2;  // characters that are enough to complete a name

char lower(char c) { return static_cast<char>(std::tolower(static_cast<unsigned char>(c))); }

bool begins_with(std::string_view text, std::string_view start) {
  return text.size() >= start.size() &&
         std::equal(start.begin(), start.end(), text.begin(),
                    [](char a, char b) { return lower(a) == lower(b); });
}

}  // namespace

std::size_t edit_distance(std::string_view a, std::string_view b) {
  // Three rows of the table of prefixes: swaps reach back two.
  std::vector<std::size_t> before(b.size() + 1), above(b.size() + 1), row(b.size() + 1);
  for (std::size_t j = 0; j < above.size(); ++j) above[j] = j;
  for (std::size_t i = 1; i <= a.size(); ++i) {
    row[0] = i;
    for (std::size_t j = 1; j <= b.size(); ++j) {
      const auto same = [&](std::size_t x, std::size_t y) { return lower(a[x]) == lower(b[y]); };
      row[j] =
          std::min({above[j] + 1, row[j - 1] + 1, above[j - 1] + (same(i - 1, j - 1) ? 0u : 1u)});
      if (i > 1 && j > 1 && same(i - 1, j - 2) && same(i - 2, j - 1)) {
        row[j] = std::min(row[j], before[j - 2] + 1);
      }
    }
    std::swap(before, above);
    std::swap(above, row);
  }
  return above.back();
}

std::optional<std::string_view> closest_name(std::string_view name,
                                             std::span<const std::string_view> candidates) {
  if (name.empty() || name.size() > kLongest) return std::nullopt;
  std::optional<std::string_view> best;
  std::size_t fewest = SIZE_MAX;
  std::optional<std::string_view> completed;
  int completions = 0;
  for (const std::string_view candidate : candidates) {
    const std::size_t edits = edit_distance(candidate.substr(0, kLongest), name);
    const std::size_t most = std::max<std::size_t>(1, std::max(candidate.size(), name.size()) / 3);
    if (edits <= most && edits < fewest && edits < std::min(candidate.size(), name.size())) {
      fewest = edits;
      best = candidate;
    }
    if (name.size() >= kShortestStart && begins_with(candidate, name)) {
      completed = candidate;
      ++completions;
    }
  }
  return best || completions != 1 ? best : completed;
}

std::string did_you_mean(std::string_view name, std::span<const std::string_view> candidates) {
  const auto meant = closest_name(name, candidates);
  return meant ? fmt::format("did you mean {}? ", printable(*meant)) : std::string();
}

std::optional<std::filesystem::path> closest_sibling(const std::filesystem::path& path) noexcept {
  try {
    std::filesystem::path given = path;
    while (given.has_relative_path() && given.filename().empty()) given = given.parent_path();
    const std::filesystem::path folder = given.parent_path();
    std::vector<std::string> names;
    for (const auto& entry : std::filesystem::directory_iterator(
             folder.empty() ? std::filesystem::path(".") : folder)) {
      const std::string name = entry.path().filename().native();
      if (!name.starts_with('.')) names.push_back(name);
      if (names.size() == kMostSiblings) break;
    }
    std::sort(names.begin(), names.end());  // folders have no order of their own
    const std::vector<std::string_view> views(names.begin(), names.end());
    const auto meant = closest_name(given.filename().native(), views);
    if (!meant) return std::nullopt;
    return folder / *meant;
  } catch (const std::exception&) {
    return std::nullopt;
  }
}

std::string did_you_mean_path(const std::filesystem::path& path) {
  const auto meant = closest_sibling(path);
  return meant ? fmt::format("did you mean {}? ", printable(meant->native(), 300)) : std::string();
}

}  // namespace pajamas
