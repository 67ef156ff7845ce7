// `validate`: how well a model predicts a text, and how far it lies from another.
#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <memory>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "base/error.h"
#include "base/output.h"
#include "base/suggest.h"
#include "base/system.h"
#include "bench/report.h"
#include "cli/command.h"
#include "cli/engine_options.h"
#include "cli/further_texts.h"
#include "cli/humaneval_options.h"
#include "cli/judge_options.h"
#include "cli/known_reference.h"
#include "cli/mmlu_options.h"
#include "cli/model_argument.h"
#include "cli/question_options.h"
#include "cli/report_file.h"
#include "cli/text_metrics.h"
#include "cli/text_option.h"

namespace pajamas::cli {
namespace {

using nlohmann::ordered_json;

constexpr std::array<std::string_view, 4> kMetrics{"perplexity", "kl", "mmlu", "humaneval"};

struct ValidateFlags {
  std::string model;
  bool no_download = false;
  std::string pre_tokenizer;
  std::string reference;
  std::string given_model, given_reference;  // as the command line names them
  std::vector<std::string> metrics{"perplexity"};
  bool found_reference = false;  // nobody named it
  bool asked_nothing = false;    // and there is none
  bool force = false;
  TextFlags text;
  JudgeOptions judge;
  QuestionFlags questions;
  MmluFlags mmlu;
  HumanEvalFlags humaneval;
  EngineFlags engine;
  std::string page;
  bool json = false;

  bool asks(std::string_view metric) const { return std::ranges::count(metrics, metric) != 0; }
  bool scores_text() const { return asks("perplexity") || asks("kl"); }
  // Nothing but completions that are given.
  bool needs_no_model() const {
    return !scores_text() && !asks("mmlu") && !humaneval.completions.empty();
  }
};

void check_options(const ValidateFlags& options) {
  for (const std::string& metric : options.metrics) {
    if (std::ranges::count(kMetrics, metric) != 0) continue;
    throw Error(
        ErrorCode::kUsage, fmt::format("\"{}\" is no known metric", printable(metric, 40)),
        did_you_mean(metric, kMetrics) + "give one or more of perplexity, kl, mmlu and humaneval")
        .at("--metrics");
  }
  if (options.asks("kl") && options.reference.empty()) {
    throw Error(ErrorCode::kUsage, "kl compares with another model", "name it with --reference")
        .at("--metrics");
  }
  check_text_flags(options.text, options.scores_text(), options.reference);
  check_engine_flags(options.engine);
  check_judge_options(options.judge, options.metrics, options.text.texts, options.reference);
  check_question_flags(options.questions,
                       (options.asks("mmlu") ? 1 : 0) + (options.asks("humaneval") ? 1 : 0));
  check_mmlu_flags(options.mmlu, options.asks("mmlu"));
  check_humaneval_flags(options.humaneval, options.asks("humaneval"));
  if (options.model.empty() && !options.needs_no_model()) {
    throw Error(ErrorCode::kUsage, "MODEL is missing",
                "see `llama-pajamas validate --help`; without one, only --completions are judged");
  }
  if (options.asks("mmlu") && eval::is_reference_file(options.reference)) {
    throw Error(ErrorCode::kUsage, "a kept reference has no answers to mmlu's questions",
                "name the model that it was computed with")
        .at("--reference");
  }
  if (!options.scores_text() && !options.judge.save_reference.empty()) {
    throw Error(ErrorCode::kUsage, "no text is scored", "add perplexity to --metrics")
        .at("--save-reference");
  }
  for (const std::string* output :
       {&options.text.dump_logits, &options.judge.save_reference, &options.questions.save}) {
    if (!output->empty()) require_absent(*output, {.replace = options.force});
  }
}

// What is asked of what, and what of it is there already.
eval::RunRecord open_record(const ValidateFlags& options) {
  if (options.questions.save.empty()) return {};
  ordered_json identity = {{"model", options.given_model}, {"reference", options.given_reference}};
  if (options.asks("mmlu")) identity["mmlu"] = mmlu_identity(options.questions, options.mmlu);
  if (options.asks("humaneval")) {
    identity["humaneval"] = humaneval_identity(options.questions, options.humaneval);
  }
  return {options.questions.save, identity, options.force};
}

// Measures one thing after the other into `out`, so that what was measured is there when another is
// stopped.
void measure_metrics(const ValidateFlags& options, const eval::PythonJudge* judge,
                     ordered_json& out, eval::GateFigures& figures, Context& context) {
  if (!options.given_model.empty()) out["model"] = options.given_model;
  const AskedModels models{options.model, options.reference, options.given_model,
                           options.given_reference, options.pre_tokenizer};
  if (options.scores_text()) {
    score_given_text(
        {options.text, options.judge, models, engine_options(options.engine), options.force,
         options.json, options.found_reference, options.found_reference || options.asked_nothing},
        out, figures, context);
  }
  eval::RunRecord record = open_record(options);
  if (options.asks("mmlu")) {
    const eval::MmluReport report = run_mmlu(options.questions, options.mmlu, models,
                                             engine_options(options.engine), record, context);
    figures.mmlu = report.all.model.accuracy();
    out["mmlu"] = eval::mmlu_json(report);
    if (!options.json) print_mmlu(report);
  }
  if (judge != nullptr) {
    const eval::HumanEvalReport report =
        run_humaneval(options.questions, options.humaneval, models, engine_options(options.engine),
                      *judge, record, context);
    if (report.problems > 0) figures.humaneval = report.pass_at.at(1);
    out["humaneval"] = eval::humaneval_json(report);
    if (!options.json) print_humaneval(report);
  }
  record.commit();
}

void validate(const ValidateFlags& options, const eval::PythonJudge* judge, ReportFile& page,
              Context& context) {
  check_options(options);
  const double load_before = load_average();
  eval::GateFigures figures;
  ordered_json out = ordered_json::object();
  const auto write_page = [&] {
    if (!page.is_wanted()) return;
    page.write(
        out, bench::machine_json(engine_options(options.engine), 0, load_before, PAJAMAS_VERSION));
  };
  try {
    measure_metrics(options, judge, out, figures, context);
  } catch (const Error& error) {
    const bool some = out.contains("perplexity") || out.contains("mmlu");
    if (error.code() != ErrorCode::kInterrupted || !some) throw;
    out["partial"] = true;
    write_page();
    throw;
  }
  if (options.json) {
    fmt::print("{}\n", out.dump(2, ' ', false, ordered_json::error_handler_t::replace));
  }
  write_page();
  if (options.asked_nothing && !options.json && figures.text.perplexity) {
    fmt::print("{}\n", verdict_of(*figures.text.perplexity, figures.chat.perplexity));
  }
  apply_gate(options.judge, figures);
}

// For whoever asks for nothing: the original, where it is known and there.
void find_reference(ValidateFlags& options, Context& context) {
  if (!options.reference.empty() || !options.judge.save_reference.empty()) return;
  const auto known = known_reference(options.model, context.settings.cache());
  options.asked_nothing = !known;
  if (!known) return;
  options.found_reference = true;
  options.reference = known->path.string();
  options.given_reference = known->name;
  options.metrics = {"perplexity", "kl"};
  context.progress->note(
      fmt::format("compared with {}, {}: perplexity says how well a model predicts the text, the "
                  "loss how much worse than the original, KL how far each prediction lies from it",
                  known->name, known->why));
}

}  // namespace

void add_validate(const Command& app, Context& context) {
  const Command command =
      app.add_command("validate", "Measure perplexity, and the loss against another model");
  auto options = std::make_shared<ValidateFlags>();
  command
      .add_option("MODEL", options->model, "GGUF file, model's directory, or owner/name of the hub")
      .type_name("");
  const Option metrics =
      command
          .add_option(
              "--metrics", options->metrics,
              "perplexity, kl (needs --reference), mmlu, humaneval (default: perplexity, and "
              "kl where the original is known and in the hub's cache)")
          .delimiter(',')
          .type_name("LIST");
  command
      .add_option("--reference", options->reference,
                  "The model to compare with, or what --save-reference or llama.cpp kept of it")
      .type_name("MODEL");
  const Option ctx =
      command.add_option("--ctx", options->text.context, "Tokens of a chunk (default: 512)")
          .type_name("N");
  add_text_options(command, options->text);
  add_further_texts_option(command, options->text.texts);
  add_engine_options(
      command, context.settings, options->engine,
      {.kv_cache = runtime::KvType::kF32, .activations = "float", .settings = false});
  command.add_flag("--json", options->json, "Print JSON");
  add_report_option(command, options->page);
  command.add_flag("--force", options->force,
                   "Replace existing files of --report, --save-reference and others");
  add_judge_options(command, options->judge);
  add_question_options(command, options->questions);
  add_mmlu_options(command, options->mmlu);
  add_humaneval_options(command, options->humaneval);
  command.footer(
      "The reference runs with an f32 cache. With another --kv-cache, what it costs is measured\n"
      "against the same model with f32 (kv_cache_* in JSON).\n"
      "Example: what quantization cost\n"
      "  llama-pajamas validate model-q4_k_m.gguf --metrics perplexity,kl "
      "--reference models/tiny-qwen2");
  add_pre_tokenizer_option(command, options->pre_tokenizer);
  add_no_download_option(command, options->no_download);
  command.callback([options, ctx, metrics, &context] {
    options->text.context_given = ctx.given();
    // The settings may have given one too, which is for whoever has none.
    options->text.text_given = context.settings.get(SettingKey::kText).source == "--text";
    check_options(*options);  // before a long download
    ReportFile page(
        options->page, options->force, "validate", context,
        {options->text.dump_logits, options->judge.save_reference, options->questions.save});
    options->given_model = options->model;
    options->given_reference = options->reference;
    std::optional<eval::PythonJudge> judge;
    if (options->asks("humaneval")) judge.emplace(make_judge(options->humaneval, context.stop));
    for (std::string* model : {&options->model, &options->reference}) {
      if (options->needs_no_model()) break;
      if (model == &options->reference && eval::is_reference_file(*model)) continue;
      *model = local_model(*model, hub::Need::kAll, options->no_download, context);
    }
    if (!metrics.given()) find_reference(*options, context);
    validate(*options, judge ? &*judge : nullptr, page, context);
  });
}

}  // namespace pajamas::cli
