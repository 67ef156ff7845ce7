#include "cli/editor/completion.h"

#include <fmt/format.h>

#include <algorithm>
#include <filesystem>
#include <system_error>

#include "base/readable.h"
#include "cli/editor/keys.h"
#include "cli/settings.h"
#include "text/graphemes.h"

namespace pajamas::cli {
namespace {

namespace fs = std::filesystem;

constexpr std::size_t kMaxPaths = 10000;
constexpr std::size_t kGap = 2;  // columns between names in a list

fs::path folder_of(std::string_view typed) {
  if (typed.empty()) return ".";
  return expand_home(std::string(typed), process_environment());
}

std::size_t columns_of_name(std::string_view text) {
  std::size_t columns = 0;
  for (std::size_t at = 0; at < text.size();) {
    const std::size_t end = text::next_grapheme(text, at);
    columns += text::grapheme_columns(text.substr(at, end - at)).count;
    at = end;
  }
  return columns;
}

std::string_view last_part(std::string_view path) {
  const std::size_t slash = path.rfind('/', path.size() - 2);
  return path.size() < 2 || slash == std::string_view::npos ? path : path.substr(slash + 1);
}

}  // namespace

std::vector<std::string> matching_paths(std::string_view path) {
  const std::size_t slash = path.rfind('/');
  const std::string folder(path.substr(0, slash == std::string_view::npos ? 0 : slash + 1));
  const std::string_view begin = path.substr(folder.size());
  std::vector<std::string> found;
  std::error_code error;
  fs::directory_iterator entries(folder_of(folder), error);
  for (; !error && entries != fs::directory_iterator() && found.size() < kMaxPaths;
       entries.increment(error)) {
    const std::string name = entries->path().filename().native();
    if (!name.starts_with(begin) || (name.starts_with('.') && !begin.starts_with('.'))) continue;
    if (editable_text(name) != name || name.find_first_of("\t\n") != std::string::npos) continue;
    std::error_code ignored;
    found.push_back(folder + name + (entries->is_directory(ignored) ? "/" : ""));
  }
  std::sort(found.begin(), found.end());
  return found;
}

std::string common_prefix(const std::vector<std::string>& candidates) {
  if (candidates.empty()) return {};
  const std::string& first = candidates.front();
  std::size_t size = first.size();
  for (const std::string& other : candidates) {
    const auto end = std::mismatch(first.begin(), first.begin() + static_cast<std::ptrdiff_t>(size),
                                   other.begin(), other.end());
    size = static_cast<std::size_t>(end.first - first.begin());
  }
  while (size > 0 && text::grapheme_boundary(first, size) != size) --size;
  return first.substr(0, size);
}

std::vector<std::string> candidate_rows(const Completion& completion, std::size_t columns,
                                        std::size_t rows) {
  std::vector<std::string_view> names;
  std::size_t widest = 0;
  for (const std::string& candidate : completion.candidates) {
    names.push_back(completion.paths ? last_part(candidate) : candidate);
    widest = std::max(widest, columns_of_name(names.back()));
  }
  const std::size_t across = std::max<std::size_t>(1, (columns + kGap) / (widest + kGap));
  const std::size_t shown =
      names.size() <= across * rows ? names.size() : across * std::max<std::size_t>(1, rows - 1);
  const std::size_t down = (shown + across - 1) / across;
  std::vector<std::string> lines(down);
  for (std::size_t i = 0; i < shown; ++i) {  // down the columns, as `ls` does
    std::string& line = lines[i % down];
    line += names[i];
    if (i + down < shown) line.append(widest + kGap - columns_of_name(names[i]), ' ');
  }
  if (shown < names.size()) {
    lines.push_back(fmt::format("and {} more", with_thousands(names.size() - shown)));
  }
  return lines;
}

}  // namespace pajamas::cli
