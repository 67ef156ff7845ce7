#include "quantize/plan.h"

#include <algorithm>
#include <nlohmann/json.hpp>

#include "base/error.h"
#include "quantize/execute.h"
#include "quantize/output_format.h"
#include "quantize/pieces.h"
#include "quantize/plan_input.h"
#include "tensor/rows.h"

namespace pajamas::quantize {
namespace {

// What the program takes before any weight is read: code, tables, the tokenizer while it is built.
constexpr std::uint64_t kBaseMemory = 48u << 20;

}  // namespace

std::uint64_t PlannedTensor::target_row(std::uint64_t row) const noexcept {
  if (row_order == RowOrder::kSame) return row;
  const std::uint64_t half = head_dim / 2, in_head = row % head_dim, head = row - in_head;
  if (row_order == RowOrder::kInterleave) return head + in_head % half * 2 + in_head / half;
  return head + in_head % 2 * half + in_head / 2;
}

std::uint64_t PlannedTensor::rows_before(std::size_t plane, std::uint64_t row) const {
  const std::uint64_t in_matrix = spec.is_stack() ? spec.shape[1] : spec.shape.rows();
  PJ_CHECK(row % in_matrix % encoding.rows_sharing(plane) == 0);
  return row / in_matrix * stored_rows(encoding, plane, in_matrix) +
         stored_rows(encoding, plane, row % in_matrix);
}

const PlannedTensor* first_needing_importance(const PlannedOutput& output) noexcept {
  const auto found = std::ranges::find_if(output.tensors, [](const PlannedTensor& tensor) {
    return !tensor.repacked && needs_importance(tensor.spec, tensor.encoding);
  });
  return found == output.tensors.end() ? nullptr : &*found;
}

Plan make_plan(const PlanInput& input, const std::vector<Recipe>& recipes, int threads) {
  Plan plan;
  plan.notes = input.notes;
  for (const Recipe& recipe : recipes) {
    plan.outputs.push_back(output_format(recipe.format).plan(input, recipe, plan.notes));
  }
  std::uint64_t widest = 0, sharing = 1;
  for (const model::TensorSpec& tensor : model::tensors_of(input.config)) {
    widest = std::max(widest, tensor.shape.cols());
  }
  for (const PlannedOutput& output : plan.outputs) {
    for (const PlannedTensor& tensor : output.tensors) {
      sharing = std::max(sharing, rows_sharing(tensor.encoding));
    }
  }
  const std::uint64_t piece = std::max(input.piece, piece_rows(widest, sharing) * widest);
  plan.peak_memory_bytes =
      kBaseMemory + workers_bytes(widest, sharing, piece, threads, recipes.size());
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
      const model::TensorKey& key = tensor.spec.key;
      tensors.push_back({{"name", tensor.name},
                         {"role", model::role_name(key.role)},
                         {"layer", key.layer < 0 ? ordered_json() : ordered_json(key.layer)},
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
