#include "cli/targets_report.h"

#include <fmt/format.h>

#include <algorithm>
#include <nlohmann/json.hpp>

#include "base/error.h"
#include "bench/hardware.h"
#include "cli/expectation.h"
#include "cli/measured_model.h"
#include "cli/terminal.h"
#include "quantize/output_format.h"

namespace pajamas::cli {
namespace {

using nlohmann::ordered_json;

constexpr const char* kFormula =
    "tokens_per_second = bytes_per_second / (weight_bytes_per_token + kv_cache_bytes_per_token)";

std::string_view goal_name(GoalAs as) {
  switch (as) {
    case GoalAs::kFile:
      return "file";
    case GoalAs::kMemory:
      return "resident memory";
    case GoalAs::kPossible:
      return "missed";
    case GoalAs::kNothing:
      return "impossible";
  }
  return "";
}

std::string streamed_part(const ModelPresets& model) {
  return model.is_mixture() ? "experts" : "layers";
}

double bits_for(std::uint64_t bytes, std::uint64_t weights) {
  return static_cast<double>(bytes) * 8 / static_cast<double>(std::max<std::uint64_t>(1, weights));
}

// What stands behind a goal, for people. Where no file is that small the bits say why.
std::string goal_text(const ModelPresets& model, const OutputNeeds& output, std::uint64_t goal) {
  const bool possible = model.smallest_file <= goal;
  const std::string as_file =
      fmt::format("as a file {:.2f} bits a weight{}", bits_for(goal, model.weights),
                  possible ? "" : ", impossible");
  switch (goal_as(model, output, goal)) {
    case GoalAs::kFile:
      return "as a file";
    case GoalAs::kMemory:
      return fmt::format("as resident memory, {} streamed ({})", streamed_part(model), as_file);
    case GoalAs::kPossible:
    case GoalAs::kNothing:
      return fmt::format("not ({})", as_file);
  }
  return "";
}

std::optional<double> prediction(const bench::Hardware& hardware, std::uint64_t bytes_per_token,
                                 std::uint64_t memory) {
  if (memory > hardware.memory_bytes) return std::nullopt;
  return predicted_rate(hardware.bytes_per_second, bytes_per_token);
}

void print_predictions_head(std::string_view first) {
  fmt::print("  {:<18}", first);
  for (const bench::Hardware& hardware : bench::known_hardware()) {
    fmt::print(" {:>9}", hardware.name);
  }
  fmt::print("\n");
}

void print_predictions(std::string_view label, std::uint64_t bytes_per_token,
                       std::uint64_t memory) {
  fmt::print("  {:<18}", label);
  for (const bench::Hardware& hardware : bench::known_hardware()) {
    const auto rate = prediction(hardware, bytes_per_token, memory);
    fmt::print(" {:>9}", rate ? readable_rate(*rate) : "-");
  }
  fmt::print("\n");
}

ordered_json predictions_json(std::uint64_t bytes_per_token, std::uint64_t memory) {
  ordered_json all = ordered_json::array();
  for (const bench::Hardware& hardware : bench::known_hardware()) {
    const auto rate = prediction(hardware, bytes_per_token, memory);
    all.push_back({{"hardware", hardware.name},
                   {"predicted_tokens_per_second", rate ? ordered_json(*rate) : ordered_json()},
                   {"fits", rate.has_value()}});
  }
  return all;
}

template <class T>
ordered_json known_or_null(const std::optional<T>& value) {
  return value ? ordered_json(*value) : ordered_json();
}

ordered_json quality_json(const MadeModel& model) {
  if (!model.measured || !model.measured->has_quality()) return {};
  const MeasuredFigures& m = *model.measured;
  ordered_json out = {{"perplexity", known_or_null(m.perplexity)},
                      {"perplexity_stderr", known_or_null(m.perplexity_stderr)},
                      {"reference", m.reference},
                      {"loss_percent", known_or_null(m.loss_percent)},
                      {"kl_mean", known_or_null(m.kl_mean)},
                      {"kl_stderr", known_or_null(m.kl_stderr)}};
  out["mmlu_accuracy"] = m.mmlu ? ordered_json(m.mmlu->accuracy) : ordered_json();
  return out;
}

// Speed here, as it is shown: one measured now, or told by a report.
struct ShownSpeed {
  double rate = 0;
  std::uint64_t context = 0, resident = 0;
  std::string where;
};
std::optional<ShownSpeed> speed_of(const MadeModel& model) {
  if (model.speed) {
    for (const bench::DepthResult& result : model.speed->results) {
      if (!result.generation_rate) continue;
      return ShownSpeed{result.generation_rate->median, result.context, result.resident_bytes,
                        fmt::format("{}, measured now", model.speed->backend)};
    }
    return std::nullopt;
  }
  if (!model.measured) return std::nullopt;
  for (const MeasuredRates& rates : model.measured->rates) {
    if (!rates.generation) continue;
    return ShownSpeed{*rates.generation, rates.context, rates.resident_memory_bytes,
                      fmt::format("{}{}{}, as reported", model.measured->backend,
                                  model.measured->processor.empty() ? "" : ", ",
                                  printable(model.measured->processor, 100))};
  }
  return std::nullopt;
}

void print_quality(const MadeModel& model) {
  if (!model.measured || !model.measured->has_quality()) {
    fmt::print(
        "  quality     not measured: `validate --json` measures it, --measured takes that\n");
    return;
  }
  const MeasuredFigures& m = *model.measured;
  std::string text;
  const auto add = [&](const std::string& part) { text += (text.empty() ? "" : ", ") + part; };
  if (m.perplexity) add(fmt::format("perplexity {:.4f}", *m.perplexity));
  if (m.loss_percent) add(fmt::format("{:+.2f} %", *m.loss_percent));
  if (m.kl_mean) add(fmt::format("mean KL {:.5f} nats", *m.kl_mean));
  if (!m.reference.empty()) add(fmt::format("against {}", printable(m.reference, 200)));
  if (m.mmlu) {
    add(fmt::format("MMLU {:.1f} % of {} questions", m.mmlu->accuracy * 100, m.mmlu->questions));
  }
  fmt::print("  quality     {}\n", text);
}

}  // namespace

GoalAs goal_as(const ModelPresets& model, const OutputNeeds& output, std::uint64_t goal) {
  if (output.file_bytes <= goal) return GoalAs::kFile;
  if (output.streamed_memory <= goal) return GoalAs::kMemory;
  return model.smallest_file <= goal ? GoalAs::kPossible : GoalAs::kNothing;
}

void print_targets(const ModelPresets& model) {
  fmt::print("{}\n",
             paint(fmt::format("{}: {} weights, {}", printable(model.name, 200),
                               with_thousands(model.weights), quantize::kind_name(model.kind)),
                   Colour::kBold, stdout));
  fmt::print("  {:<9} {:<6} {:>9} {:>11} {:>9} {:>9} {:>9}  {}\n", "preset", "format", "file",
             "bits/weight", "memory", "streamed", "goal", "the goal is met");
  bool any_goal = false;
  for (const PresetNeeds& needs : model.presets) {
    for (const OutputNeeds& output : needs.outputs) {
      const bool first = &output == &needs.outputs.front();
      any_goal = any_goal || needs.goal_bytes;
      fmt::print("  {:<9} {:<6} {:>9} {:>11.3f} {:>9} {:>9} {:>9}  {}\n",
                 first ? needs.preset->name : "", quantize::format_name(output.output->format),
                 readable_bytes(output.file_bytes), output.bits_per_weight,
                 readable_bytes(output.memory_bytes), readable_bytes(output.streamed_memory),
                 needs.goal_bytes ? readable_bytes(*needs.goal_bytes) : "-",
                 needs.goal_bytes ? goal_text(model, output, *needs.goal_bytes) : "no goal");
    }
  }
  if (any_goal) {
    fmt::print(
        "  {} weights at the {:.2f} bits of the smallest types are a file of {}: no file is "
        "smaller\n",
        with_thousands(model.weights), model.smallest_bits(), readable_bytes(model.smallest_file));
  }
  print_predictions_head("predicted tokens/s");
  for (const PresetNeeds& needs : model.presets) {
    for (const OutputNeeds& output : needs.outputs) {
      print_predictions(
          fmt::format("{}, {}", needs.preset->name, quantize::format_name(output.output->format)),
          output.bytes_per_token, output.memory_bytes);
    }
  }
  fmt::print(
      "  memory: file, the preset's KV cache of {} tokens, work; streamed: with {} read from "
      "the disk\n  for each token, which `run` of this version cannot\n\n",
      with_thousands(model.context),
      model.is_mixture() ? "the experts of two layers at a time" : "two layers at a time");
}

void print_targets(const MadeModel& model) {
  fmt::print("{}\n",
             paint(fmt::format("{}: {}, {}, {} weights", printable(model.name, 200), model.format,
                               model.quantization, with_thousands(model.weights)),
                   Colour::kBold, stdout));
  fmt::print("  aimed at    {}\n", model.target.empty() ? "a method: it names no preset and no size"
                                                        : printable(model.target, 100));
  if (model.goal_bytes) {
    fmt::print("  goal        {} for {} ({:.2f} bits a weight as a file): {}\n",
               readable_bytes(*model.goal_bytes), model.goal_preset,
               bits_for(*model.goal_bytes, model.weights),
               model.file_bytes <= *model.goal_bytes ? "met as a file" : "not met as a file");
  }
  fmt::print("  file        {}, {:.3f} bits a weight\n", readable_bytes(model.file_bytes),
             model.bits_per_weight);
  fmt::print("  memory      {} computed: weights, {} KV cache of {} tokens, work\n",
             readable_bytes(model.memory_bytes), model.kv_cache, with_thousands(model.context));
  print_quality(model);
  if (const auto speed = speed_of(model)) {
    fmt::print("  speed here  {} tokens/s with {} in the cache ({}){}\n",
               readable_rate(speed->rate), with_thousands(speed->context), speed->where,
               speed->resident == 0
                   ? ""
                   : fmt::format("; resident memory then {}", readable_bytes(speed->resident)));
  } else {
    fmt::print("  speed here  not measured{}\n", model.speed_note);
  }
  fmt::print("  a token reads {}: {} of weights, {} of {} tokens in the KV cache\n",
             readable_bytes(model.bytes_per_token()), readable_bytes(model.weight_bytes_per_token),
             readable_bytes(model.cache_bytes_per_token), with_thousands(model.depth));
  print_predictions_head("predicted tokens/s");
  print_predictions("", model.bytes_per_token(), model.memory_bytes);
  fmt::print("\n");
}

void print_hardware() {
  fmt::print(
      "Predicted, not measured: tokens/s = bandwidth / bytes that a token reads (weights, "
      "and keys and values);\ncomputing comes on top, so no more are possible. \"-\": the "
      "memory does not hold it.\n");
  std::string line;
  for (const bench::Hardware& hardware : bench::known_hardware()) {
    line += fmt::format("{}{} {:.0f} GB/s and {:.0f} GiB", line.empty() ? "" : ", ", hardware.name,
                        hardware.bytes_per_second / 1e9,
                        static_cast<double>(hardware.memory_bytes) / (1ull << 30));
  }
  fmt::print("{}.\n", line);
}

ordered_json targets_json(const ModelPresets& model) {
  ordered_json presets = ordered_json::array();
  for (const PresetNeeds& needs : model.presets) {
    ordered_json outputs = ordered_json::array();
    for (const OutputNeeds& output : needs.outputs) {
      ordered_json row = {
          {"format", quantize::format_name(output.output->format)},
          {"types", output.output->what},
          {"file_bytes", output.file_bytes},
          {"bits_per_weight", output.bits_per_weight},
          {"memory_bytes", output.memory_bytes},
          {"streamed_memory_bytes", output.streamed_memory},
          {"goal_met_as", needs.goal_bytes
                              ? ordered_json(goal_name(goal_as(model, output, *needs.goal_bytes)))
                              : ordered_json()},
          {"bytes_per_token", output.bytes_per_token}};
      row["predicted"] = predictions_json(output.bytes_per_token, output.memory_bytes);
      outputs.push_back(std::move(row));
    }
    presets.push_back({{"preset", needs.preset->name},
                       {"kv_cache", needs.preset->kv_cache},
                       {"goal_bytes", known_or_null(needs.goal_bytes)},
                       {"outputs", std::move(outputs)}});
  }
  return {{"model", model.name},
          {"kind", quantize::kind_name(model.kind)},
          {"weights", model.weights},
          {"context", model.context},
          {"smallest_file_bytes", model.smallest_file},
          {"presets", std::move(presets)}};
}

ordered_json targets_json(const MadeModel& model) {
  const auto speed = speed_of(model);
  ordered_json out = {
      {"model", model.name},
      {"target", model.target.empty() ? ordered_json() : ordered_json(model.target)},
      {"goal_bytes", known_or_null(model.goal_bytes)},
      {"format", model.format},
      {"quantization", model.quantization},
      {"weights", model.weights},
      {"file_bytes", model.file_bytes},
      {"bits_per_weight", model.bits_per_weight},
      {"context", model.context},
      {"kv_cache", model.kv_cache},
      {"memory_bytes", model.memory_bytes},
      {"quality", quality_json(model)}};
  out["speed"] =
      !speed ? ordered_json()
             : ordered_json{{"generation_tokens_per_second", speed->rate},
                            {"context", speed->context},
                            {"resident_memory_bytes",
                             speed->resident == 0 ? ordered_json() : ordered_json(speed->resident)},
                            {"where", speed->where}};
  out["weight_bytes_per_token"] = model.weight_bytes_per_token;
  out["kv_cache_bytes_per_token"] = model.cache_bytes_per_token;
  out["kv_cache_tokens"] = model.depth;
  out["predicted"] = predictions_json(model.bytes_per_token(), model.memory_bytes);
  return out;
}

ordered_json hardware_json() {
  ordered_json all = ordered_json::array();
  for (const bench::Hardware& hardware : bench::known_hardware()) {
    all.push_back({{"name", hardware.name},
                   {"bytes_per_second", hardware.bytes_per_second},
                   {"memory_bytes", hardware.memory_bytes},
                   {"source", hardware.source}});
  }
  return {{"formula", kFormula}, {"hardware", std::move(all)}};
}

}  // namespace pajamas::cli
