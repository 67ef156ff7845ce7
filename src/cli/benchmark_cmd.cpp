// `benchmark`: how fast a model runs at given depths, and what memory that takes.
#include <fmt/format.h>

#include <algorithm>
#include <filesystem>
#include <memory>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <vector>

#include "base/error.h"
#include "base/json.h"
#include "base/output.h"
#include "base/system.h"
#include "bench/report.h"
#include "bench/shape.h"
#include "bench/speed.h"
#include "cli/command.h"
#include "cli/engine_options.h"
#include "cli/expectation.h"
#include "cli/log.h"
#include "cli/measured_model.h"
#include "cli/model_argument.h"
#include "cli/report_file.h"
#include "cli/terminal.h"
#include "quantize/plan_input.h"

namespace pajamas::cli {
namespace {

constexpr double kBandwidthSeconds = 1;

struct BenchmarkFlags {
  std::string model;
  bool no_download = false;
  std::string shape;
  std::string method = "Q4_K_M";
  std::string scratch = ".";
  SpeedFlags speed;
  EngineFlags engine;
  std::string output;
  std::string page;
  bool force = false;
  bool json = false;
  bool csv = false;
};

void check_benchmark(const BenchmarkFlags& options) {
  if (options.model.empty() == options.shape.empty()) {
    throw Error(ErrorCode::kUsage, "needs a MODEL or --shape CONFIG, and not both",
                "see `llama-pajamas benchmark --help`");
  }
  check_engine_flags(options.engine);
}

// --shape: a config.json, a folder that has one, or a model whose configuration is built in.
quantize::PlanInput shape_input(const std::string& shape) {
  for (const KnownModel& known : known_models()) {
    if (known.name == shape) {
      return quantize::plan_input_of_config(parse_json(known.config), std::string(known.name));
    }
  }
  std::filesystem::path path = shape;
  std::error_code code;
  if (std::filesystem::is_directory(path, code)) path /= "config.json";
  try {
    return quantize::load_plan_input_from_config(path);
  } catch (const Error& error) {
    if (error.code() != ErrorCode::kNotFound) throw;
    std::string names;
    for (const KnownModel& known : known_models()) {
      names += fmt::format("{}{}", names.empty() ? "" : ", ", known.name);
    }
    throw Error(ErrorCode::kNotFound,
                fmt::format("there is no configuration {}", printable(shape, 300)),
                fmt::format("give a config.json, a folder that has one, or one of {}", names))
        .at("--shape");
  }
}

std::unique_ptr<MeasuredModel> open_shaped(const BenchmarkFlags& options,
                                           runtime::EngineOptions& engine,
                                           bench::SpeedQuestion& question, Context& context) {
  const quantize::PlanInput input = shape_input(options.shape);
  const bench::ShapedModel shape = bench::shape_model(input, options.method);
  fit_question(shape.config, engine, question);
  bench::OpenedShape opened =
      bench::open_shape(shape, engine, options.scratch, *context.progress, context.stop);
  auto subject = std::make_unique<MeasuredModel>();
  subject->shaped = std::move(opened.engine);
  subject->name = fmt::format("{} {} (random weights)", printable(shape.name, 200), shape.method);
  subject->about = fmt::format("{}, {}", subject->name, readable_bytes(shape.bytes));
  subject->weight_bytes_per_token = shape.bytes_per_token;
  subject->load_seconds = opened.open_seconds;
  return subject;
}

// Runs until all is measured or somebody stops it.
void measure(bench::SpeedMeter& meter, Context& context) {
  context.progress->begin("benchmarking", meter.question().tokens(), "tokens");
  try {
    meter.warm_up(context.stop);
    while (!meter.is_complete()) meter.round(context.stop);
  } catch (const Error& error) {
    if (error.code() != ErrorCode::kInterrupted) throw;
  }
  context.progress->end();
}

// What memory gives, or 0 where nobody waits for that any more.
double measure_memory(const runtime::EngineOptions& engine, Context& context) {
  if (context.stop.requested()) return 0;
  context.progress->begin("measuring memory", 0, "");
  double rate = 0;
  try {
    rate = engine.backend->memory_bandwidth(engine, kBandwidthSeconds, context.stop);
  } catch (const Error& error) {
    if (error.code() != ErrorCode::kInterrupted) throw;
  }
  context.progress->end();
  return rate;
}

std::uint64_t most_resident(const std::vector<bench::DepthResult>& results) {
  std::uint64_t most = 0;
  for (const bench::DepthResult& result : results) most = std::max(most, result.resident_bytes);
  return most;
}

std::string benchmark_table(const bench::SpeedReport& report, const std::string& about,
                            const runtime::EngineOptions& engine) {
  std::string text = paint(about, Colour::kBold, stdout) + "\n";
  text +=
      fmt::format("{:>9}  {:>24}  {:>24}  {:>12}  {:>12}  {:>10}\n", "context", "prompt tokens/s",
                  "generation tokens/s", "first token", "read a token", "of memory");
  for (const bench::DepthResult& result : report.results) {
    const std::optional<double> share = result.bandwidth_share(report.bytes_per_second);
    text += fmt::format(
        "{:>9}  {:>24}  {:>24}  {:>12}  {:>12}  {:>10}\n", with_thousands(result.context),
        spread_text(result.prompt_rate), spread_text(result.generation_rate),
        result.first_token_seconds ? readable_seconds(result.first_token_seconds->median) : "-",
        readable_bytes(result.bytes_per_token()),
        share ? fmt::format("{:.0f} %", *share * 100) : "-");
  }
  text += report.backend;
  if (engine.backend->built_in())  // others have threads and kernels of their own
    text += fmt::format(", {} threads, kernels {}", engine.pool->threads(), engine.kernels->name);
  text += fmt::format(
      "; {} prompt tokens in batches and {} generated on top of each context;\n"
      "median (least..greatest) of {}; KV cache {}\n",
      report.question.prompt_tokens, report.question.generation_tokens, report.question.repeats,
      runtime::info(engine.kv_type).name);
  const std::uint64_t resident = most_resident(report.results);
  text += fmt::format("load {:.2f} s, peak memory {}, resident {}, memory reads {}\n",
                      report.load_seconds, readable_bytes(report.peak_memory_bytes),
                      resident > 0 ? readable_bytes(resident) : std::string("not measured"),
                      report.bytes_per_second > 0 ? readable_byte_rate(report.bytes_per_second)
                                                  : std::string("at an unknown rate"));
  if (report.library_peak_bytes) {
    text += fmt::format("the backend's library had {} at most, mapped files aside\n",
                        readable_bytes(*report.library_peak_bytes));
  }
  if (report.partial) text += "stopped before all was measured\n";
  return text;
}

void run_benchmark(const BenchmarkFlags& options, Context& context) {
  check_benchmark(options);
  bench::SpeedQuestion question = speed_question(options.speed);
  std::optional<OutputFile> output;  // made now, so that a place that is none is told before work
  if (!options.output.empty()) output.emplace(options.output, 0, OutputOptions{options.force});
  ReportFile page(options.page, options.force, "benchmark", context, {options.output});
  const double load_before = load_average();
  runtime::EngineOptions engine = engine_options(options.engine);
  const std::unique_ptr<MeasuredModel> subject =
      options.shape.empty()
          ? open_measured(local_model(options.model, hub::Need::kAll, options.no_download, context),
                          options.model, engine, question, context)
          : open_shaped(options, engine, question, context);
  bench::SpeedMeter meter(subject->engine(), question, *context.progress);
  measure(meter, context);
  bench::SpeedReport report;
  report.model = subject->name;
  report.backend = subject->engine().backend();
  report.results =
      bench::results_of(meter, subject->engine().config(), engine, subject->weight_bytes_per_token);
  report.memory = meter.memory();
  report.load_seconds = subject->load_seconds;
  // Before the buffer of what follows. The system brings its own peak up to date late.
  report.peak_memory_bytes = std::max(peak_resident_bytes(), most_resident(report.results));
  report.library_peak_bytes = subject->engine().library_peak_bytes();
  report.bytes_per_second = measure_memory(engine, context);
  report.partial = !meter.is_complete();
  report.question = question;
  const nlohmann::ordered_json machine =
      bench::machine_json(engine, report.bytes_per_second, load_before, PAJAMAS_VERSION);
  const nlohmann::ordered_json document = bench::to_json(report, engine, machine);
  std::string text;
  if (options.json) {
    text = document.dump(2, ' ', false, nlohmann::json::error_handler_t::replace) + "\n";
  } else if (options.csv) {
    text = bench::to_csv(report, engine);
  } else {
    text = benchmark_table(report, subject->about, engine);
  }
  if (output) {
    output->write_at(0, std::as_bytes(std::span(text)));
    output->commit();
  } else {
    fmt::print("{}", text);
  }
  page.write(document, machine);
  if (report.partial) context.stop.check();
}

}  // namespace

void add_benchmark(const Command& app, Context& context) {
  const Command command =
      app.add_command("benchmark", "Measure how fast a model runs, and what memory it takes");
  auto options = std::make_shared<BenchmarkFlags>();
  command
      .add_option("MODEL", options->model, "GGUF file, model's directory, or owner/name of the hub")
      .type_name("");
  command
      .add_option("--shape", options->shape,
                  "In place of MODEL: random weights of this config.json, folder, or built-in "
                  "model (see `doctor`)")
      .type_name("CONFIG");
  command.add_option("--method", options->method, "Of --shape: store them so")
      .capture_default_str()
      .type_name("METHOD");
  command
      .add_option("--scratch", options->scratch,
                  "Of --shape: folder for weights that memory has no room for")
      .capture_default_str()
      .type_name("DIR");
  add_speed_options(command, options->speed);
  add_engine_options(command, context.settings, options->engine,
                     {.kv_cache = runtime::kUsualKvType, .activations = "int8", .settings = false});
  add_no_download_option(command, options->no_download);
  command.add_option("-o,--output", options->output, "Write the report there (default: print it)")
      .type_name("FILE");
  add_report_option(command, options->page);
  command.add_flag("--force", options->force, "Replace existing files of --output and --report");
  const Option json = command.add_flag("--json", options->json, "Report as JSON");
  command.add_flag("--csv", options->csv, "Report as CSV, a line for each context").excludes(json);
  command.footer(
      "Ctrl-C ends it; what was measured is reported all the same.\n"
      "Example: a short and a long context\n"
      "  llama-pajamas benchmark model-q4_k_m.gguf --context-lengths 512,8192\n"
      "Example: a model that was never downloaded\n"
      "  llama-pajamas benchmark --shape Qwen2.5-7B-Instruct --method Q4_K_M");
  command.callback([options, &context] { run_benchmark(*options, context); });
}

}  // namespace pajamas::cli
