// GGUF: one file of blocks, with methods and types as llama-quantize has them.
#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "base/error.h"
#include "codec/codec.h"
#include "codec/room.h"
#include "io/gguf_split.h"
#include "model/rope.h"
#include "quantize/gguf_metadata.h"
#include "quantize/output_format.h"
#include "quantize/plan_steps.h"

namespace pajamas::quantize {
namespace {

// A llama3 scaling is a tensor in GGUF, which comes where its name belongs in llama.cpp's order.
void add_rope_factors(const model::ModelConfig& config, PlannedOutput& output) {
  using Kind = model::RopeScaling::Kind;
  const Kind kind = config.rope_scaling.kind;
  if (kind != Kind::kLlama3 && kind != Kind::kFactors) return;
  const std::vector<float> factors = model::rope_factors(config);
  PlannedTensor tensor{};  // none of the model: no matrix, no layer
  tensor.name = model::kRopeFactorsName;
  tensor.spec.gguf = tensor.name;
  tensor.spec.shape = {factors.size()};
  tensor.encoding = {.dtype = DType::kF32};
  tensor.reason = "the scaling of the rotary embedding, as GGUF has it";
  tensor.bytes = factors.size() * sizeof(float);
  const auto bytes = std::as_bytes(std::span(factors));
  tensor.content.assign(reinterpret_cast<const char*>(bytes.data()), bytes.size());
  const auto after = std::ranges::find_if(output.tensors, [&](const PlannedTensor& other) {
    return other.spec.key.layer >= 0 || other.name > tensor.name;
  });
  output.tensors.insert(after, std::move(tensor));
}

// One file, or those of a split in a folder of their own: so that they appear together.
void lay_out_files(const io::GgufMetadata& metadata, std::span<const io::GgufSpec> stored,
                   std::uint64_t most, PlannedOutput& output, std::vector<std::string>& notes) {
  constexpr std::string_view kExtension = ".gguf";
  std::vector<io::GgufPart> parts = io::lay_out_gguf_parts(metadata, stored, most);
  if (parts.size() > 1) {
    if (output.path.extension() == kExtension) output.path.replace_extension();
    notes.push_back(fmt::format("{} is {} files in the folder {}", output.method, parts.size(),
                                printable(output.path.native(), 300)));
  }
  for (std::size_t file = 0; file < parts.size(); ++file) {
    io::GgufPart& part = parts[file];
    for (std::size_t i = 0; i < part.count; ++i) {
      output.tensors[part.first + i].planes[0] = {file, part.layout.offsets[i]};
    }
    output.files.push_back(
        {parts.size() == 1 ? ""
                           : output.path.filename().native() + io::split_suffix(file, parts.size()),
         std::move(part.layout.header), part.layout.file_bytes});
  }
}

class GgufOutput final : public OutputFormat {
 public:
  Format id() const noexcept override { return Format::kGguf; }
  std::string_view name() const noexcept override { return "gguf"; }

  bool is_one_file() const noexcept override { return true; }
  std::filesystem::path place(const std::string& method) const override {
    return std::filesystem::path("gguf") / fmt::format("model-{}.gguf", lower(method));
  }
  const std::string& tensor_name(const model::TensorSpec& tensor) const noexcept override {
    return tensor.gguf;
  }

  std::vector<std::string_view> methods() const override {
    std::vector<std::string_view> names;
    for (const GgufMethodInfo& row : gguf_methods()) names.push_back(row.name);
    return names;
  }
  std::optional<std::string> find_method(std::string_view name) const override {
    const auto method = find_gguf_method(name);
    if (!method) return std::nullopt;
    return std::string(info(*method).name);
  }
  std::string_view counterpart(std::string_view method, Format other) const noexcept override {
    const auto found = find_gguf_method(method);
    return found && other == Format::kMlx ? info(*found).mlx : std::string_view();
  }
  std::vector<std::string_view> ladder() const override {
    std::vector<std::string_view> names;
    for (const GgufMethodInfo& row : gguf_methods()) {
      if (row.on_ladder) names.push_back(row.name);
    }
    return names;
  }
  bool has_mlx_options() const noexcept override { return false; }

  std::optional<TensorType> find_type(std::string_view name) const override {
    const auto dtype = dtype_by_name(name);
    if (!dtype || info(*dtype).gguf_id < 0 || !codec::can_encode({.dtype = *dtype})) {
      return std::nullopt;
    }
    return TensorType(*dtype);
  }
  std::optional<Encoding> mxfp4() const noexcept override {
    return Encoding{.dtype = DType::kMXFP4};
  }
  std::string_view router_type() const noexcept override { return "F32"; }
  std::string advice_on_room(const PlannedTensor& target, float weight) const override {
    const bool bf16 = std::abs(weight) <= codec::always_room({.dtype = DType::kBF16});
    return fmt::format("add --tensor-type '{}={}', or take --method {}", target.name,
                       bf16 ? "BF16" : "F32", bf16 ? "BF16 or F32" : "F32");
  }
  std::string advice_on_vanishing(const PlannedTensor& target) const override {
    return fmt::format("--tensor-type '{}=BF16' keeps them", target.name);
  }

  std::vector<Encoding> encodings(const PlanInput&) const override {
    std::vector<Encoding> all;
    for (std::size_t i = 0; i < static_cast<std::size_t>(DType::kCount); ++i) {
      const Encoding encoding{.dtype = static_cast<DType>(i)};
      if (info(encoding.dtype).gguf_id >= 0 && codec::can_encode(encoding)) all.push_back(encoding);
    }
    return all;
  }
  // The first type that a method is named after.
  void name_after(std::span<const Encoding> usual, Recipe& recipe) const override {
    for (const Encoding& encoding : usual) {
      for (const GgufMethodInfo& row : gguf_methods()) {
        if (row.default_type != encoding.dtype) continue;
        recipe.method = row.name;
        return;
      }
    }
  }
  std::vector<PlannedTensor> tensors(const PlanInput& input, const Recipe& recipe,
                                     std::vector<std::string>& notes) const override {
    model::require_gguf(input.config);
    const auto specs = in_gguf_order(input.config);
    return settle_tensors(input, recipe, specs, choose_gguf_types(recipe, input.config, specs),
                          notes);
  }

  PlannedOutput plan(const PlanInput& input, const Recipe& recipe,
                     std::vector<std::string>& notes) const override {
    PlannedOutput output = begin_output(recipe);
    output.tensors = tensors(input, recipe, notes);
    order_rows(input, input.config.architecture->gguf_interleaves_heads(), output);
    add_rope_factors(input.config, output);
    const GgufSource source{
        .name = input.name,
        .gguf = input.gguf.get(),
        .generation_config = input.generation_json.is_null() ? nullptr : &input.generation_json,
        .text = input.text ? &*input.text : nullptr,
        .importance = recipe.importance ? &*recipe.importance : nullptr,
        .card = &input.card,
        .kv_cache_type = suggested_kv_cache(input, recipe),
        .target = recipe.label};
    const auto metadata =
        make_gguf_metadata(input.config, info(*find_gguf_method(recipe.method)).file_type, source);
    std::vector<io::GgufSpec> stored;
    for (const PlannedTensor& tensor : output.tensors) {
      stored.push_back({tensor.name, tensor.encoding.dtype, tensor.spec.shape});
    }
    lay_out_files(metadata, stored, recipe.file_bytes, output, notes);
    sum_up(output, input.config);
    return output;
  }
};

}  // namespace

const OutputFormat& gguf_output() noexcept {
  static const GgufOutput output;
  return output;
}

}  // namespace pajamas::quantize
