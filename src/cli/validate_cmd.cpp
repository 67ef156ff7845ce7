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
#include "base/file.h"
#include "base/output.h"
#include "base/suggest.h"
#include "cli/command.h"
#include "cli/engine_options.h"
#include "cli/humaneval_options.h"
#include "cli/judge_options.h"
#include "cli/load_model.h"
#include "cli/mmlu_options.h"
#include "cli/model_argument.h"
#include "cli/question_options.h"
#include "cli/terminal.h"
#include "cli/text_option.h"
#include "eval/perplexity.h"
#include "eval/shipped.h"
#include "runtime/loaded_model.h"

namespace pajamas::cli {
namespace {

using nlohmann::ordered_json;

constexpr std::array<std::string_view, 4> kMetrics{"perplexity", "kl", "mmlu", "humaneval"};
constexpr std::int64_t kMinContext = 4;
constexpr std::int64_t kMaxContext = 1 << 20;

struct ValidateFlags {
  std::string model;
  bool no_download = false;
  std::string pre_tokenizer;
  std::string reference;
  std::string given_model, given_reference;  // as the command line names them
  std::vector<std::string> metrics{"perplexity"};
  std::string text;
  std::string dump_logits;
  bool force = false;
  std::int64_t context = 512;
  bool context_given = false, text_given = false;
  std::int64_t chunks = 0;
  JudgeOptions judge;
  QuestionFlags questions;
  MmluFlags mmlu;
  HumanEvalFlags humaneval;
  EngineFlags engine;
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
  if (options.context < kMinContext || options.context > kMaxContext) {
    throw Error(ErrorCode::kUsage, fmt::format("{} is out of range", options.context),
                fmt::format("give a number from {} to {}", kMinContext, kMaxContext))
        .at("--ctx");
  }
  if (options.chunks < 0) {
    throw Error(ErrorCode::kUsage, fmt::format("{} is out of range", options.chunks),
                "give 1 or more, or 0 for the whole text")
        .at("--chunks");
  }
  check_engine_flags(options.engine);
  check_judge_options(options.judge, options.metrics, options.reference);
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
       {&options.dump_logits, &options.judge.save_reference, &options.questions.save}) {
    if (!output->empty()) require_absent(*output, {.replace = options.force});
  }
}

// A kept reference brings its text and its context along.
std::optional<eval::ReferenceFile> open_kept(ValidateFlags& options) {
  if (!eval::is_reference_file(options.reference)) return std::nullopt;
  eval::ReferenceFile kept = eval::ReferenceFile::open(options.reference);
  const auto context = static_cast<std::int64_t>(kept.header().context);
  if (options.context_given && options.context != context) {
    throw Error(ErrorCode::kUsage,
                fmt::format("{} was computed with --ctx {}, not {}",
                            printable(options.reference, 200), context, options.context),
                "leave --ctx out")
        .at("--ctx");
  }
  options.context = context;
  return kept;
}

// Takes the tokens of a kept reference, which must be what the model makes of a text that is given.
void use_tokens(const ValidateFlags& options, const eval::ReferenceFile& kept,
                const runtime::LoadedModel& model, std::vector<std::int32_t>& tokens) {
  require_same_tokenizer(kept, options.given_reference, model, options.given_model);
  const std::vector<std::int32_t>& theirs = kept.header().tokens;
  const bool same =
      tokens.size() >= theirs.size() && std::equal(theirs.begin(), theirs.end(), tokens.begin());
  if (options.text_given && !same) {
    throw Error(ErrorCode::kUsage,
                fmt::format("{} was computed on another text", printable(options.reference, 200)),
                "leave --text out: the reference has its own")
        .at("--text");
  }
  tokens = theirs;
}

// A file for what is kept of a reference, as large as it will be.
eval::ReferenceWriter reference_writer(const ValidateFlags& options,
                                       const runtime::LoadedModel& model,
                                       std::span<const std::int32_t> tokens,
                                       const eval::ScoreOptions& score) {
  eval::ReferenceHeader header;
  header.form = reference_form(options.judge);
  header.context = score.context;
  header.vocab = static_cast<std::uint32_t>(model.config().vocab);
  header.fingerprint = eval::vocabulary_fingerprint(model.text().tokenizer());
  const auto used = tokens.first(eval::chunks_of(tokens.size(), score) * score.context);
  header.tokens.assign(used.begin(), used.end());
  return {options.judge.save_reference, std::move(header), {.replace = options.force}};
}

// A model, and the text as it sees it.
struct Subject {
  std::unique_ptr<const runtime::LoadedModel> model;
  std::vector<std::int32_t> tokens;

  runtime::Engine& engine() const noexcept { return model->engine(); }
};

Subject open_subject(const std::string& path, std::string_view text, const std::string& place,
                     const ValidateFlags& options, const runtime::EngineOptions& engine,
                     Progress& progress) {
  Subject subject;
  model::Checkpoint checkpoint = model::Checkpoint::open(path);
  if (engine.context > checkpoint.config().context_length) {
    progress.note(fmt::format("--ctx {} is more than the {} positions {} was made for",
                              engine.context, checkpoint.config().context_length,
                              printable(path, 200)));
  }
  tell_of_running(checkpoint, engine);
  model::TextAssets assets = load_text(checkpoint, options.pre_tokenizer, progress);
  subject.model =
      std::make_unique<runtime::LoadedModel>(std::move(checkpoint), engine, std::move(assets));
  subject.tokens = with_context(place, [&] { return subject.model->text().encode(text); });
  return subject;
}

void require_same_vocabulary(const ValidateFlags& options, const Subject& model,
                             const Subject& reference) {
  const std::uint64_t ours = model.engine().config().vocab;
  const std::uint64_t theirs = reference.engine().config().vocab;
  if (ours == theirs && model.tokens == reference.tokens) return;
  const std::string how = ours != theirs ? fmt::format(" ({} and {} tokens)", ours, theirs) : "";
  throw Error(ErrorCode::kUsage,
              fmt::format("{} and {} have different vocabularies{}", printable(options.model, 200),
                          printable(options.reference, 200), how),
              "compare a model with the one it was made from")
      .at("--reference");
}

// Raw logits, appended as they come; the file appears when all of it is written.
class LogitsFile {
 public:
  LogitsFile(const std::string& path, std::uint64_t floats, OutputOptions options)
      : file_(path, floats * sizeof(float), options) {}
  void append(std::span<const float> logits) {
    file_.write_at(offset_, std::as_bytes(logits));
    offset_ += logits.size_bytes();
  }
  void commit() { file_.commit(); }

 private:
  OutputFile file_;
  std::uint64_t offset_ = 0;
};

// What the scored model's cache takes, and what it costs against the same model with a float32 one.
struct CacheReport {
  runtime::KvType type = runtime::KvType::kF32;
  std::uint64_t bytes = 0;               // of one chunk
  std::uint64_t bytes_per_position = 0;  // while no sliding window is full
  std::string text;
  std::optional<eval::Comparison> loss;  // none for float32 itself
};

CacheReport cache_report(const model::ModelConfig& config, const runtime::EngineOptions& engine) {
  const runtime::MemoryNeeds needs = runtime::memory_needs(config, engine);
  return {engine.kv_type, needs.keys_values, needs.per_position, kv_cache_text(config, engine), {}};
}

ordered_json text_json(const ValidateFlags& options, const eval::Score& score,
                       const CacheReport& cache) {
  ordered_json out = {
      {"model", options.given_model},   {"text", options.text.empty() ? "embedded" : options.text},
      {"context", options.context},     {"chunks", score.chunks},
      {"perplexity", score.perplexity}, {"perplexity_stderr", score.perplexity_stderr},
      {"tokens", score.tokens}};
  if (score.comparison) {
    const eval::Comparison& c = *score.comparison;
    out["reference"] = options.given_reference;
    out["reference_perplexity"] = c.reference_perplexity;
    out["loss_percent"] = c.loss_percent;
    out["kl_mean"] = c.kl_mean;
    out["kl_stderr"] = c.kl_stderr;
    out["kl_p99"] = c.kl_p99;
    out["top1"] = c.top1;
  }
  add_figures(out, score);
  out["kv_cache"] = runtime::info(cache.type).name;
  out["kv_cache_bytes"] = cache.bytes;
  out["kv_cache_bytes_per_token"] = cache.bytes_per_position;
  if (cache.loss) {
    out["kv_cache_perplexity_f32"] = cache.loss->reference_perplexity;
    out["kv_cache_loss_percent"] = cache.loss->loss_percent;
    out["kv_cache_kl_mean"] = cache.loss->kl_mean;
    out["kv_cache_kl_stderr"] = cache.loss->kl_stderr;
    out["kv_cache_kl_p99"] = cache.loss->kl_p99;
    out["kv_cache_top1"] = cache.loss->top1;
  }
  return out;
}

void print_table(const eval::Score& score, const CacheReport& cache, std::int64_t context) {
  fmt::print("perplexity       {:.4f} +/- {:.4f}  ({} tokens in {} chunks of {})\n",
             score.perplexity, score.perplexity_stderr, with_thousands(score.tokens), score.chunks,
             context);
  if (score.comparison) print_comparison(*score.comparison);
  print_bands(score);
  fmt::print("KV cache         {}\n", cache.text);
  if (!cache.loss) return;
  fmt::print("  with f32       {:.4f}, so this cache costs {:+.3f} %\n",
             cache.loss->reference_perplexity, cache.loss->loss_percent);
  fmt::print("  mean KL        {:.8f} +/- {:.8f} nats\n", cache.loss->kl_mean,
             cache.loss->kl_stderr);
}

// Scores the text: prints the table, or gives what JSON has of it.
ordered_json validate_text(ValidateFlags options, eval::GateFigures& figures, Context& context) {
  const std::optional<eval::ReferenceFile> kept = open_kept(options);
  runtime::EngineOptions engine = engine_options(options.engine);
  engine.context = static_cast<std::uint64_t>(options.context);
  runtime::EngineOptions exact_engine = engine;
  exact_engine.kv_type = runtime::KvType::kF32;
  const bool own_text = options.text.empty() || (kept && !options.text_given);
  const std::string given = own_text ? "" : read_text_input(options.text, context.stop);
  const std::string_view text = own_text ? eval::heldout_text() : given;
  const std::string place = own_text ? "embedded text" : text_input_name(options.text);
  const auto open = [&](const std::string& path, const runtime::EngineOptions& how) {
    return open_subject(path, text, place, options, how, *context.progress);
  };
  Subject model = open(options.model, engine);
  std::optional<Subject> reference;
  if (kept) {
    use_tokens(options, *kept, *model.model, model.tokens);
  } else if (!options.reference.empty()) {
    reference = open(options.reference, exact_engine);
    require_same_vocabulary(options, model, *reference);
  }
  const eval::ScoreOptions score_options{static_cast<std::uint32_t>(options.context),
                                         static_cast<std::uint64_t>(options.chunks),
                                         model.model->text().first_token()};
  const std::uint64_t chunks = eval::chunks_of(model.tokens.size(), score_options);
  std::optional<LogitsFile> dump;
  if (!options.dump_logits.empty()) {
    dump.emplace(options.dump_logits,
                 chunks * score_options.context * model.engine().config().vocab,
                 OutputOptions{.replace = options.force});
  }
  std::optional<eval::ReferenceWriter> writer;
  if (!options.judge.save_reference.empty() && chunks > 0) {
    writer.emplace(reference_writer(options, *model.model, model.tokens, score_options));
  }
  eval::ScoreAgainst against;
  against.reference = reference ? &reference->engine() : nullptr;
  against.kept = kept ? &*kept : nullptr;
  against.keep = writer ? &*writer : nullptr;
  eval::LogitsSink sink;
  if (dump) sink = [&](std::span<const float> logits) { dump->append(logits); };
  std::vector<std::string> models{options.model};
  if (reference) models.push_back(options.reference);
  const auto score_against = [&](const eval::ScoreAgainst& what) {
    return naming_bad_weights(models, engine, [&] {
      return with_context(place, [&] {
        return eval::score_text(model.engine(), what, model.tokens, score_options, *engine.pool,
                                *context.progress, context.stop);
      });
    });
  };
  CacheReport cache = cache_report(model.engine().config(), engine);
  eval::Score score;
  if (engine.kv_type == runtime::KvType::kF32) {
    against.sink = sink;
    score = score_against(against);
  } else {
    // Without a reference, one pass is enough; the second engine maps the same file.
    const auto exact = runtime::open_engine(model::Checkpoint::open(options.model), exact_engine);
    const bool twice = reference || kept;
    score = score_against({.reference = exact.get(),
                           .kept = nullptr,
                           .keep = twice ? nullptr : against.keep,
                           .sink = sink});
    cache.loss = std::exchange(score.comparison, std::nullopt);
    if (twice) score = score_against(against);
  }
  if (dump) dump->commit();
  if (writer) writer->commit();
  figures = gate_figures(score);
  if (options.json) return text_json(options, score, cache);
  print_table(score, cache, options.context);
  return {};
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

void validate(const ValidateFlags& options, const eval::PythonJudge* judge, Context& context) {
  check_options(options);
  eval::GateFigures figures;
  ordered_json out = ordered_json::object();
  if (!options.given_model.empty()) out["model"] = options.given_model;
  if (options.scores_text()) out = validate_text(options, figures, context);
  eval::RunRecord record = open_record(options);
  const AskedModels models{options.model, options.reference, options.given_model,
                           options.given_reference, options.pre_tokenizer};
  if (options.asks("mmlu")) {
    const eval::MmluReport report = run_mmlu(options.questions, options.mmlu, models,
                                             engine_options(options.engine), record, context);
    figures.mmlu = report.all.model.accuracy();
    if (options.json) out["mmlu"] = eval::mmlu_json(report);
    if (!options.json) print_mmlu(report);
  }
  if (judge != nullptr) {
    const eval::HumanEvalReport report =
        run_humaneval(options.questions, options.humaneval, models, engine_options(options.engine),
                      *judge, record, context);
    if (report.problems > 0) figures.humaneval = report.pass_at.at(1);
    if (options.json) out["humaneval"] = eval::humaneval_json(report);
    if (!options.json) print_humaneval(report);
  }
  record.commit();
  if (options.json) {
    fmt::print("{}\n", out.dump(2, ' ', false, ordered_json::error_handler_t::replace));
  }
  apply_gate(options.judge, figures);
}

}  // namespace

void add_validate(const Command& app, Context& context) {
  const Command command =
      app.add_command("validate", "Measure perplexity, and the loss against another model");
  auto options = std::make_shared<ValidateFlags>();
  command
      .add_option("MODEL", options->model, "GGUF file, model's directory, or owner/name of the hub")
      .type_name("");
  command
      .add_option("--metrics", options->metrics,
                  "perplexity, kl (needs --reference), mmlu, humaneval")
      .delimiter(',')
      .type_name("LIST");
  command
      .add_option("--reference", options->reference,
                  "The model to compare with, or what --save-reference or llama.cpp kept of it")
      .type_name("MODEL");
  command
      .add_option("--text", options->text,
                  "Text to predict; -: standard input (default: the setting text, else an "
                  "embedded one)")
      .type_name("FILE");
  const Option ctx =
      command.add_option("--ctx", options->context, "Tokens of a chunk (default: 512)")
          .type_name("N");
  command.add_option("--chunks", options->chunks, "Stop after so many chunks (default: all)")
      .type_name("N");
  add_engine_options(
      command, options->engine,
      {.kv_cache = runtime::KvType::kF32, .activations = "float", .settings = false});
  command.add_flag("--json", options->json, "Print JSON");
  command
      .add_option("--dump-logits", options->dump_logits,
                  "Write the float32 logits of every position")
      .type_name("FILE")
      .group("");
  command.add_flag("--force", options->force,
                   "Replace existing files of --save-reference and others");
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
  command.callback([options, ctx, &context] {
    options->context_given = ctx.given();
    // The settings may have given one too, which is for whoever has none.
    options->text_given = context.settings.get(SettingKey::kText).source == "--text";
    check_options(*options);  // before a long download
    options->given_model = options->model;
    options->given_reference = options->reference;
    std::optional<eval::PythonJudge> judge;
    if (options->asks("humaneval")) judge.emplace(make_judge(options->humaneval, context.stop));
    for (std::string* model : {&options->model, &options->reference}) {
      if (options->needs_no_model()) break;
      if (model == &options->reference && eval::is_reference_file(*model)) continue;
      *model = local_model(*model, hub::Need::kAll, options->no_download, context);
    }
    validate(*options, judge ? &*judge : nullptr, context);
  });
}

}  // namespace pajamas::cli
