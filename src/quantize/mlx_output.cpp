// MLX: a folder of safetensors shards, configuration and tokenizer, as mlx-lm writes it.
#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "base/error.h"
#include "codec/room.h"
#include "model/kv_cache_type.h"
#include "model/own_keys.h"
#include "model/tensor_names.h"
#include "quantize/mlx_files.h"
#include "quantize/model_folder.h"
#include "quantize/output_format.h"
#include "quantize/plan_steps.h"
#include "tensor/affine.h"

namespace pajamas::quantize {
namespace {

using nlohmann::json;

// mlx-lm's limit for one shard, where none is given.
constexpr std::uint64_t kMlxShardBytes = std::uint64_t{5} << 30;

// What a plane is called in the files, its type and shape. A stack of experts is one tensor.
std::vector<io::SafetensorsSpec> mlx_plane(const PlannedTensor& tensor, std::size_t plane) {
  const Encoding& encoding = tensor.encoding;
  if (encoding.is_plain()) return {{tensor.name, encoding.dtype, tensor.spec.shape}};
  const std::uint64_t cols = tensor.spec.shape.cols();
  std::vector<std::uint64_t> dims(tensor.spec.shape.dims().begin(), tensor.spec.shape.dims().end());
  dims.back() = plane == 0 ? cols * encoding.bits / 32 : cols / encoding.group_size;
  const DType scales = encoding.is_affine() ? encoding.dtype : DType::kU8;
  return {{fmt::format("{}.{}", model::module_of(tensor.name), kMlxPlaneSuffixes[plane]),
           plane == 0 ? DType::kU32 : scales, Shape(dims)}};
}

void set_dtype(const char* name, json& config) {
  config["torch_dtype"] = name;
  if (config.contains("dtype")) config["dtype"] = name;
}

// Of what is not quantized.
DType unquantized_type(const PlanInput& input, const Recipe& recipe) {
  return find_mlx_method(recipe.method)->bits == 16 ? DType::kBF16 : input.plain;
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
    if (find_mlx_method(name) == nullptr) return std::nullopt;
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
      if (row.bits < 16 && !row.small_float && row.mix == MlxMix::kNone) {
        names.insert(names.begin(), row.name);
      }
    }
    return names;
  }
  bool has_mlx_options() const noexcept override { return true; }

  std::optional<TensorType> find_type(std::string_view name) const override {
    const auto type = parse_mlx_type(name);
    if (!type) return std::nullopt;
    return TensorType(*type);
  }
  std::optional<Encoding> mxfp4() const noexcept override { return Encoding::mxfp4(); }
  std::string_view router_type() const noexcept override { return "8 bits or more"; }
  std::string advice_on_room(const PlannedTensor&, float weight) const override {
    const bool bf16 = std::abs(weight) <= codec::always_room({.dtype = DType::kBF16});
    return bf16 ? "take --method bf16"
                : "GGUF's F32 has room for it: add --format gguf --method F32";
  }
  std::string advice_on_vanishing(const PlannedTensor&) const override {
    return "--method bf16 keeps them";
  }

  std::vector<Encoding> encodings(const PlanInput& input) const override {
    std::vector<Encoding> all{{.dtype = input.plain}};
    for (const int bits : kAffineBits) {
      for (const int group : kAffineGroups) {
        all.push_back(Encoding::affine(bits, group, input.plain));
      }
    }
    all.insert(all.end(), kSmallFloats.begin(), kSmallFloats.end());
    return all;
  }
  // Never after what is not quantized: "bf16" has a type of its own for that.
  void name_after(std::span<const Encoding> usual, Recipe& recipe) const override {
    const auto found = std::ranges::find_if(usual, &Encoding::is_affine);
    recipe.method = fmt::format("{}bit", found == usual.end() ? 8 : found->bits);
    if (found != usual.end()) recipe.mlx.group_size = found->group_size;
  }
  std::vector<PlannedTensor> tensors(const PlanInput& input, const Recipe& recipe,
                                     std::vector<std::string>& notes) const override {
    model::require_mlx(input.config);
    const auto specs = model::tensors_of(input.config);
    return settle_tensors(input, recipe, specs,
                          choose_mlx_types(recipe, unquantized_type(input, recipe), specs), notes);
  }

  PlannedOutput plan(const PlanInput& input, const Recipe& recipe,
                     std::vector<std::string>& notes) const override {
    PlannedOutput output = begin_output(recipe);
    model::require_mlx(input.config);
    if (std::string note = input.config.architecture->caution_in_mlx(input.config); !note.empty()) {
      notes.push_back(std::move(note));
    }
    output.tensors = tensors(input, recipe, notes);
    order_rows(input, false, output);
    const auto shards =
        lay_out_shards(output, recipe.file_bytes > 0 ? recipe.file_bytes : kMlxShardBytes,
                       {{"format", "mlx"}}, mlx_plane);
    json config = source_config(input);
    if (unquantized_type(input, recipe) != input.plain) set_dtype("bfloat16", config);
    complete_mlx_config(input.config, config);
    model::write_kv_cache_type(suggested_kv_cache(input, recipe), config);
    model::write_own_key(model::kTarget, recipe.label, config);
    output.small_files.push_back({"config.json", make_mlx_config(config, recipe, output.tensors)});
    output.small_files.push_back(make_index(output, shards, model::parameter_count(input.config)));
    add_companions(input, output);
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
