// `compare`: the same work for several models, in turn, and what of the differences is more than
// noise.
#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <memory>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/error.h"
#include "base/file.h"
#include "base/output.h"
#include "base/suggest.h"
#include "base/system.h"
#include "cli/command.h"
#include "cli/compare_report.h"
#include "cli/engine_options.h"
#include "cli/load_model.h"
#include "cli/measured_model.h"
#include "cli/model_argument.h"
#include "cli/model_summary.h"
#include "cli/report_file.h"
#include "cli/terminal.h"
#include "cli/text_metrics.h"
#include "cli/text_option.h"
#include "eval/perplexity.h"
#include "eval/shipped.h"
#include "runtime/backend.h"

namespace pajamas::cli {
namespace {

constexpr std::size_t kMostModels = 6;
constexpr std::array<std::string_view, 4> kAspects{"speed", "memory", "quality", "size"};

struct CompareFlags {
  std::array<std::string, kMostModels> models, backends;
  std::vector<std::string> metrics{kAspects.begin(), kAspects.end()};
  bool no_download = false;
  std::string reference;
  std::string text;
  std::int64_t chunk = 512;
  std::int64_t chunks = 0;
  SpeedFlags speed{.contexts = {}, .repeats = 5};
  EngineFlags engine;
  std::string output;
  std::string page;
  bool force = false;
  bool json = false;

  bool asks(std::string_view metric) const { return std::ranges::count(metrics, metric) != 0; }
};

// One of the models as the command line has it, with its files at hand.
struct Contender {
  std::string given;
  std::string path;
  runtime::EngineOptions engine;
};

void check_compare(const CompareFlags& options) {
  for (const std::string& metric : options.metrics) {
    if (std::ranges::count(kAspects, metric) != 0) continue;
    throw Error(ErrorCode::kUsage,
                fmt::format("\"{}\" is nothing that is compared", printable(metric, 40)),
                did_you_mean(metric, kAspects) + "give some of speed, memory, quality, size")
        .at("--metrics");
  }
  for (std::size_t i = 0; i < kMostModels; ++i) {
    if (!options.models[i].empty() || options.backends[i].empty()) continue;
    throw Error(ErrorCode::kUsage, "there is no model for it",
                fmt::format("give --model{} too", i + 1))
        .at(fmt::format("--backend{}", i + 1));
  }
  check_chunks(options.chunk, options.chunks);
  if (options.asks("speed") && options.speed.repeats < 2) {
    throw Error(ErrorCode::kUsage, "one measurement has no noise to compare a difference with",
                "give 2 or more")
        .at("--repeats");
  }
  check_engine_flags(options.engine);
}

std::vector<Contender> contenders_of(const CompareFlags& options, Context& context) {
  std::vector<Contender> all;
  const runtime::EngineOptions common = engine_options(options.engine);
  for (std::size_t i = 0; i < kMostModels; ++i) {
    if (options.models[i].empty()) continue;
    Contender& contender = all.emplace_back();
    contender.given = options.models[i];
    contender.engine = common;
    if (options.backends[i].empty()) continue;
    contender.engine.any_backend = options.backends[i] == runtime::kAnyBackend;
    if (contender.engine.any_backend) continue;
    with_context(fmt::format("--backend{}", i + 1), [&] {
      contender.engine.backend = &runtime::backend_by_name(options.backends[i]);
    });
  }
  // --threads and --kernels are for those that know them, where one does.
  const bool processor = std::ranges::any_of(all, [](const Contender& each) {
    return each.engine.any_backend || each.engine.backend->name() == "cpu";
  });
  for (Contender& contender : all) {
    if (contender.engine.any_backend) continue;
    if (processor && contender.engine.backend->name() != "cpu") {
      contender.engine.threads_asked = contender.engine.kernels_asked = false;
    }
    with_context(printable(contender.given, 200),
                 [&] { contender.engine.backend->require_options(contender.engine); });
  }
  for (Contender& contender : all) {
    contender.path = local_model(contender.given, hub::Need::kAll, options.no_download, context);
  }
  return all;
}

// What runs each, and the same contexts for all: those that fit the one with the least room.
void settle_engines(std::vector<Contender>& contenders, bench::SpeedQuestion& question,
                    std::vector<ComparedModel>& models) {
  std::vector<model::Checkpoint> checkpoints;
  for (Contender& each : contenders) {
    checkpoints.push_back(model::Checkpoint::open(each.path));
    settle_backend(checkpoints.back(), each.engine);
  }
  if (question.contexts.empty()) {
    for (std::size_t i = 0; i < contenders.size(); ++i) {
      auto fitting =
          bench::default_contexts(checkpoints[i].config(), contenders[i].engine, question);
      if (i == 0 || fitting.back() < question.contexts.back()) {
        question.contexts = std::move(fitting);
      }
    }
  }
  for (std::size_t i = 0; i < contenders.size(); ++i) {
    Contender& each = contenders[i];
    const model::Checkpoint& checkpoint = checkpoints[i];
    with_context(printable(each.given, 200),
                 [&] { fit_question(checkpoint.config(), each.engine, question); });
    ComparedModel& model = models.emplace_back();
    model.path = printable(each.given, 1000);
    model.format = model::container_name(checkpoint.container());
    model.size_bytes = file_bytes(checkpoint);
    model.bits_per_weight = 8 * static_cast<double>(weights_bytes(checkpoint)) /
                            static_cast<double>(model::parameter_count(checkpoint.config()));
    model.memory_bytes =
        weights_bytes(checkpoint) + runtime::memory_needs(checkpoint.config(), each.engine).total();
    model.about = fmt::format("{}: {}, {}", short_name(each.given), quantization_name(checkpoint),
                              readable_bytes(model.size_bytes));
    model.engine = each.engine;
  }
}

// Of each round the geometric mean over all contexts.
std::vector<double> round_rates(const bench::SpeedMeter& meter, std::uint64_t tokens,
                                std::vector<double> bench::DepthSamples::*field) {
  std::size_t rounds = SIZE_MAX;
  for (const bench::DepthSamples& at : meter.samples()) {
    rounds = std::min(rounds, (at.*field).size());
  }
  std::vector<double> rates;
  for (std::size_t round = 0; round < rounds; ++round) {
    double sum = 0;
    for (const bench::DepthSamples& at : meter.samples()) {
      sum += std::log(static_cast<double>(tokens) / std::max((at.*field)[round], 1e-9));
    }
    rates.push_back(std::exp(sum / static_cast<double>(meter.samples().size())));
  }
  return rates;
}

// A round of everybody before the next one of anybody, each time another one first, so that what
// changes on the machine meanwhile changes for all.
void compare_speed(std::vector<Contender>& contenders, bench::SpeedQuestion& question,
                   std::vector<ComparedModel>& models, Context& context) {
  std::vector<std::unique_ptr<MeasuredModel>> opened;
  std::vector<std::unique_ptr<bench::SpeedMeter>> meters;
  for (Contender& each : contenders) {
    opened.push_back(open_measured(each.path, each.given, each.engine, question, context));
    meters.push_back(
        std::make_unique<bench::SpeedMeter>(opened.back()->engine(), question, *context.progress));
  }
  context.progress->begin("comparing speed", question.tokens() * meters.size(), "tokens");
  try {
    for (const auto& meter : meters) meter->warm_up(context.stop);
    for (std::uint64_t round = 0; round < question.repeats; ++round) {
      for (std::size_t i = 0; i < meters.size(); ++i) {
        meters[(i + round) % meters.size()]->round(context.stop);
      }
    }
  } catch (const Error& error) {
    if (error.code() != ErrorCode::kInterrupted) throw;
  }
  context.progress->end();
  for (std::size_t i = 0; i < meters.size(); ++i) {
    bench::SpeedReport& report = models[i].speed.emplace();
    report.model = models[i].path;
    report.backend = opened[i]->engine().backend();
    report.results = bench::results_of(*meters[i], opened[i]->engine().config(),
                                       contenders[i].engine, opened[i]->weight_bytes_per_token);
    report.load_seconds = opened[i]->load_seconds;
    report.question = question;
    models[i].prompt_rates =
        round_rates(*meters[i], question.prompt_tokens, &bench::DepthSamples::prompt);
    models[i].generation_rates =
        round_rates(*meters[i], question.generation_tokens, &bench::DepthSamples::generation);
  }
}

// A model that is going to be scored, and the text as it sees it: no weight has been read.
struct ToScore {
  std::string given;
  model::Checkpoint checkpoint;
  model::TextAssets assets;
  runtime::EngineOptions engine;
  std::optional<std::int32_t> bos;
  std::vector<std::int32_t> tokens;

  bool reads_as(const ToScore& other) const {
    return checkpoint.config().vocab == other.checkpoint.config().vocab && tokens == other.tokens;
  }
};

// As `validate` opens it: exact activations, keys and values as they are.
ToScore prepare_to_score(const Contender& contender, std::string_view text, std::int64_t chunk,
                         Context& context) {
  model::Checkpoint checkpoint = model::Checkpoint::open(contender.path);
  model::TextAssets assets = load_text(checkpoint, {}, *context.progress);
  const model::TextModel reader(assets, checkpoint.config().vocab);
  runtime::EngineOptions engine = contender.engine;
  engine.activations = runtime::Activations::kFloat;
  engine.kv_type = runtime::KvType::kF32;
  engine.context = static_cast<std::uint64_t>(chunk);
  return {contender.given,   std::move(checkpoint), std::move(assets),
          std::move(engine), reader.first_token(),  reader.encode(text)};
}

std::unique_ptr<runtime::LoadedModel> open_to_score(ToScore& of) {
  return std::make_unique<runtime::LoadedModel>(std::move(of.checkpoint), of.engine,
                                                std::move(of.assets));
}

// Each model is opened and scored once: beside the reference, without one beside the first.
void compare_quality(const CompareFlags& options, const std::vector<Contender>& contenders,
                     std::vector<ComparedModel>& models, Context& context) {
  const std::string given = options.text.empty() ? "" : read_text_input(options.text, context.stop);
  const std::string_view text = options.text.empty() ? eval::heldout_text() : given;
  std::vector<ToScore> all;
  for (const Contender& contender : contenders) {
    all.push_back(prepare_to_score(contender, text, options.chunk, context));
  }
  const bool has_reference = !options.reference.empty();
  if (has_reference) {
    Contender reference = contenders.front();
    reference.given = options.reference;
    reference.path = local_model(options.reference, hub::Need::kAll, options.no_download, context);
    all.push_back(prepare_to_score(reference, text, options.chunk, context));
  }
  for (const ToScore& other : all) {
    if (other.reads_as(all.front())) continue;
    context.progress->note(fmt::format(
        "quality is left out: {} and {} have different tokenizers, so that perplexities do not "
        "compare",
        printable(all.front().given, 200), printable(other.given, 200)));
    return;
  }
  const eval::ScoreOptions score_options{static_cast<std::uint32_t>(options.chunk),
                                         static_cast<std::uint64_t>(options.chunks),
                                         all.front().bos};
  std::unique_ptr<runtime::LoadedModel> base;
  if (has_reference) base = open_to_score(all.back());
  for (std::size_t i = 0; i < contenders.size(); ++i) {
    std::unique_ptr<runtime::LoadedModel> scored = open_to_score(all[i]);
    eval::ScoreAgainst against;
    against.reference = base == nullptr ? nullptr : &base->engine();
    eval::Score score = with_context(printable(all[i].given, 200), [&] {
      return eval::score_text(scored->engine(), against, all[i].tokens, score_options,
                              *all[i].engine.pool, *context.progress, context.stop);
    });
    if (i > 0) models[i].loss = eval::paired_loss(score, *models.front().quality);
    models[i].divergence = score.comparison;
    models[i].quality = std::move(score);
    if (base == nullptr) base = std::move(scored);
  }
}

void run_compare(const CompareFlags& options, Context& context) {
  check_compare(options);
  bench::SpeedQuestion question = speed_question(options.speed);
  std::optional<OutputFile> output;
  if (!options.output.empty()) output.emplace(options.output, 0, OutputOptions{options.force});
  ReportFile page(options.page, options.force, "compare", context, {options.output});
  const double load_before = load_average();
  std::vector<Contender> contenders = contenders_of(options, context);
  ComparisonReport report;
  report.reference = options.reference;
  settle_engines(contenders, question, report.models);
  if (options.asks("speed")) compare_speed(contenders, question, report.models, context);
  if (options.asks("quality") && !context.stop.requested()) {
    try {
      compare_quality(options, contenders, report.models, context);
    } catch (const Error& error) {
      if (error.code() != ErrorCode::kInterrupted) throw;
    }
  }
  report.partial = context.stop.requested();
  report.verdicts = verdicts_of(report.models, options.metrics);
  const nlohmann::ordered_json machine =
      bench::machine_json(contenders.front().engine, 0, load_before, PAJAMAS_VERSION);
  const nlohmann::ordered_json document = to_json(report, machine);
  const std::string text =
      options.json ? document.dump(2, ' ', false, nlohmann::json::error_handler_t::replace) + "\n"
                   : table_of(report);
  if (output) {
    output->write_at(0, std::as_bytes(std::span(text)));
    output->commit();
  } else {
    fmt::print("{}", text);
  }
  page.write(document, machine);
  context.stop.check();
}

}  // namespace

void add_compare(const Command& app, Context& context) {
  const Command command =
      app.add_command("compare", "Compare models: speed, memory, quality, size");
  auto options = std::make_shared<CompareFlags>();
  for (std::size_t i = 0; i < kMostModels; ++i) {
    const Option model =
        command
            .add_option(fmt::format("--model{}", i + 1), options->models[i],
                        i < 2 ? "GGUF file, model's directory, or owner/name" : "One more")
            .type_name("MODEL");
    if (i < 2) model.required();
  }
  command.add_option("--metrics", options->metrics, "speed, memory, quality, size (default: all)")
      .delimiter(',')
      .type_name("ASPECTS");
  add_speed_options(command, options->speed);
  command
      .add_option("--reference", options->reference,
                  "KL divergences from this model (default: from --model1)")
      .type_name("MODEL");
  command.add_option("--text", options->text, "Text for quality (default: an embedded one)")
      .type_name("FILE");
  command.add_option("--ctx", options->chunk, "Tokens of a chunk of that text (default: 512)")
      .type_name("N");
  command.add_option("--chunks", options->chunks, "Stop after so many chunks (default: all)")
      .type_name("N");
  add_engine_options(command, context.settings, options->engine,
                     {.kv_cache = runtime::kUsualKvType, .activations = "int8", .settings = false});
  for (std::size_t i = 0; i < kMostModels; ++i) {
    command
        .add_option(fmt::format("--backend{}", i + 1), options->backends[i],
                    fmt::format("What runs --model{} (default: --backend)", i + 1))
        .type_name("NAME");
  }
  add_no_download_option(command, options->no_download);
  command.add_option("-o,--output", options->output, "Write the report there (default: print it)")
      .type_name("FILE");
  add_report_option(command, options->page);
  command.add_flag("--force", options->force, "Replace existing files of --output and --report");
  command.add_flag("--json", options->json, "Report as JSON");
  command.footer(
      "Speed is measured in turn, as the command benchmark does; quality as validate does. "
      "Ctrl-C ends\nit; what was measured is reported all the same.\n"
      "Example: a GGUF file, an MLX folder, and what both were made of\n"
      "  llama-pajamas compare --model1 model-q4_k_m.gguf --model2 mlx/model-4bit "
      "--reference models/tiny-qwen2");
  command.callback([options, &context] { run_compare(*options, context); });
}

}  // namespace pajamas::cli
