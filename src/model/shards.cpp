#include "model/shards.h"

#include <fmt/format.h>

#include "base/error.h"
#include "base/place.h"
#include "model/adapter.h"
#include "model/hparams.h"
#include "model/json_file.h"
#include "model/shard_files.h"
#include "model/tensor_names.h"

namespace pajamas::model {
namespace {

namespace fs = std::filesystem;
using nlohmann::json;

}  // namespace

json read_config_file(const fs::path& file) {
  if (!fs::exists(file)) {
    if (const auto adapter = find_adapter(file.parent_path())) {
      throw Error(ErrorCode::kUnsupported, fmt::format("holds {} and no model", adapter->kind),
                  how_to_merge(*adapter))
          .at(place_of(file.parent_path()));
    }
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
  if (const auto adapter = find_adapter(folder)) {
    shards.config_.notes.push_back(fmt::format("{} lies beside the weights and is not applied: {}",
                                               adapter->kind, how_to_merge(*adapter)));
  }
  with_context(place_of(folder), [&] { shards.settle_output(); });
  return shards;
}

void Shards::index(const fs::path& folder) {
  ShardFiles found = find_shards(folder);
  if (!found.note.empty()) config_.notes.push_back(std::move(found.note));
  for (const fs::path& path : found.paths) {
    io::SafetensorsFile& header = headers_.emplace_back(io::SafetensorsFile::open(path));
    const auto format = header.metadata().find("format");
    is_mlx_ = is_mlx_ || (format != header.metadata().end() && format->second == "mlx");
    files_.push_back(std::move(header).take_file());
  }
  std::map<std::string, std::size_t> differences;
  for (std::size_t i = 0; i < files_.size(); ++i) add_entries(i, differences);
  for (const auto& [difference, count] : differences) {
    config_.notes.push_back(fmt::format("{} tensors are named {}: read as if they were not", count,
                                        printable(difference)));
  }
}

void Shards::add_entries(std::size_t file, std::map<std::string, std::size_t>& differences) {
  const std::string place = place_of(files_[file].path());
  for (const io::SafetensorsEntry& entry : headers_[file].entries()) {
    if (is_unmerged_adapter(entry.name)) {
      throw Error(ErrorCode::kUnsupported,
                  "is a part of an adapter that is not merged into the model",
                  "merge it first (PEFT: merge_and_unload), and save the model again")
          .at(printable(entry.name))
          .at(place);
    }
    const PlainName plain = plain_name(entry.name);
    const auto [where, added] = by_name_.emplace(plain.name, Found{file, &entry});
    if (!added) {
      throw Error(ErrorCode::kCorruptFile,
                  fmt::format("tensor is in {} too", file_name(where->second.file)),
                  "remove the shard that does not belong to the model")
          .at(printable(entry.name))
          .at(place);
    }
    if (!plain.difference.empty()) ++differences[plain.difference];
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
        .at(place_of(files_[found.file].path().filename()));
  }
}

}  // namespace pajamas::model
