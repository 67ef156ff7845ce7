// FP8: a Hugging Face checkpoint in E4M3 with a scale for each tile of 128 by 128, as vLLM, SGLang
// and transformers load it. Facts: Qwen's published FP8 checkpoints, and transformers'
// FineGrainedFP8.
#include <fmt/format.h>

#include <algorithm>
#include <nlohmann/json.hpp>

#include "base/error.h"
#include "base/json_numbers.h"
#include "model/kv_cache_type.h"
#include "model/own_keys.h"
#include "model/tensor_names.h"
#include "quantize/model_folder.h"
#include "quantize/output_format.h"
#include "quantize/plan_steps.h"

namespace pajamas::quantize {
namespace {

using model::HfForm;
using model::Role;
using nlohmann::json;

constexpr std::string_view kMethod = "fp8";
// The hub's usual limit for one shard, where none is given.
constexpr std::uint64_t kFp8ShardBytes = 5'000'000'000;
constexpr int kFp8Indent = 2;

// The name of a stack's matrices, with `{e}` for the expert.
std::string_view expert_name(const model::TensorSpec& stack) {
  const auto each = std::ranges::find(stack.forms, HfForm::Kind::kEach, &HfForm::kind);
  PJ_CHECK(each != stack.forms.end());  // else the architecture has an obstacle
  return each->name;
}

// What a tensor's matrices are called: one name, or one for each expert.
std::vector<std::string> stored_names(const model::TensorSpec& spec) {
  if (!spec.is_stack()) return {spec.hf};
  std::vector<std::string> names;
  for (std::uint64_t e = 0; e < spec.shape[0]; ++e) {
    names.push_back(model::tensor_name(expert_name(spec), spec.key.layer, e));
  }
  return names;
}

std::vector<io::SafetensorsSpec> fp8_plane(const PlannedTensor& tensor, std::size_t plane) {
  const bool tiled = tensor.encoding.layout == Layout::kFp8;
  const auto dims = tensor.spec.shape.dims();
  Shape shape(tensor.spec.is_stack() ? dims.subspan(1) : dims);
  DType type = tiled && plane == 0 ? DType::kF8E4M3 : tensor.encoding.dtype;
  if (plane == 1) {
    const auto tiles = [](std::uint64_t side) {
      return (side + Encoding::kFp8Tile - 1) / Encoding::kFp8Tile;
    };
    shape = {tiles(shape[0]), tiles(shape[1])};
  }
  std::vector<io::SafetensorsSpec> stored;
  for (std::string& name : stored_names(tensor.spec)) {
    stored.push_back({plane == 0 ? std::move(name) : name + "_scale_inv", type, shape});
  }
  return stored;
}

// Matrices between the embedding and the output, but for what chooses experts.
bool takes_tiles(const model::TensorSpec& tensor) noexcept {
  const Role role = tensor.key.role;
  return tensor.is_matrix && role != Role::kTokenEmbedding && role != Role::kOutput &&
         role != Role::kRouter;
}

// Of a source in FP8 everything stays as it is: what its makers left alone too.
std::vector<Choice> choose_types(const PlanInput& input,
                                 std::span<const model::TensorSpec> tensors) {
  const bool is_fp8 = std::ranges::any_of(
      input.stored, [](const auto& stored) { return stored.second.layout == Layout::kFp8; });
  std::vector<Choice> choices;
  for (const model::TensorSpec& tensor : tensors) {
    const auto stored = input.stored.find(tensor.key);
    const auto own = input.plain_types.find(tensor.key);
    const Encoding plain{.dtype = own != input.plain_types.end() ? own->second : input.plain};
    if (stored != input.stored.end() && stored->second.layout == Layout::kFp8) {
      choices.push_back({.encoding = stored->second,
                         .reason = "stored so: taken over bit for bit",
                         .repacked = true});
    } else if (takes_tiles(tensor) && !is_fp8) {
      choices.push_back({.encoding = Encoding::fp8(DType::kF32), .reason = std::string(kMethod)});
    } else {
      const char* reason = takes_tiles(tensor) ? "not quantized in the source"
                           : tensor.is_matrix  ? "embedding, output and router are not quantized"
                                               : "norms and biases are not quantized";
      choices.push_back({.encoding = plain, .reason = reason});
    }
  }
  return choices;
}

// Rows of q and k that change their order must stay within their tile.
void require_whole_heads(const PlannedOutput& output) {
  for (const PlannedTensor& tensor : output.tensors) {
    if (tensor.row_order == RowOrder::kSame || Encoding::kFp8Tile % tensor.head_dim == 0) continue;
    throw Error(ErrorCode::kUnsupported,
                fmt::format("GGUF has rows of heads in another order, and heads of {} rows are no "
                            "part of a tile of 128",
                            tensor.head_dim),
                "take the original checkpoint")
        .at(tensor.name);
  }
}

// What no stock loader may take for tiles: every module with a weight that is none. lm_head is one
// where it is tied to the embedding, too.
json modules_left_alone(const PlannedOutput& output) {
  json modules = json::array({"lm_head"});
  for (const PlannedTensor& tensor : output.tensors) {
    if (tensor.encoding.layout == Layout::kFp8 || tensor.spec.key.role == Role::kOutput) continue;
    for (const std::string& name : stored_names(tensor.spec)) {
      if (name.ends_with(".weight")) modules.push_back(model::module_of(name));
    }
  }
  return modules;
}

std::string make_config(const PlanInput& input, const Recipe& recipe, const PlannedOutput& output) {
  json config = source_config(input);
  config.erase("quantization");  // MLX's
  model::write_kv_cache_type(suggested_kv_cache(input, recipe), config);
  model::write_own_key(model::kTarget, recipe.label, config);
  config["quantization_config"] = {
      {"quant_method", "fp8"},
      {"fmt", "e4m3"},
      {"activation_scheme", "dynamic"},
      {"weight_block_size", {Encoding::kFp8Tile, Encoding::kFp8Tile}},
      {"modules_to_not_convert", modules_left_alone(output)},
  };
  return dump_json(config, kFp8Indent) + "\n";
}

void note_cut_tiles(const PlannedOutput& output, std::vector<std::string>& notes) {
  const auto cut = std::ranges::count_if(output.tensors, [](const PlannedTensor& tensor) {
    const auto dims = tensor.spec.shape.dims();
    return tensor.encoding.layout == Layout::kFp8 &&
           std::ranges::any_of(dims.last(2), [](auto n) { return n % Encoding::kFp8Tile != 0; });
  });
  if (cut == 0) return;
  notes.push_back(fmt::format(
      "fp8: {} tensor{} sides that are no multiples of 128, so that the last tiles are cut: "
      "vLLM and transformers may refuse or misread such",
      cut, cut == 1 ? " has" : "s have"));
}

class Fp8Output final : public OutputFormat {
 public:
  Format id() const noexcept override { return Format::kFp8; }
  std::string_view name() const noexcept override { return "fp8"; }

  bool is_one_file() const noexcept override { return false; }
  std::filesystem::path place(const std::string& method) const override {
    return std::filesystem::path("fp8") / fmt::format("model-{}", method);
  }
  // Of a stack the pattern, which stands for all of its matrices.
  const std::string& tensor_name(const model::TensorSpec& tensor) const noexcept override {
    return tensor.hf;
  }

  std::vector<std::string_view> methods() const override { return {kMethod}; }
  std::optional<std::string> find_method(std::string_view name) const override {
    if (lower(name) != kMethod) return std::nullopt;
    return std::string(kMethod);
  }
  std::string_view counterpart(std::string_view, Format) const noexcept override { return {}; }
  std::vector<std::string_view> ladder() const override { return {}; }
  bool has_mlx_options() const noexcept override { return false; }

  std::optional<TensorType> find_type(std::string_view) const override { return std::nullopt; }
  std::optional<Encoding> mxfp4() const noexcept override { return std::nullopt; }
  std::string_view router_type() const noexcept override { return "the type it is stored in"; }
  std::string advice_on_room(const PlannedTensor&, float) const override {
    return "GGUF's F32 has room for it: take --format gguf --method F32";
  }
  std::string advice_on_vanishing(const PlannedTensor&) const override {
    return "--format gguf --method BF16 keeps them";
  }

  std::vector<Encoding> encodings(const PlanInput&) const override { return {}; }
  void name_after(std::span<const Encoding>, Recipe&) const override {}
  std::vector<PlannedTensor> tensors(const PlanInput& input, const Recipe& recipe,
                                     std::vector<std::string>& notes) const override {
    model::require_fp8(input.config);
    const auto specs = model::tensors_of(input.config);
    return settle_tensors(input, recipe, specs, choose_types(input, specs), notes);
  }

  PlannedOutput plan(const PlanInput& input, const Recipe& recipe,
                     std::vector<std::string>& notes) const override {
    PlannedOutput output = begin_output(recipe);
    output.tensors = tensors(input, recipe, notes);
    order_rows(input, false, output);
    require_whole_heads(output);
    note_cut_tiles(output, notes);
    if (recipe.importance) {
      notes.push_back("fp8: the importance matrix is not used, a tile has one scale");
    }
    const auto shards =
        lay_out_shards(output, recipe.file_bytes > 0 ? recipe.file_bytes : kFp8ShardBytes,
                       {{"format", "pt"}}, fp8_plane);
    output.small_files.push_back({"config.json", make_config(input, recipe, output)});
    if (output.files.size() > 1) {
      output.small_files.push_back(
          make_index(output, shards, model::parameter_count(input.config)));
    }
    add_companions(input, output);
    sum_up(output, input.config);
    return output;
  }
};

}  // namespace

const OutputFormat& fp8_output() noexcept {
  static const Fp8Output output;
  return output;
}

}  // namespace pajamas::quantize
