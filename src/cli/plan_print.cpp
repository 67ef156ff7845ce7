#include "cli/plan_print.h"

#include <fmt/format.h>

#include <algorithm>
#include <map>
#include <string>
#include <vector>

#include "cli/terminal.h"
#include "runtime/backend.h"

namespace pajamas::cli {
namespace {

struct PlannedTypeTotal {
  std::string name;
  std::uint64_t tensors = 0;
  std::uint64_t weights = 0;
  std::uint64_t bytes = 0;
};

// What takes most comes first.
std::vector<PlannedTypeTotal> totals_of(const quantize::PlannedOutput& output) {
  std::map<std::string, PlannedTypeTotal> by_name;
  for (const quantize::PlannedTensor& tensor : output.tensors) {
    PlannedTypeTotal& total = by_name[tensor.encoding.name()];
    ++total.tensors;
    total.weights += tensor.spec.shape.elements();
    total.bytes += tensor.bytes;
  }
  std::vector<PlannedTypeTotal> totals;
  for (auto& [name, total] : by_name) {
    total.name = name;
    totals.push_back(std::move(total));
  }
  std::ranges::stable_sort(totals, std::greater(), &PlannedTypeTotal::bytes);
  return totals;
}

void print_line(const quantize::PlannedOutput& output) {
  fmt::print("{:<5} {:<7} {:>10}  {:.3f} bits per weight  {}\n",
             quantize::format_name(output.format), output.method, readable_bytes(output.file_bytes),
             output.bits_per_weight, output.path.native());
}

}  // namespace

void print_summary(const quantize::Plan& plan) {
  for (const quantize::PlannedOutput& output : plan.outputs) print_line(output);
}

void print_types(const quantize::Plan& plan) {
  for (const quantize::PlannedOutput& output : plan.outputs) {
    print_line(output);
    fmt::print("  {:<10} {:>7} {:>16} {:>16}\n", "type", "tensors", "weights", "bytes");
    for (const PlannedTypeTotal& total : totals_of(output)) {
      fmt::print("  {:<10} {:>7} {:>16} {:>16}\n", total.name, with_thousands(total.tensors),
                 with_thousands(total.weights), with_thousands(total.bytes));
    }
  }
}

void print_memory(const quantize::Plan& plan, const model::ModelConfig& config,
                  runtime::EngineOptions options) {
  const std::uint64_t work = runtime::memory_needs(config, options).total();
  for (const quantize::PlannedOutput& output : plan.outputs) {
    fmt::print("memory to run {}: {} ({} of weights and {} for {} tokens)\n", output.method,
               readable_bytes(output.file_bytes + work), readable_bytes(output.file_bytes),
               readable_bytes(work), with_thousands(options.context));
  }
  fmt::print("memory to quantize: at most {}\n", readable_bytes(plan.peak_memory_bytes));
  std::string sizes;
  for (const runtime::KvTypeInfo& type : runtime::kKvTypes) {
    options.kv_type = type.id;
    sizes += fmt::format("{}{} {}", sizes.empty() ? "" : ", ", type.name,
                         readable_bytes(runtime::memory_needs(config, options).keys_values));
  }
  fmt::print("KV cache for {} tokens: {}\n", with_thousands(options.context), sizes);
}

void print_tensors(const quantize::Plan& plan) {
  for (const quantize::PlannedOutput& output : plan.outputs) {
    std::size_t name_width = 6;
    std::size_t shape_width = 5;
    for (const auto& tensor : output.tensors) {
      name_width = std::max(name_width, tensor.name.size());
      shape_width = std::max(shape_width, tensor.spec.shape.to_string().size());
    }
    fmt::print("\n{} {}\n", quantize::format_name(output.format), output.method);
    fmt::print("  {:<{}}  {:<{}}  {:<9} {:>15}  {}\n", "tensor", name_width, "shape", shape_width,
               "type", "bytes", "why");
    for (const auto& tensor : output.tensors) {
      fmt::print("  {:<{}}  {:<{}}  {:<9} {:>15}  {}\n", tensor.name, name_width,
                 tensor.spec.shape.to_string(), shape_width, tensor.encoding.name(),
                 with_thousands(tensor.bytes), tensor.reason);
    }
  }
}

}  // namespace pajamas::cli
