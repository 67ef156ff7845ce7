#include "model/shards.h"

#include <fmt/format.h>

#include <algorithm>
#include <set>

#include "base/error.h"
#include "model/hparams.h"
#include "model/json_file.h"

namespace pajamas::model {
namespace {

namespace fs = std::filesystem;
using nlohmann::json;

std::string place_of(const fs::path& path) { return printable(path.native(), 300); }

bool has_suffix(const fs::path& path, std::string_view suffix) {
  return path.filename().native().ends_with(suffix);
}

// The distinct shard names of an index file.
std::vector<fs::path> shards_of_index(const fs::path& folder, const fs::path& index) {
  const json parsed = read_json_file(index);
  const auto map = parsed.is_object() ? parsed.find("weight_map") : parsed.end();
  if (!parsed.is_object() || map == parsed.end() || !map->is_object() || map->empty()) {
    throw Error(ErrorCode::kCorruptFile, "has no \"weight_map\"", "download it again")
        .at(place_of(index));
  }
  std::set<std::string> names;
  for (const auto& [tensor, shard] : map->items()) {
    if (!shard.is_string() || shard.get_ref<const std::string&>().find('/') != std::string::npos) {
      throw Error(ErrorCode::kCorruptFile, "does not name a file of this folder")
          .at(printable(tensor))
          .at(place_of(index));
    }
    names.insert(shard.get<std::string>());
  }
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

// Says why a folder without safetensors is no model.
[[noreturn]] void throw_no_shards(const fs::path& folder) {
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

std::vector<fs::path> find_shards(const fs::path& folder) {
  const fs::path index = folder / "model.safetensors.index.json";
  if (fs::exists(index)) return shards_of_index(folder, index);
  std::vector<fs::path> paths;
  for (const auto& entry : fs::directory_iterator(folder)) {
    if (has_suffix(entry.path(), ".safetensors") &&
        entry.path().filename().native().starts_with("model")) {
      paths.push_back(entry.path());
    }
  }
  if (paths.empty()) throw_no_shards(folder);
  std::sort(paths.begin(), paths.end());
  return paths;
}

json read_config_file(const fs::path& file) {
  if (!fs::exists(file)) {
    throw Error(ErrorCode::kNotFound, "config.json is missing",
                "give the directory that holds config.json and the weights")
        .at(place_of(file));
  }
  return read_json_file(file);
}

Shards Shards::open(const fs::path& folder) {
  const fs::path config_file = folder / "config.json";
  const json config = read_config_file(config_file);
  Shards shards;
  with_context(place_of(config_file), [&] {
    shards.config_ = config_of(config);
    if (const json* quantization = JsonParams(config).find("quantization")) {
      shards.quantization_ = *quantization;
      shards.is_mlx_ = true;
    } else {
      stored_quantization(config);  // throws for what is not read
    }
  });
  shards.index(folder);
  return shards;
}

void Shards::index(const fs::path& folder) {
  for (const fs::path& path : find_shards(folder)) {
    files_.push_back(io::SafetensorsFile::open(path));
    const auto format = files_.back().metadata().find("format");
    is_mlx_ = is_mlx_ || (format != files_.back().metadata().end() && format->second == "mlx");
  }
  for (std::size_t i = 0; i < files_.size(); ++i) {
    for (const io::SafetensorsEntry& entry : files_[i].entries()) {
      const auto [where, added] = by_name_.emplace(entry.name, Found{i, &entry});
      if (added) continue;
      throw Error(ErrorCode::kCorruptFile,
                  fmt::format("tensor is in {} too",
                              files_[where->second.file].file().path().filename().native()),
                  "remove the shard that does not belong to the model")
          .at(printable(entry.name))
          .at(place_of(files_[i].file().path()));
    }
  }
}

void Shards::require_all_taken(const ModelConfig& config) const {
  for (const auto& [name, found] : by_name_) {
    if (found.taken) continue;
    if (name.ends_with("rotary_emb.inv_freq")) continue;
    if (config.tied_output && name.starts_with("lm_head.")) continue;
    throw Error(ErrorCode::kUnsupported,
                fmt::format("is no tensor of {}", config.architecture->name()),
                "this variant of the architecture is not supported")
        .at(printable(name))
        .at(place_of(files_[found.file].file().path().filename()));
  }
}

std::vector<File> Shards::take_files() && {
  std::vector<File> files;
  for (io::SafetensorsFile& file : files_) files.push_back(File::open(file.file().path()));
  return files;
}

}  // namespace pajamas::model
