#include "quantize/plan_steps.h"

#include <fmt/format.h>

#include "base/bytes.h"
#include "base/error.h"
#include "quantize/output_format.h"

namespace pajamas::quantize {
namespace {

// Each takes two descriptors while it is written, of the 1024 that a process usually has.
constexpr std::size_t kMostFiles = 200;

std::vector<PlannedTensor> planned_tensors(std::span<const model::TensorSpec> specs,
                                           std::vector<Choice> choices, Format format) {
  const OutputFormat& output = output_format(format);
  std::vector<PlannedTensor> tensors;
  for (std::size_t i = 0; i < specs.size(); ++i) {
    PlannedTensor tensor;
    tensor.spec = specs[i];
    tensor.name = output.tensor_name(specs[i]);
    tensor.encoding = choices[i].encoding;
    tensor.reason = std::move(choices[i].reason);
    tensor.repacked = choices[i].repacked;
    for (std::size_t plane = 0; plane < tensor.encoding.planes(); ++plane) {
      tensor.bytes = checked_add(
          tensor.bytes, checked_mul(tensor.rows_before(plane, specs[i].shape.rows()),
                                    tensor.encoding.plane_row_bytes(plane, specs[i].shape.cols())));
    }
    tensors.push_back(std::move(tensor));
  }
  return tensors;
}

}  // namespace

const std::string& suggested_kv_cache(const PlanInput& input, const Recipe& recipe) noexcept {
  return recipe.kv_cache_type.empty() ? input.config.kv_cache_type : recipe.kv_cache_type;
}

PlannedOutput begin_output(const Recipe& recipe) {
  PlannedOutput output;
  output.format = recipe.format;
  output.method = recipe.label.empty() ? recipe.method : recipe.label;
  output.path = recipe.output;
  return output;
}

std::vector<PlannedTensor> settle_tensors(const PlanInput& input, const Recipe& recipe,
                                          std::span<const model::TensorSpec> specs,
                                          std::vector<Choice> choices,
                                          std::vector<std::string>& notes) {
  for (std::string& note : settle_stored(recipe, input.stored, specs, choices)) {
    notes.push_back(std::move(note));
  }
  for (std::string& note : raise_types(recipe, input.config, specs, choices)) {
    notes.push_back(std::move(note));
  }
  for (std::string& note : tell_substitutions(recipe, choices)) notes.push_back(std::move(note));
  return planned_tensors(specs, std::move(choices), recipe.format);
}

void order_rows(const PlanInput& input, bool interleaved, PlannedOutput& output) {
  if (input.config.rope_interleaved == interleaved) return;
  for (PlannedTensor& tensor : output.tensors) {
    const model::Role role = tensor.spec.key.role;
    if (role != model::Role::kAttnQ && role != model::Role::kAttnK) continue;
    tensor.row_order = interleaved ? RowOrder::kInterleave : RowOrder::kSeparate;
    tensor.head_dim = input.config.head_dim;
  }
}

void sum_up(PlannedOutput& output, const model::ModelConfig& config) {
  if (output.files.size() > kMostFiles) {
    throw Error(
        ErrorCode::kUsage,
        fmt::format("makes {} files, at most {} are written", output.files.size(), kMostFiles),
        "give a larger size")
        .at("--split-size");
  }
  for (const PlannedTensor& tensor : output.tensors) output.tensor_bytes += tensor.bytes;
  for (const PlannedFile& file : output.files) output.file_bytes += file.bytes;
  for (const SmallFile& file : output.small_files) output.file_bytes += file.content.size();
  output.bits_per_weight = static_cast<double>(output.tensor_bytes) * 8 /
                           static_cast<double>(model::parameter_count(config));
}

}  // namespace pajamas::quantize
