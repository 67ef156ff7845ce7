#include "bench/shape.h"

#include <fmt/format.h>

#include "base/bytes.h"
#include "base/error.h"
#include "base/output.h"
#include "base/readable.h"
#include "base/suggest.h"
#include "base/system.h"
#include "bench/bytes_read.h"
#include "quantize/output_format.h"
#include "quantize/plan.h"

namespace pajamas::bench {
namespace {

// The first format that has such a method.
quantize::Recipe recipe_for(std::string_view method) {
  std::vector<std::string_view> names;
  for (const quantize::OutputFormat* format : quantize::output_formats()) {
    if (const auto found = format->find_method(method)) {
      quantize::Recipe recipe;
      recipe.format = format->id();
      recipe.method = *found;
      recipe.output = "model";
      return recipe;
    }
    for (const std::string_view name : format->methods()) names.push_back(name);
  }
  throw Error(ErrorCode::kUsage, fmt::format("\"{}\" is no known method", printable(method, 40)),
              did_you_mean(method, names) + "see `llama-pajamas quantize --help`")
      .at("--method");
}

// As `quantize` writes it, which keeps what is published in few bits as it is; where it would
// refuse to quantize that again, it is done all the same: no number suffers here.
quantize::Plan plan_of(const quantize::PlanInput& input, quantize::Recipe recipe) {
  try {
    return quantize::make_plan(input, {recipe}, 1);
  } catch (const Error& error) {
    if (error.code() != ErrorCode::kUsage) throw;
    recipe.allow_requantize = true;
    return quantize::make_plan(input, {std::move(recipe)}, 1);
  }
}

}  // namespace

ShapedModel shape_model(const quantize::PlanInput& input, std::string_view method) {
  const quantize::Recipe recipe = recipe_for(method);
  const quantize::Plan plan = plan_of(input, recipe);
  const quantize::PlannedOutput& output = plan.outputs.front();
  ShapedModel shape;
  shape.name = input.name;
  shape.format = quantize::format_name(recipe.format);
  shape.method = recipe.method;
  shape.config = input.config;
  for (const quantize::PlannedTensor& tensor : output.tensors) {
    if (!tensor.content.empty()) continue;  // the format's own, which no engine asks for
    shape.tensors.push_back({tensor.spec.key, tensor.spec.shape, tensor.encoding});
    shape.bytes_per_token +=
        bytes_per_token(input.config, tensor.spec.key.role, tensor.spec.shape, tensor.bytes);
  }
  shape.bytes = weights::GeneratedWeights::bytes_of(shape.tensors);
  return shape;
}

OpenedShape open_shape(const ShapedModel& shape, const runtime::EngineOptions& options,
                       const std::filesystem::path& folder, Progress& progress,
                       const StopFlag& stop) {
  const std::uint64_t run = runtime::memory_needs(shape.config, options).total();
  const std::uint64_t available = available_memory_bytes();
  OpenedShape opened;
  opened.in_file = available != 0 && checked_add(shape.bytes, run) > available;
  if (opened.in_file) {
    require_free_space(folder / "weights", shape.bytes);
    progress.note(fmt::format(
        "the weights take {} and {} of memory are free: they are made in {}, and read from there",
        readable_bytes(shape.bytes), readable_bytes(available), printable(folder.native(), 300)));
  }
  ScratchMemory memory = opened.in_file ? ScratchMemory::in_file(folder, shape.bytes)
                                        : ScratchMemory::in_memory(shape.bytes);
  auto store = std::make_shared<const weights::GeneratedWeights>(
      shape.config, shape.tensors, std::move(memory), *options.kernels, *options.pool, progress,
      stop);
  const double began = seconds_now();
  opened.engine = options.backend->open_store(std::move(store), options);
  opened.open_seconds = seconds_now() - began;
  return opened;
}

}  // namespace pajamas::bench
