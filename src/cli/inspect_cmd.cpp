// `inspect`: what a model file holds.
#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <map>
#include <memory>
#include <nlohmann/json.hpp>
#include <optional>

#include "base/error.h"
#include "base/output.h"
#include "base/suggest.h"
#include "bench/bytes_read.h"
#include "cli/command.h"
#include "cli/engine_options.h"
#include "cli/gguf_print.h"
#include "cli/load_model.h"
#include "cli/model_argument.h"
#include "cli/model_summary.h"
#include "cli/terminal.h"
#include "cli/text_option.h"
#include "model/checkpoint.h"
#include "model/rope_config.h"
#include "model/text_assets.h"
#include "weights/row_reader.h"

namespace pajamas::cli {
namespace {

using nlohmann::ordered_json;

struct InspectFlags {
  std::string model;
  bool no_download = false;
  std::string pre_tokenizer;
  std::string tensor;
  std::string raw_f32;
  bool force = false;
  std::string kernels;
  bool metadata = false;
  bool json = false;
};

// Values listed in JSON; a matrix of a large model would be gigabytes of text.
constexpr std::uint64_t kListedValues = 1 << 20;
constexpr std::uint64_t kShownValues = 8;

ordered_json hyperparameters(const model::ModelConfig& config) {
  ordered_json all = {
      {"layers", config.layers},         {"hidden_size", config.hidden},
      {"attention_heads", config.heads}, {"key_value_heads", config.kv_heads},
      {"head_dim", config.head_dim},     {"feed_forward_size", config.ffn},
      {"vocabulary_size", config.vocab}, {"context_length", config.context_length},
      {"rope_theta", config.rope_theta}, {"rope_scaling", model::describe(config.rope_scaling)},
      {"norm_epsilon", config.norm_eps}, {"tied_output", config.tied_output}};
  if (config.experts > 0) {
    all["experts"] = config.experts;
    all["experts_used"] = config.experts_used;
    all["expert_feed_forward_size"] = config.expert_ffn;
    all["layers_with_experts"] =
        config.layers - static_cast<std::uint64_t>(std::ranges::count(config.dense_layers, true));
  }
  return all;
}

// "full", or "sliding 128": what a token sees in each layer.
ordered_json attention_kinds(const model::ModelConfig& config) {
  ordered_json kinds = ordered_json::array();
  for (std::uint64_t i = 0; i < config.layers; ++i) {
    const std::uint64_t window = config.window(i);
    kinds.push_back(window == 0 ? std::string("full") : fmt::format("sliding {}", window));
  }
  return kinds;
}

std::string attention_summary(const ordered_json& kinds) {
  std::map<std::string, std::uint64_t> counts;
  for (const auto& kind : kinds) ++counts[kind.get<std::string>()];
  std::vector<std::string> parts;
  for (const auto& [kind, count] : counts) parts.push_back(fmt::format("{} in {}", kind, count));
  return fmt::format("{} of {} layers; the first is {}", fmt::join(parts, ", "), kinds.size(),
                     kinds.empty() ? "" : kinds[0].get<std::string>());
}

// What an output without tokenizer has to say about it: why there is none.
ordered_json tokenizer_summary(const model::Checkpoint& checkpoint, const InspectFlags& options,
                               Progress& progress) {
  try {
    const model::TextAssets assets = load_text(checkpoint, options.pre_tokenizer, progress);
    const auto special =
        std::count_if(assets.tokenizer.added_tokens.begin(), assets.tokenizer.added_tokens.end(),
                      [](const auto& token) { return token.special; });
    const auto id = [](std::optional<std::int32_t> value) {
      return value ? ordered_json(*value) : ordered_json();
    };
    const auto defined =
        std::count_if(assets.tokenizer.tokens.begin(), assets.tokenizer.tokens.end(),
                      [](const std::string& token) { return !token.empty(); });
    const auto pre = assets.pre_tokenizer.empty()
                         ? text::pre_tokenizer_name(assets.tokenizer)
                         : std::optional<std::string_view>(assets.pre_tokenizer);
    ordered_json template_names = ordered_json::array();
    for (const auto& [name, source] : assets.chat_templates) template_names.push_back(name);
    return {{"kind", "byte-level BPE"},
            {"pre_tokenizer", pre ? ordered_json(*pre) : ordered_json()},
            {"tokens", defined},
            {"merges", assets.tokenizer.merges.size()},
            {"special_tokens", special},
            {"bos_token_id", id(assets.special.bos)},
            {"eos_token_id", id(assets.special.eos)},
            {"stop_token_ids", assets.stop},
            {"add_bos", assets.add_bos},
            {"chat_template", !assets.chat_templates.empty()},
            {"chat_templates", template_names}};
  } catch (const Error& error) {
    return {{"error", error.what()}};
  }
}

struct TypeTotal {
  std::uint64_t tensors = 0;
  std::uint64_t weights = 0;
  std::uint64_t bytes = 0;
};

std::map<std::string, TypeTotal> totals_by_type(const model::Checkpoint& checkpoint) {
  std::map<std::string, TypeTotal> totals;
  for (const model::StoredTensor& tensor : checkpoint.tensors()) {
    TypeTotal& total = totals[tensor.encoding.name()];
    ++total.tensors;
    total.weights += tensor.shape.elements();
    total.bytes += tensor.bytes();
  }
  return totals;
}

ordered_json describe(const model::Checkpoint& checkpoint, const InspectFlags& options,
                      Progress& progress) {
  const std::uint64_t parameters = model::parameter_count(checkpoint.config());
  std::uint64_t bytes = 0;
  ordered_json types = ordered_json::array();
  for (const auto& [name, total] : totals_by_type(checkpoint)) {
    types.push_back({{"type", name},
                     {"tensors", total.tensors},
                     {"weights", total.weights},
                     {"bytes", total.bytes}});
    bytes += total.bytes;
  }
  ordered_json tensors = ordered_json::array();
  for (const model::StoredTensor& tensor : checkpoint.tensors()) {
    const auto dims = tensor.shape.dims();
    tensors.push_back({{"name", tensor.name},
                       {"shape", std::vector<std::uint64_t>(dims.begin(), dims.end())},
                       {"type", tensor.encoding.name()},
                       {"bytes", tensor.bytes()}});
  }
  return {{"format", model::container_name(checkpoint.container())},
          {"quantization", quantization_name(checkpoint)},
          {"architecture", checkpoint.config().architecture->name()},
          {"parameters", parameters},
          {"active_parameters", model::active_parameter_count(checkpoint.config())},
          {"bytes_per_token", bench::bytes_per_token(checkpoint)},
          {"file_bytes", file_bytes(checkpoint)},
          {"tensor_bytes", bytes},
          {"bits_per_weight", static_cast<double>(bytes) * 8 / static_cast<double>(parameters)},
          {"hyperparameters", hyperparameters(checkpoint.config())},
          {"attention", attention_kinds(checkpoint.config())},
          {"types", std::move(types)},
          {"tokenizer", tokenizer_summary(checkpoint, options, progress)},
          {"tensors", std::move(tensors)}};
}

void print_description(const ordered_json& d) {
  fmt::print("{} model, {}, {}, {} parameters\n", d["format"].get<std::string>(),
             d["architecture"].get<std::string>(), d["quantization"].get<std::string>(),
             with_thousands(d["parameters"].get<std::uint64_t>()));
  fmt::print("{} in files, {} in tensors, {:.3f} bits per weight\n\n",
             readable_bytes(d["file_bytes"].get<std::uint64_t>()),
             readable_bytes(d["tensor_bytes"].get<std::uint64_t>()),
             d["bits_per_weight"].get<double>());
  fmt::print("  {:<24} {}\n", "attention", attention_summary(d["attention"]));
  fmt::print("  {:<24} {}\n", "parameters of a token",
             with_thousands(d["active_parameters"].get<std::uint64_t>()));
  fmt::print("  {:<24} {}\n", "read for a token",
             readable_bytes(d["bytes_per_token"].get<std::uint64_t>()));
  for (const auto& [name, value] : d["hyperparameters"].items()) {
    fmt::print("  {:<24} {}\n", name, value.is_string() ? value.get<std::string>() : value.dump());
  }
  fmt::print("\n  {:<10} {:>8} {:>16} {:>18}\n", "type", "tensors", "weights", "bytes");
  for (const auto& type : d["types"]) {
    fmt::print("  {:<10} {:>8} {:>16} {:>18}\n", type["type"].get<std::string>(),
               type["tensors"].get<std::uint64_t>(),
               with_thousands(type["weights"].get<std::uint64_t>()),
               with_thousands(type["bytes"].get<std::uint64_t>()));
  }
  fmt::print("\n  tokenizer\n");
  for (const auto& [name, value] : d["tokenizer"].items()) {
    fmt::print("  {:<20} {}\n", name, value.is_string() ? value.get<std::string>() : value.dump());
  }
  fmt::print("\n  tensors are listed by --json; --tensor NAME shows one{}\n",
             d["format"] == "GGUF" ? "; --metadata shows every key" : "");
}

// Everything one pass over a tensor's rows can tell.
struct Statistics {
  double minimum = std::numeric_limits<double>::infinity();
  double maximum = -std::numeric_limits<double>::infinity();
  double sum = 0;
  double square_sum = 0;
  std::uint64_t zeros = 0;
  std::uint64_t not_finite = 0;
  std::uint64_t count = 0;
  std::vector<float> first;

  void add(std::span<const float> values) {
    for (const float value : values) {
      if (first.size() < kListedValues) first.push_back(value);
      ++count;
      zeros += value == 0 ? 1 : 0;
      if (!std::isfinite(value)) {
        ++not_finite;
        continue;
      }
      minimum = std::min(minimum, static_cast<double>(value));
      maximum = std::max(maximum, static_cast<double>(value));
      sum += value;
      square_sum += static_cast<double>(value) * value;
    }
  }
};

const model::StoredTensor& find_tensor(const model::Checkpoint& checkpoint,
                                       const std::string& name) {
  for (const model::StoredTensor& tensor : checkpoint.tensors()) {
    if (tensor.name == name) return tensor;
  }
  std::vector<std::string_view> names;
  for (const model::StoredTensor& tensor : checkpoint.tensors()) names.push_back(tensor.name);
  throw Error(
      ErrorCode::kNotFound, fmt::format("there is no tensor \"{}\"", printable(name, 80)),
      fmt::format(
          "{}names are like {}; `inspect --json` lists them", did_you_mean(name, names),
          checkpoint.tensors()[std::min<std::size_t>(1, checkpoint.tensors().size() - 1)].name))
      .at(printable(checkpoint.path().native(), 300));
}

Statistics read_tensor(const model::Checkpoint& checkpoint, const model::StoredTensor& tensor,
                       const InspectFlags& options, const Context& context) {
  weights::RowReader reader(checkpoint, chosen_kernels(options.kernels));
  std::optional<OutputFile> raw;
  if (!options.raw_f32.empty()) {
    raw.emplace(options.raw_f32, tensor.shape.elements() * sizeof(float),
                OutputOptions{.replace = options.force});
  }
  Statistics statistics;
  std::vector<float> row(tensor.shape.cols());
  for (std::uint64_t i = 0; i < tensor.shape.rows(); ++i) {
    context.stop.check();
    reader.read(tensor, i, 1, row);
    statistics.add(row);
    if (raw) raw->write_at(i * row.size() * sizeof(float), std::as_bytes(std::span(row)));
  }
  if (raw) raw->commit();
  return statistics;
}

ordered_json describe_tensor(const model::StoredTensor& tensor, const Statistics& s) {
  const double finite = static_cast<double>(std::max<std::uint64_t>(1, s.count - s.not_finite));
  const double mean = s.sum / finite;
  const auto dims = tensor.shape.dims();
  return {{"name", tensor.name},
          {"shape", std::vector<std::uint64_t>(dims.begin(), dims.end())},
          {"type", tensor.encoding.name()},
          {"bytes", tensor.bytes()},
          {"minimum", s.minimum},
          {"maximum", s.maximum},
          {"mean", mean},
          {"standard_deviation", std::sqrt(std::max(0.0, s.square_sum / finite - mean * mean))},
          {"zeros", s.zeros},
          {"not_finite", s.not_finite},
          {"values_complete", s.first.size() == s.count},
          {"values", s.first}};
}

void print_tensor(const ordered_json& d) {
  for (const auto& [name, value] : d.items()) {
    if (name == "values" || name == "values_complete") continue;
    fmt::print("  {:<20} {}\n", name, value.is_string() ? value.get<std::string>() : value.dump());
  }
  fmt::print("  {:<20}", "first values");
  for (std::size_t i = 0; i < std::min<std::size_t>(kShownValues, d["values"].size()); ++i) {
    fmt::print(" {:.6g}", d["values"][i].get<float>());
  }
  fmt::print("\n");
}

const io::GgufMetadata& metadata_of(const model::Checkpoint& checkpoint) {
  if (checkpoint.gguf() != nullptr) return *checkpoint.gguf();
  throw Error(ErrorCode::kUnsupported, "only GGUF files have metadata",
              fmt::format("what this model says of itself is in {}",
                          printable((checkpoint.path() / "config.json").native(), 300)))
      .at("--metadata");
}

void run_inspect(const InspectFlags& options, const Context& context) {
  const model::Checkpoint checkpoint = model::Checkpoint::open(options.model);
  log_opened(checkpoint);
  tell_notes(checkpoint);
  ordered_json description;
  if (options.metadata) {
    const io::GgufMetadata& metadata = metadata_of(checkpoint);
    if (!options.json) return print_metadata(metadata);
    description = metadata_json(metadata);
  } else if (options.tensor.empty()) {
    description = describe(checkpoint, options, *context.progress);
  } else {
    const model::StoredTensor& tensor = find_tensor(checkpoint, options.tensor);
    description = describe_tensor(tensor, read_tensor(checkpoint, tensor, options, context));
  }
  if (options.json) {
    fmt::print("{}\n", description.dump(2, ' ', false, ordered_json::error_handler_t::replace));
  } else if (options.tensor.empty()) {
    print_description(description);
  } else {
    print_tensor(description);
  }
}

}  // namespace

void add_inspect(const Command& app, Context& context) {
  const Command command = app.add_command("inspect", "Show what a model file holds");
  auto options = std::make_shared<InspectFlags>();
  command
      .add_option("MODEL", options->model, "GGUF file, model's directory, or owner/name of the hub")
      .required()
      .type_name("");
  const Option tensor =
      command.add_option("--tensor", options->tensor, "Values and statistics of one tensor")
          .type_name("NAME");
  command.add_flag("--metadata", options->metadata, "Every key of a GGUF file with its value")
      .excludes(tensor);
  command
      .add_option("--raw-f32", options->raw_f32,
                  "With --tensor: write all values to FILE as little-endian float32")
      .needs(tensor)
      .type_name("FILE");
  command.add_flag("--force", options->force, "Replace an existing file of --raw-f32");
  add_kernels_option(command, options->kernels);
  command.add_flag("--json", options->json, "Print JSON");
  command.footer(
      "Example: one tensor of a GGUF file\n"
      "  llama-pajamas inspect model.gguf --tensor blk.0.ffn_down.weight\n"
      "Example: what a GGUF file says of itself\n"
      "  llama-pajamas inspect model.gguf --metadata");
  add_pre_tokenizer_option(command, options->pre_tokenizer);
  add_no_download_option(command, options->no_download);
  command.callback([options, &context] {
    if (!options->raw_f32.empty()) require_absent(options->raw_f32, {.replace = options->force});
    const hub::Need need = options->tensor.empty() ? hub::Need::kHeaders : hub::Need::kAll;
    options->model = local_model(options->model, need, options->no_download, context);
    run_inspect(*options, context);
  });
}

}  // namespace pajamas::cli
