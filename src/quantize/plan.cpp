#include "quantize/plan.h"

#include <fmt/format.h>

#include <algorithm>
#include <map>
#include <nlohmann/json.hpp>

#include "base/bytes.h"
#include "base/error.h"
#include "io/gguf.h"
#include "io/safetensors.h"
#include "model/rope.h"
#include "model/tensor_names.h"
#include "model/text_files.h"
#include "quantize/execute.h"
#include "quantize/gguf_metadata.h"
#include "quantize/mlx_files.h"
#include "quantize/pieces.h"
#include "quantize/plan_input.h"

namespace pajamas::quantize {
namespace {

using nlohmann::json;

// mlx-lm's limit for one shard.
constexpr std::uint64_t kShardBytes = std::uint64_t{5} << 30;

// What the program takes before any weight is read: code, tables, the tokenizer while it is built.
constexpr std::uint64_t kBaseMemory = 48u << 20;

std::vector<PlannedTensor> planned_tensors(std::span<const model::TensorSpec> specs,
                                           std::vector<Choice> choices, Format format) {
  std::vector<PlannedTensor> tensors;
  for (std::size_t i = 0; i < specs.size(); ++i) {
    PlannedTensor tensor;
    tensor.spec = specs[i];
    tensor.name = format == Format::kGguf ? specs[i].gguf : specs[i].mlx;
    tensor.encoding = choices[i].encoding;
    tensor.reason = std::move(choices[i].reason);
    tensor.repacked = choices[i].repacked;
    tensor.bytes =
        checked_mul(specs[i].shape.rows(), tensor.encoding.row_bytes(specs[i].shape.cols()));
    tensors.push_back(std::move(tensor));
  }
  return tensors;
}

// Queries and keys go from the source's order of rows to the output's.
void order_rows(const PlanInput& input, bool interleaved, PlannedOutput& output) {
  if (input.config.rope_interleaved == interleaved) return;
  for (PlannedTensor& tensor : output.tensors) {
    const model::Role role = tensor.spec.key.role;
    if (role != model::Role::kAttnQ && role != model::Role::kAttnK) continue;
    tensor.row_order = interleaved ? RowOrder::kInterleave : RowOrder::kSeparate;
    tensor.head_dim = input.config.head_dim;
  }
}

// A llama3 scaling is a tensor in GGUF, which comes where its name belongs in llama.cpp's order.
void add_rope_factors(const model::ModelConfig& config, PlannedOutput& output) {
  using Kind = model::RopeScaling::Kind;
  const Kind kind = config.rope_scaling.kind;
  if (kind != Kind::kLlama3 && kind != Kind::kFactors) return;
  const std::vector<float> factors = model::rope_factors(config);
  PlannedTensor tensor;
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

void sum_up(PlannedOutput& output, const model::ModelConfig& config) {
  for (const PlannedTensor& tensor : output.tensors) output.tensor_bytes += tensor.bytes;
  for (const PlannedFile& file : output.files) output.file_bytes += file.bytes;
  for (const SmallFile& file : output.small_files) output.file_bytes += file.content.size();
  output.bits_per_weight = static_cast<double>(output.tensor_bytes) * 8 /
                           static_cast<double>(model::parameter_count(config));
}

// What the recipe makes of every tensor, and what there is to tell about it.
std::vector<PlannedTensor> choose(const PlanInput& input, const Recipe& recipe,
                                  std::span<const model::TensorSpec> specs,
                                  std::vector<Choice> choices, std::vector<std::string>& notes) {
  for (std::string& note : settle_stored(recipe, input.stored, specs, choices)) {
    notes.push_back(std::move(note));
  }
  for (std::string& note : raise_types(recipe, input.config, specs, choices)) {
    notes.push_back(std::move(note));
  }
  for (std::string& note : tell_substitutions(recipe, choices)) notes.push_back(std::move(note));
  return planned_tensors(specs, std::move(choices), recipe.format);
}

PlannedOutput plan_gguf(const PlanInput& input, const Recipe& recipe,
                        std::vector<std::string>& notes) {
  PlannedOutput output;
  output.format = Format::kGguf;
  output.method = recipe.method;
  output.path = recipe.output;
  model::require_gguf(input.config);
  const auto specs = in_gguf_order(input.config);
  output.tensors =
      choose(input, recipe, specs, choose_gguf_types(recipe, input.config, specs), notes);
  order_rows(input, input.config.architecture->gguf_interleaves_heads(), output);
  add_rope_factors(input.config, output);
  const GgufSource source{
      .name = input.name,
      .gguf = input.gguf.get(),
      .generation_config = input.generation_json.is_null() ? nullptr : &input.generation_json,
      .text = input.text ? &*input.text : nullptr};
  const auto metadata =
      make_gguf_metadata(input.config, info(*find_gguf_method(recipe.method)).file_type, source);
  std::vector<io::GgufSpec> stored;
  for (const PlannedTensor& tensor : output.tensors) {
    stored.push_back({tensor.name, tensor.encoding.dtype, tensor.spec.shape});
  }
  io::GgufLayout layout = io::lay_out_gguf(metadata, stored);
  for (std::size_t i = 0; i < output.tensors.size(); ++i) {
    output.tensors[i].planes[0] = {0, layout.offsets[i]};
  }
  output.files.push_back({"", std::move(layout.header), layout.file_bytes});
  sum_up(output, input.config);
  return output;
}

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

// Fills shards in order, each up to the limit. Returns the first tensor of every shard.
std::vector<std::size_t> split_shards(std::span<const PlannedTensor> tensors) {
  std::vector<std::size_t> starts;
  std::uint64_t used = 0;
  for (std::size_t i = 0; i < tensors.size(); ++i) {
    if (starts.empty() || used + tensors[i].bytes > kShardBytes) {
      starts.push_back(i);
      used = 0;
    }
    used += tensors[i].bytes;
  }
  return starts;
}

void lay_out_shards(PlannedOutput& output) {
  const auto starts = split_shards(output.tensors);
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

PlannedOutput plan_mlx(const PlanInput& input, const Recipe& recipe,
                       std::vector<std::string>& notes) {
  PlannedOutput output;
  output.format = Format::kMlx;
  output.method = recipe.method;
  output.path = recipe.output;
  model::require_mlx(input.config);
  if (std::string note = input.config.architecture->caution_in_mlx(input.config); !note.empty()) {
    notes.push_back(std::move(note));
  }
  const auto specs = model::tensors_of(input.config);
  const DType plain = *find_mlx_method(recipe.method) == 16 ? DType::kBF16 : input.plain;
  output.tensors = choose(input, recipe, specs, choose_mlx_types(recipe, plain, specs), notes);
  order_rows(input, false, output);
  lay_out_shards(output);
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

}  // namespace

std::uint64_t PlannedTensor::target_row(std::uint64_t row) const noexcept {
  if (row_order == RowOrder::kSame) return row;
  const std::uint64_t half = head_dim / 2, in_head = row % head_dim, head = row - in_head;
  if (row_order == RowOrder::kInterleave) return head + in_head % half * 2 + in_head / half;
  return head + in_head % 2 * half + in_head / 2;
}

Plan make_plan(const PlanInput& input, const std::vector<Recipe>& recipes, int threads) {
  Plan plan;
  plan.notes = input.notes;
  for (const Recipe& recipe : recipes) {
    plan.outputs.push_back(recipe.format == Format::kGguf ? plan_gguf(input, recipe, plan.notes)
                                                          : plan_mlx(input, recipe, plan.notes));
  }
  std::uint64_t widest = 0;
  for (const model::TensorSpec& tensor : model::tensors_of(input.config)) {
    widest = std::max(widest, tensor.shape.cols());
  }
  const std::uint64_t piece = std::max(input.piece, piece_rows(widest, 1) * widest);
  plan.peak_memory_bytes = kBaseMemory + workers_bytes(widest, piece, threads, recipes.size());
  for (const SmallFile& file : input.companions) plan.peak_memory_bytes += 4 * file.content.size();
  for (const PlannedOutput& output : plan.outputs) {
    for (const PlannedFile& file : output.files) plan.peak_memory_bytes += 4 * file.header.size();
    for (const SmallFile& file : output.small_files) {
      plan.peak_memory_bytes += 2 * file.content.size();
    }
  }
  return plan;
}

nlohmann::ordered_json to_json(const Plan& plan) {
  using nlohmann::ordered_json;
  ordered_json outputs = ordered_json::array();
  for (const PlannedOutput& output : plan.outputs) {
    ordered_json tensors = ordered_json::array();
    for (const PlannedTensor& tensor : output.tensors) {
      const auto dims = tensor.spec.shape.dims();
      tensors.push_back({{"name", tensor.name},
                         {"shape", std::vector<std::uint64_t>(dims.begin(), dims.end())},
                         {"type", tensor.encoding.name()},
                         {"bytes", tensor.bytes},
                         {"reason", tensor.reason}});
    }
    outputs.push_back({{"format", format_name(output.format)},
                       {"method", output.method},
                       {"path", output.path.native()},
                       {"file_bytes", output.file_bytes},
                       {"tensor_bytes", output.tensor_bytes},
                       {"bits_per_weight", output.bits_per_weight},
                       {"tensors", std::move(tensors)}});
  }
  return {{"outputs", std::move(outputs)},
          {"notes", plan.notes},
          {"peak_memory_bytes", plan.peak_memory_bytes}};
}

}  // namespace pajamas::quantize
