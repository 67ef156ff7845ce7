#include "cli/expectation.h"

#include <fmt/format.h>

#include <algorithm>

#include "base/error.h"
#include "bench/bytes_read.h"
#include "cli/terminal.h"
#include "quantize/output_format.h"
#include "quantize/plan_input.h"
#include "runtime/backend.h"

namespace pajamas::cli {
namespace {

using quantize::Format;

constexpr std::size_t kOffered = 2;  // ways out that a hint names

MethodNeeds needs_of(const quantize::PlanInput& input, std::string_view method,
                     std::uint64_t run_bytes) {
  quantize::Recipe recipe;
  recipe.method = method;
  const quantize::Plan plan = quantize::make_plan(input, {recipe}, 1);
  const quantize::PlannedOutput& output = plan.outputs.front();
  MethodNeeds needs;
  needs.method = method;
  needs.file_bytes = output.file_bytes;
  needs.memory_bytes = output.file_bytes + run_bytes;
  for (const quantize::PlannedTensor& tensor : output.tensors) {
    needs.bytes_per_token +=
        bench::bytes_per_token(input.config, tensor.spec.key.role, tensor.spec.shape, tensor.bytes);
  }
  return needs;
}

}  // namespace

std::vector<MethodNeeds> needs_by_method(const quantize::PlanInput& input,
                                         const runtime::EngineOptions& options) {
  const std::uint64_t run_bytes = runtime::memory_needs(input.config, options).total();
  std::vector<MethodNeeds> all;
  if (!input.stored.empty()) all.push_back(needs_of(input, "MXFP4_MOE", run_bytes));
  for (const std::string_view method : quantize::output_format(Format::kGguf).ladder()) {
    MethodNeeds needs = needs_of(input, method, run_bytes);
    if (all.empty() || needs.file_bytes < all.back().file_bytes) all.push_back(std::move(needs));
  }
  return all;
}

std::optional<MethodNeeds> best_that_fits(std::span<const MethodNeeds> needs,
                                          std::uint64_t available) {
  for (const MethodNeeds& each : needs) {
    if (each.memory_bytes <= available) return each;
  }
  return std::nullopt;
}

double predicted_rate(double bytes_per_second, std::uint64_t bytes_per_token) {
  return bytes_per_second / static_cast<double>(std::max<std::uint64_t>(1, bytes_per_token));
}

std::string methods_that_fit(const quantize::PlanInput& input,
                             std::span<const quantize::Recipe> recipes, std::uint64_t limit) {
  // Of several outputs of one format the first stands for what is hoped for.
  std::vector<Format> formats;
  std::vector<quantize::Recipe> wanted;
  for (const quantize::Recipe& recipe : recipes) {
    if (std::ranges::count(formats, recipe.format) > 0) continue;
    formats.push_back(recipe.format);
    wanted.push_back(recipe);
  }
  // The names of one are translated for the others.
  const Format first = *std::ranges::min_element(formats);
  std::string found;
  std::size_t offered = 0;
  for (const std::string_view method : quantize::output_format(first).ladder()) {
    const auto chosen = quantize::choose_methods(formats, method);
    std::vector<quantize::Recipe> smaller = wanted;
    for (std::size_t i = 0; i < smaller.size(); ++i) smaller[i].method = chosen.names[i].front();
    std::uint64_t bytes = 0;
    try {
      for (const auto& output : quantize::make_plan(input, smaller, 1).outputs) {
        bytes += output.file_bytes;
      }
    } catch (const Error&) {
      continue;  // what the other flags ask for cannot be had with it
    }
    if (bytes > limit) continue;
    found += fmt::format("{}{} ({})", offered == 0 ? "--method " : " or ", method,
                         readable_bytes(bytes));
    if (++offered == kOffered) break;
  }
  return found;
}

}  // namespace pajamas::cli
