// Facts: transformers, modeling_utils.py (a single file before an index).
#include "model/shard_files.h"

#include <fmt/format.h>

#include <algorithm>
#include <map>
#include <nlohmann/json.hpp>
#include <set>

#include "base/error.h"
#include "base/place.h"
#include "io/safetensors.h"
#include "model/adapter.h"
#include "model/json_file.h"

namespace pajamas::model {
namespace {

namespace fs = std::filesystem;
using nlohmann::json;

constexpr const char* kSingle = "model.safetensors";
constexpr const char* kIndex = "model.safetensors.index.json";

using Names = std::set<std::string, std::less<>>;

bool has_suffix(const fs::path& path, std::string_view suffix) {
  return path.filename().native().ends_with(suffix);
}

// "1 file", "3 files"
std::string count_of(std::size_t count, std::string_view what) {
  return fmt::format("{} {}{}", count, what, count == 1 ? "" : "s");
}

struct Index {
  Names files;
  Names tensors;
};

Index read_index(const fs::path& path) {
  const json parsed = read_json_file(path);
  const auto map = parsed.is_object() ? parsed.find("weight_map") : parsed.end();
  if (!parsed.is_object() || map == parsed.end() || !map->is_object() || map->empty()) {
    throw Error(ErrorCode::kCorruptFile, "has no \"weight_map\"", "download it again")
        .at(place_of(path));
  }
  Index index;
  for (const auto& [tensor, shard] : map->items()) {
    if (!shard.is_string() || shard.get_ref<const std::string&>().find('/') != std::string::npos) {
      throw Error(ErrorCode::kCorruptFile, "does not name a file of this folder")
          .at(printable(tensor))
          .at(place_of(path));
    }
    index.files.insert(shard.get<std::string>());
    index.tensors.insert(tensor);
  }
  return index;
}

std::vector<fs::path> paths_of(const fs::path& folder, const Names& names) {
  std::vector<fs::path> paths;
  for (const std::string& name : names) {
    if (!fs::exists(folder / name)) {
      throw Error(ErrorCode::kNotFound, "shard is missing", "download it; the index names it")
          .at(place_of(folder / name));
    }
    paths.push_back(folder / name);
  }
  return paths;
}

Names tensors_in(const fs::path& file) {
  Names names;
  const auto opened = io::SafetensorsFile::open(file);
  for (const io::SafetensorsEntry& entry : opened.entries()) names.insert(entry.name);
  return names;
}

// How many of the tensors a file does not hold; all of them where it cannot be read.
std::size_t missing_in(const fs::path& file, const Names& tensors) {
  try {
    const Names held = tensors_in(file);
    return static_cast<std::size_t>(std::ranges::count_if(
        tensors, [&](const std::string& name) { return !held.contains(name); }));
  } catch (const Error&) {
    return tensors.size();
  }
}

// Both forms are there, or seem to be.
ShardFiles single_or_indexed(const fs::path& folder) {
  const fs::path single = folder / kSingle;
  Index index;
  try {
    index = read_index(folder / kIndex);
  } catch (const Error& error) {
    return {{single}, fmt::format("{} is used, its index is not: {}", kSingle, error.what())};
  }
  if (index.files.contains(kSingle)) return {paths_of(folder, index.files), {}};
  const auto absent = static_cast<std::size_t>(std::ranges::count_if(
      index.files, [&](const std::string& name) { return !fs::exists(folder / name); }));
  if (absent > 0) {
    return {{single},
            fmt::format("{} is used; {} names {} of which {} not here, and is ignored", kSingle,
                        kIndex, count_of(index.files.size(), "file"),
                        absent == 1 ? "1 is" : fmt::format("{} are", absent))};
  }
  if (const std::size_t missing = missing_in(single, index.tensors); missing > 0) {
    return {paths_of(folder, index.files),
            fmt::format("the files that {} names are used; {} lacks {} of them, and is ignored",
                        kIndex, kSingle, count_of(missing, "tensor"))};
  }
  return {{single},
          fmt::format("{} is used; the {} of {} hold the model too, and are ignored", kSingle,
                      count_of(index.files.size(), "file"), kIndex)};
}

// Says why a folder without safetensors is no model.
[[noreturn]] void throw_no_shards(const fs::path& folder) {
  if (const auto adapter = find_adapter(folder)) {
    throw Error(ErrorCode::kUnsupported, fmt::format("holds {} and no model", adapter->kind),
                how_to_merge(*adapter))
        .at(place_of(folder));
  }
  for (const auto& entry : fs::directory_iterator(folder)) {
    if (has_suffix(entry.path(), ".bin") || has_suffix(entry.path(), ".pt") ||
        has_suffix(entry.path(), ".pth")) {
      throw Error(ErrorCode::kUnsupported, "is a PyTorch checkpoint, which can run code when read",
                  "use the model's safetensors files")
          .at(place_of(entry.path()));
    }
  }
  throw Error(ErrorCode::kNotFound, "has no model*.safetensors",
              "give the directory that holds config.json and the weights")
      .at(place_of(folder));
}

}  // namespace

ShardFiles find_shards(const fs::path& folder) {
  const fs::path single = folder / kSingle, index = folder / kIndex;
  if (fs::exists(index)) {
    if (fs::exists(single)) return single_or_indexed(folder);
    return {paths_of(folder, read_index(index).files), {}};
  }
  ShardFiles all;
  for (const auto& entry : fs::directory_iterator(folder)) {
    if (has_suffix(entry.path(), ".safetensors") &&
        entry.path().filename().native().starts_with("model")) {
      all.paths.push_back(entry.path());
    }
  }
  if (all.paths.empty()) throw_no_shards(folder);
  std::sort(all.paths.begin(), all.paths.end());
  if (all.paths.size() == 1 || !fs::exists(single)) return all;
  // Variants beside it (model.fp16.safetensors), unless they hold what it lacks.
  Names others;
  for (const fs::path& path : all.paths) {
    if (path != single) others.merge(tensors_in(path));
  }
  if (missing_in(single, others) > 0) return all;
  return {{single},
          fmt::format("{} is used; {} beside it hold{} the same tensors, and {} ignored", kSingle,
                      count_of(all.paths.size() - 1, "file"), all.paths.size() == 2 ? "s" : "",
                      all.paths.size() == 2 ? "is" : "are")};
}

}  // namespace pajamas::model
