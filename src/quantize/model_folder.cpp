#include "quantize/model_folder.h"

#include <fmt/format.h>

#include <nlohmann/json.hpp>

#include "model/text_files.h"

namespace pajamas::quantize {
namespace {

using nlohmann::json;

constexpr int kIndexIndent = 4;

std::string shard_name(std::size_t index, std::size_t count) {
  if (count == 1) return "model.safetensors";
  return fmt::format("model-{:05}-of-{:05}.safetensors", index + 1, count);
}

// Fills shards in order, each up to the limit. Returns the first tensor of every shard.
std::vector<std::size_t> split_shards(std::span<const PlannedTensor> tensors, std::uint64_t limit) {
  std::vector<std::size_t> starts;
  std::uint64_t used = 0;
  for (std::size_t i = 0; i < tensors.size(); ++i) {
    if (starts.empty() || used + tensors[i].bytes > limit) {
      starts.push_back(i);
      used = 0;
    }
    used += tensors[i].bytes;
  }
  return starts;
}

}  // namespace

std::map<std::string, std::string> lay_out_shards(
    PlannedOutput& output, std::uint64_t limit, const std::map<std::string, std::string>& metadata,
    const StoredPlane& stored_plane) {
  const auto starts = split_shards(output.tensors, limit);
  std::map<std::string, std::string> shards;
  for (std::size_t shard = 0; shard < starts.size(); ++shard) {
    const std::size_t end = shard + 1 < starts.size() ? starts[shard + 1] : output.tensors.size();
    const std::string file = shard_name(shard, starts.size());
    std::vector<io::SafetensorsSpec> stored;
    std::vector<std::pair<PlannedPlane*, std::size_t>> firsts;  // into `stored`
    for (std::size_t i = starts[shard]; i < end; ++i) {
      PlannedTensor& tensor = output.tensors[i];
      for (std::size_t plane = 0; plane < tensor.encoding.planes(); ++plane) {
        firsts.emplace_back(&tensor.planes[plane], stored.size());
        for (io::SafetensorsSpec& spec : stored_plane(tensor, plane)) {
          shards.emplace(spec.name, file);
          stored.push_back(std::move(spec));
        }
      }
    }
    io::SafetensorsLayout layout = io::lay_out_safetensors(stored, metadata);
    for (const auto& [plane, first] : firsts) *plane = {shard, layout.offsets[first]};
    output.files.push_back({file, std::move(layout.header), layout.file_bytes});
  }
  return shards;
}

SmallFile make_index(const PlannedOutput& output, const std::map<std::string, std::string>& shards,
                     std::uint64_t parameters) {
  std::uint64_t bytes = 0;
  for (const PlannedTensor& tensor : output.tensors) bytes += tensor.bytes;
  const json index = {{"metadata", {{"total_size", bytes}, {"total_parameters", parameters}}},
                      {"weight_map", shards}};
  return {"model.safetensors.index.json", index.dump(kIndexIndent)};
}

json source_config(const PlanInput& input) {
  if (!input.gguf) return input.config_json;
  json config = json::object();
  input.config.architecture->write_config(input.config, config);
  config["torch_dtype"] = input.plain == DType::kF16   ? "float16"
                          : input.plain == DType::kF32 ? "float32"
                                                       : "bfloat16";
  const model::SpecialTokens& special = input.text->special;
  if (special.bos) config["bos_token_id"] = *special.bos;
  if (special.eos) config["eos_token_id"] = *special.eos;
  if (special.pad) config["pad_token_id"] = *special.pad;
  return config;
}

void add_companions(const PlanInput& input, PlannedOutput& output) {
  for (const SmallFile& file : input.companions) output.small_files.push_back(file);
  if (!input.gguf) return;
  for (model::TextFile& file : model::make_text_files(*input.text, input.gguf.get())) {
    output.small_files.push_back({std::move(file.name), std::move(file.content)});
  }
}

}  // namespace pajamas::quantize
