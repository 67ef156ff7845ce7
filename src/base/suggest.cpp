#include "base/suggest.h"

#include <algorithm>
#include <cctype>
#include <utility>
#include <vector>

#include "base/error.h"

namespace pajamas {
namespace {

char lower(char c) { return static_cast<char>(std::tolower(static_cast<unsigned char>(c))); }

// Insertions, deletions and replacements of single characters between two names.
std::size_t edit_distance(std::string_view a, std::string_view b) {
  std::vector<std::size_t> row(b.size() + 1);
  for (std::size_t j = 0; j < row.size(); ++j) row[j] = j;
  for (std::size_t i = 1; i <= a.size(); ++i) {
    std::size_t diagonal = std::exchange(row[0], i);
    for (std::size_t j = 1; j <= b.size(); ++j) {
      const std::size_t replaced = diagonal + (lower(a[i - 1]) == lower(b[j - 1]) ? 0 : 1);
      diagonal = row[j];
      row[j] = std::min({row[j] + 1, row[j - 1] + 1, replaced});
    }
  }
  return row.back();
}

}  // namespace

std::string_view closest_name(std::string_view name, std::span<const std::string_view> candidates) {
  PJ_CHECK(!candidates.empty());
  name = name.substr(0, 64);  // nothing longer resembles anything
  return *std::min_element(candidates.begin(), candidates.end(), [&](auto a, auto b) {
    return edit_distance(a, name) < edit_distance(b, name);
  });
}

}  // namespace pajamas
