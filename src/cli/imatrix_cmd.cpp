// `imatrix`: how much each column of each matrix matters, measured on a text.
#include <fmt/format.h>
#include <fmt/ranges.h>

#include <cstdio>
#include <memory>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "base/error.h"
#include "base/file.h"
#include "base/output.h"
#include "base/system.h"
#include "cli/command.h"
#include "cli/engine_options.h"
#include "cli/imatrix_options.h"
#include "cli/load_model.h"
#include "cli/log.h"
#include "cli/model_argument.h"
#include "cli/shell_words.h"
#include "cli/terminal.h"
#include "cli/text_option.h"
#include "io/imatrix.h"
#include "runtime/loaded_model.h"

namespace pajamas::cli {
namespace {

using nlohmann::ordered_json;

struct ImatrixArguments {
  std::string model;
  bool no_download = false;
  std::string pre_tokenizer;
  std::string text;
  std::string output;
  bool force = false;
  ImatrixFlags flags;
  EngineFlags engine;
  bool json = false;
};

void check_arguments(const ImatrixArguments& options) {
  check_imatrix_flags(options.flags);
  check_engine_flags(options.engine);
  require_absent(options.output, {.replace = options.force});
  if (!options.text.empty() || options.flags.balance) return;
  throw Error(ErrorCode::kUsage, "needs a text to measure on",
              "give --text FILE (some hundred kB of what the model will read), or "
              "--expert-balanced for a model with experts to write it itself")
      .at("--text");
}

void print_measured_json(const ImatrixArguments& options, const calibrate::Collected& result,
                         std::uint64_t file_bytes, double seconds) {
  ordered_json coverage = ordered_json::array();
  for (const calibrate::LayerCoverage& layer : result.coverage) {
    coverage.push_back({{"layer", layer.layer},
                        {"least", layer.least},
                        {"median", layer.median},
                        {"most", layer.most},
                        {"below_floor", layer.below}});
  }
  const io::Imatrix& matrix = result.matrix;
  const ordered_json out = {{"model", options.model},
                            {"output", options.output},
                            {"datasets", matrix.datasets},
                            {"context", matrix.chunk_size},
                            {"chunks", matrix.chunks},
                            {"own_chunks", result.own_chunks},
                            {"tokens", matrix.chunks * matrix.chunk_size},
                            {"entries", matrix.entries.size()},
                            {"expert_floor", options.flags.expert_floor},
                            {"experts_below_floor", result.experts_below()},
                            {"coverage", coverage},
                            {"file_bytes", file_bytes},
                            {"seconds", seconds},
                            {"peak_memory_bytes", peak_resident_bytes()}};
  fmt::print("{}\n", out.dump(2, ' ', false, ordered_json::error_handler_t::replace));
}

void print_measured(const ImatrixArguments& options, const calibrate::Collected& result,
                    std::uint64_t file_bytes) {
  const io::Imatrix& matrix = result.matrix;
  fmt::print(
      "{}  {}, {} matrices, {} tokens in {} chunks of {}{}\n", printable(options.output, 300),
      readable_bytes(file_bytes), matrix.entries.size(),
      with_thousands(matrix.chunks * matrix.chunk_size), matrix.chunks, matrix.chunk_size,
      result.own_chunks > 0 ? fmt::format(", {} of them the model's own", result.own_chunks) : "");
  print_coverage(result.coverage, static_cast<std::uint64_t>(options.flags.expert_floor));
}

void run_imatrix(const ImatrixArguments& options, Context& context) {
  check_arguments(options);
  runtime::EngineOptions engine = engine_options(options.engine);
  engine.context = static_cast<std::uint64_t>(options.flags.context);
  const std::string text =
      options.text.empty() ? std::string() : read_text_input(options.text, context.stop);
  model::Checkpoint checkpoint = model::Checkpoint::open(options.model);
  settle_backend(checkpoint, engine);
  log_opened(checkpoint);
  tell_notes(checkpoint);
  calibrate::CollectOptions collecting =
      collect_options(options.flags, options.output, checkpoint, engine, *context.progress);
  std::vector<std::string> datasets;
  if (!options.text.empty()) datasets.push_back(text_input_name(options.text));
  io::Imatrix planned = calibrate::empty_matrix(checkpoint.config(), collecting.output_matrix);
  planned.datasets = datasets;
  io::ImatrixFile file(options.output, planned, {.replace = options.force});
  model::TextAssets assets = load_text(checkpoint, options.pre_tokenizer, *context.progress);
  const runtime::LoadedModel model(std::move(checkpoint), engine, std::move(assets));
  const std::string place = options.text.empty() ? options.model : text_input_name(options.text);
  const double started = seconds_now();
  calibrate::Collected result = model.naming_bad_weights([&] {
    return with_context(place, [&] {
      return calibrate::collect(model.engine(), model.text(), model.text().encode(text), collecting,
                                *context.progress, context.stop);
    });
  });
  result.matrix.datasets = std::move(datasets);
  if (result.own_chunks > 0) result.matrix.datasets.emplace_back(kOwnText);
  file.write(result.matrix);
  const double seconds = seconds_now() - started;
  const std::uint64_t bytes = File::open(options.output).size();
  if (options.json) {
    print_measured_json(options, result, bytes, seconds);
  } else {
    print_measured(options, result, bytes);
    (void)std::fflush(stdout);  // before what goes to the other stream
  }
  tell_coverage(result, options.flags, *context.progress);
  log_info(fmt::format("{} tokens in {}, peak memory {}",
                       with_thousands(result.matrix.chunks * result.matrix.chunk_size),
                       readable_seconds(seconds), readable_bytes(peak_resident_bytes())),
           {{"seconds", seconds}, {"peak_memory_bytes", peak_resident_bytes()}});
}

}  // namespace

void add_imatrix(const Command& app, Context& context) {
  const Command command =
      app.add_command("imatrix", "Measure an importance matrix: which columns matter, on a text");
  auto options = std::make_shared<ImatrixArguments>();
  command
      .add_option("MODEL", options->model, "GGUF file, model's directory, or owner/name of the hub")
      .required()
      .type_name("");
  command
      .add_option("--text", options->text,
                  "Text to measure on, some hundred kB of what the model will read; -: standard "
                  "input")
      .type_name("FILE");
  command
      .add_option("-o,--output", options->output,
                  "The matrix, as GGUF; in llama.cpp's older form where the name ends in .dat")
      .required()
      .type_name("FILE");
  add_imatrix_flags(command, options->flags);
  add_engine_options(
      command, context.settings, options->engine,
      {.kv_cache = runtime::KvType::kF32, .activations = "float", .settings = false});
  command.add_flag("--force", options->force, "Replace an existing output");
  command.add_flag("--json", options->json, "Print what was measured as JSON");
  command.footer(
      "Each layer is read once, and the text waits between two layers, on the disk if it must: "
      "models\nlarger than memory pass through little of it.\n"
      "Example: measured on a text of your own, in 3 GB of memory\n"
      "  llama-pajamas imatrix Qwen/Qwen3-30B-A3B --text calibration.txt --memory-budget 3GB "
      "--output qwen.imatrix.gguf");
  add_pre_tokenizer_option(command, options->pre_tokenizer);
  add_no_download_option(command, options->no_download);
  command.callback([options, &context] {
    check_arguments(*options);  // before a long download
    options->model = local_model(options->model, hub::Need::kAll, options->no_download, context);
    run_imatrix(*options, context);
  });
}

}  // namespace pajamas::cli
