// MLX: a folder of safetensors shards, configuration and tokenizer, as mlx-lm writes it.
#include <fmt/format.h>

#include <cmath>

#include "base/error.h"
#include "codec/room.h"
#include "io/safetensors.h"
#include "model/tensor_names.h"
#include "model/text_files.h"
#include "quantize/mlx_files.h"
#include "quantize/output_format.h"
#include "quantize/plan_steps.h"

namespace pajamas::quantize {
namespace {

using nlohmann::json;

// mlx-lm's limit for one shard, where none is given.
constexpr std::uint64_t kShardBytes = std::uint64_t{5} << 30;

// The dtype and shape of one plane as safetensors stores it.
io::SafetensorsSpec stored_plane(const PlannedTensor& tensor, std::size_t plane) {
  const Encoding& encoding = tensor.encoding;
  if (encoding.is_plain()) return {tensor.name, encoding.dtype, tensor.spec.shape};
  const std::uint64_t cols = tensor.spec.shape.cols();
  std::vector<std::uint64_t> dims(tensor.spec.shape.dims().begin(), tensor.spec.shape.dims().end());
  dims.back() = plane == 0 ? cols * encoding.bits / 32 : cols / encoding.group_size;
  const DType scales = encoding.is_affine() ? encoding.dtype : DType::kU8;
  return {fmt::format("{}.{}", model::module_of(tensor.name), kMlxPlaneSuffixes[plane]),
          plane == 0 ? DType::kU32 : scales, Shape(dims)};
}

std::string shard_name(std::size_t index, std::size_t count) {
  if (count == 1) return "model.safetensors";
  return fmt::format("model-{:05}-of-{:05}.safetensors", index + 1, count);
}

// Fills shards in order, each up to `most` bytes. Returns the first tensor of every shard.
std::vector<std::size_t> split_shards(std::span<const PlannedTensor> tensors, std::uint64_t most) {
  std::vector<std::size_t> starts;
  std::uint64_t used = 0;
  for (std::size_t i = 0; i < tensors.size(); ++i) {
    if (starts.empty() || used + tensors[i].bytes > most) {
      starts.push_back(i);
      used = 0;
    }
    used += tensors[i].bytes;
  }
  return starts;
}

void lay_out_shards(std::uint64_t most, PlannedOutput& output) {
  const auto starts = split_shards(output.tensors, most);
  for (std::size_t shard = 0; shard < starts.size(); ++shard) {
    const std::size_t end = shard + 1 < starts.size() ? starts[shard + 1] : output.tensors.size();
    std::vector<io::SafetensorsSpec> stored;
    for (std::size_t i = starts[shard]; i < end; ++i) {
      for (std::size_t plane = 0; plane < output.tensors[i].encoding.planes(); ++plane) {
        stored.push_back(stored_plane(output.tensors[i], plane));
      }
    }
    io::SafetensorsLayout layout = io::lay_out_safetensors(stored, {{"format", "mlx"}});
    auto offset = layout.offsets.begin();
    for (std::size_t i = starts[shard]; i < end; ++i) {
      for (std::size_t plane = 0; plane < output.tensors[i].encoding.planes(); ++plane) {
        output.tensors[i].planes[plane] = {shard, *offset++};
      }
    }
    output.files.push_back(
        {shard_name(shard, starts.size()), std::move(layout.header), layout.file_bytes});
  }
}

// A config.json that says what a GGUF file's metadata says.
json config_of_gguf(const PlanInput& input) {
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

void set_dtype(const char* name, json& config) {
  config["torch_dtype"] = name;
  if (config.contains("dtype")) config["dtype"] = name;
}

class MlxOutput final : public OutputFormat {
 public:
  Format id() const noexcept override { return Format::kMlx; }
  std::string_view name() const noexcept override { return "mlx"; }

  bool is_one_file() const noexcept override { return false; }
  std::filesystem::path place(const std::string& method) const override {
    return std::filesystem::path("mlx") / fmt::format("model-{}", method);
  }
  const std::string& tensor_name(const model::TensorSpec& tensor) const noexcept override {
    return tensor.mlx;
  }

  std::vector<std::string_view> methods() const override {
    std::vector<std::string_view> names;
    for (const MlxMethodInfo& row : mlx_methods()) names.push_back(row.name);
    return names;
  }
  std::optional<std::string> find_method(std::string_view name) const override {
    if (!find_mlx_method(name)) return std::nullopt;
    return lower(name);
  }
  std::string_view counterpart(std::string_view method, Format other) const noexcept override {
    if (other != Format::kGguf) return {};
    for (const MlxMethodInfo& row : mlx_methods()) {
      if (row.name == method) return row.gguf;
    }
    return {};
  }
  std::vector<std::string_view> ladder() const override {
    std::vector<std::string_view> names;
    for (const MlxMethodInfo& row : mlx_methods()) {
      if (row.bits < 16 && row.name != kMxfp4Method) names.insert(names.begin(), row.name);
    }
    return names;
  }
  bool has_mlx_options() const noexcept override { return true; }

  std::optional<TensorType> find_type(std::string_view name) const override {
    const auto type = parse_mlx_type(name);
    if (!type) return std::nullopt;
    return TensorType(*type);
  }
  Encoding mxfp4() const noexcept override { return Encoding::mxfp4(); }
  std::string_view router_type() const noexcept override { return "8 bits or more"; }
  std::string advice_on_room(const PlannedTensor&, float weight) const override {
    const bool bf16 = std::abs(weight) <= codec::always_room({.dtype = DType::kBF16});
    return bf16 ? "take --method bf16"
                : "GGUF's F32 has room for it: add --format gguf --method F32";
  }
  std::string advice_on_vanishing(const PlannedTensor&) const override {
    return "--method bf16 keeps them";
  }

  PlannedOutput plan(const PlanInput& input, const Recipe& recipe,
                     std::vector<std::string>& notes) const override {
    PlannedOutput output = begin_output(recipe);
    model::require_mlx(input.config);
    if (std::string note = input.config.architecture->caution_in_mlx(input.config); !note.empty()) {
      notes.push_back(std::move(note));
    }
    const auto specs = model::tensors_of(input.config);
    const DType plain = *find_mlx_method(recipe.method) == 16 ? DType::kBF16 : input.plain;
    output.tensors =
        settle_tensors(input, recipe, specs, choose_mlx_types(recipe, plain, specs), notes);
    order_rows(input, false, output);
    lay_out_shards(recipe.file_bytes > 0 ? recipe.file_bytes : kShardBytes, output);
    std::vector<MlxTensor> stored;
    std::uint64_t total = 0;
    for (const PlannedTensor& tensor : output.tensors) {
      stored.push_back({tensor.name, tensor.encoding, output.files[tensor.planes[0].file].name});
      total += tensor.bytes;
    }
    json config = input.gguf ? config_of_gguf(input) : input.config_json;
    if (plain != input.plain) set_dtype("bfloat16", config);
    complete_mlx_config(input.config, config);
    output.small_files.push_back({"config.json", make_mlx_config(config, recipe, stored)});
    output.small_files.push_back(
        {"model.safetensors.index.json",
         make_mlx_index(stored, total, model::parameter_count(input.config))});
    for (const SmallFile& file : input.companions) output.small_files.push_back(file);
    if (input.gguf) {
      for (model::TextFile& file : model::make_text_files(*input.text, input.gguf.get())) {
        output.small_files.push_back({std::move(file.name), std::move(file.content)});
      }
    }
    sum_up(output, input.config);
    return output;
  }
};

}  // namespace

const OutputFormat& mlx_output() noexcept {
  static const MlxOutput output;
  return output;
}

}  // namespace pajamas::quantize
