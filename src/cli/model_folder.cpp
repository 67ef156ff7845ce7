#include "cli/model_folder.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <optional>
#include <string>
#include <vector>

#include "base/error.h"
#include "hub/select.h"

namespace pajamas::cli {
namespace {

namespace fs = std::filesystem;

constexpr std::size_t kNamed = 12;  // in one message

// What is not hidden, in the order of names. What cannot be listed has nothing.
std::vector<fs::directory_entry> entries_of(const fs::path& folder) {
  std::vector<fs::directory_entry> entries;
  std::error_code code;
  for (fs::directory_iterator next(folder, code), end; !code && next != end; next.increment(code)) {
    if (!next->path().filename().native().starts_with('.')) entries.push_back(*next);
  }
  std::ranges::sort(entries, {}, [](const auto& entry) { return entry.path(); });
  return entries;
}

bool has(const fs::path& folder, const char* name) {
  std::error_code code;
  return fs::exists(folder / name, code);
}

bool holds_weights(const std::vector<fs::directory_entry>& entries) {
  return std::ranges::any_of(entries, [](const auto& entry) {
    const std::string extension = entry.path().extension();
    return extension == ".safetensors" || extension == ".bin" || extension == ".pt" ||
           extension == ".pth" || entry.path().filename() == hub::kIndexName;
  });
}

std::vector<fs::path> ggufs_of(const std::vector<fs::directory_entry>& entries) {
  std::vector<fs::path> found;
  std::error_code code;
  for (const fs::directory_entry& entry : entries) {
    if (hub::begins_gguf_model(entry.path().filename()) && entry.is_regular_file(code)) {
      found.push_back(entry.path());
    }
  }
  return found;
}

bool is_model_folder(const fs::path& folder, const std::vector<fs::directory_entry>& entries) {
  // Published GGUF files often lie beside a config.json that they do not need.
  if (!has(folder, "config.json") && !has(folder, "tokenizer.json")) return false;
  return holds_weights(entries) || ggufs_of(entries).empty();
}

// Of a model in several files that has a folder of its name, as `quantize --split-size` makes it.
std::optional<fs::path> first_part(const std::string& folder,
                                   const std::vector<fs::directory_entry>& entries) {
  for (fs::path& gguf : ggufs_of(entries)) {
    if (gguf.filename().native().starts_with(folder + "-00001-of-")) return std::move(gguf);
  }
  return std::nullopt;
}

void collect_models(const fs::path& folder, const std::vector<fs::directory_entry>& entries,
                    bool at_top, std::vector<fs::path>& found) {
  for (fs::path& gguf : ggufs_of(entries)) found.push_back(std::move(gguf));
  std::error_code code;
  for (const fs::directory_entry& entry : entries) {
    if (!entry.is_directory(code)) continue;
    const std::string name = entry.path().filename();
    const auto inside = entries_of(entry.path());
    if (has(entry.path(), "config.json") && is_model_folder(entry.path(), inside)) {
      found.push_back(folder / name);
    } else if (auto part = first_part(name, inside)) {
      found.push_back(std::move(*part));
    } else if (at_top && (name == "gguf" || name == "mlx" || name == "fp8")) {
      collect_models(folder / name, inside, false, found);
    }
  }
}

}  // namespace

fs::path model_of_folder(const fs::path& folder, Progress& progress) {
  const auto entries = entries_of(folder);
  if (is_model_folder(folder, entries)) return folder;
  std::vector<fs::path> found;
  collect_models(folder, entries, true, found);
  if (found.empty()) return folder;
  if (found.size() == 1) {
    progress.note(fmt::format("the model in {} is {}", printable(folder.native(), 300),
                              printable(found[0].native(), 300)));
    return found[0];
  }
  std::vector<std::string> names;
  for (const fs::path& path : found) {
    if (names.size() < kNamed) names.push_back(printable(path.native(), 300));
  }
  if (found.size() > kNamed) names.push_back(fmt::format("{} more", found.size() - kNamed));
  throw Error(ErrorCode::kUsage, fmt::format("holds {} models", found.size()),
              fmt::format("give one of them: {}", fmt::join(names, ", ")))
      .at(printable(folder.native(), 300));
}

}  // namespace pajamas::cli
