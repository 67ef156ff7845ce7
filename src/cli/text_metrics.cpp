#include "cli/text_metrics.h"

#include <fmt/format.h>

#include <algorithm>
#include <cstdlib>
#include <filesystem>
#include <memory>
#include <nlohmann/json.hpp>
#include <optional>
#include <utility>
#include <vector>

#include "base/error.h"
#include "base/output.h"
#include "base/system.h"
#include "cli/byte_size.h"
#include "cli/engine_options.h"
#include "cli/further_texts.h"
#include "cli/load_model.h"
#include "cli/model_argument.h"
#include "cli/terminal.h"
#include "cli/text_option.h"
#include "eval/built_in_text.h"
#include "eval/perplexity.h"
#include "eval/shipped.h"
#include "runtime/layer_major.h"
#include "runtime/loaded_model.h"

namespace pajamas::cli {
namespace {

using nlohmann::ordered_json;

constexpr std::int64_t kMinContext = 4;
constexpr std::int64_t kMaxContext = 1 << 20;

// A kept reference brings its text and its context along.
std::optional<eval::ReferenceFile> open_kept(const TextRun& run, TextFlags& options) {
  if (!eval::is_reference_file(run.models.reference)) return std::nullopt;
  eval::ReferenceFile kept = eval::ReferenceFile::open(run.models.reference);
  const auto context = static_cast<std::int64_t>(kept.header().context);
  if (options.context_given && options.context != context) {
    throw Error(ErrorCode::kUsage,
                fmt::format("{} was computed with --ctx {}, not {}",
                            printable(run.models.reference, 200), context, options.context),
                "leave --ctx out")
        .at("--ctx");
  }
  options.context = context;
  return kept;
}

// Takes the tokens of a kept reference, which must be what the model makes of a text that is given.
void use_tokens(const TextRun& run, const eval::ReferenceFile& kept,
                const runtime::LoadedModel& model, std::vector<std::int32_t>& tokens) {
  require_same_tokenizer(kept, run.models.given_reference, model, run.models.given_model);
  const std::vector<std::int32_t>& theirs = kept.header().tokens;
  const bool same =
      tokens.size() >= theirs.size() && std::equal(theirs.begin(), theirs.end(), tokens.begin());
  if (run.flags.text_given && !same) {
    throw Error(
        ErrorCode::kUsage,
        fmt::format("{} was computed on another text", printable(run.models.reference, 200)),
        "leave --text out: the reference has its own")
        .at("--text");
  }
  tokens = theirs;
}

// A file for what is kept of a reference, as large as it will be.
eval::ReferenceWriter reference_writer(const TextRun& run, const runtime::LoadedModel& model,
                                       std::span<const std::int32_t> tokens,
                                       const eval::ScoreOptions& score) {
  eval::ReferenceHeader header;
  header.form = reference_form(run.judge);
  header.context = score.context;
  header.vocab = static_cast<std::uint32_t>(model.config().vocab);
  header.fingerprint = eval::vocabulary_fingerprint(model.text().tokenizer());
  const auto used = tokens.first(eval::chunks_of(tokens.size(), score) * score.context);
  header.tokens.assign(used.begin(), used.end());
  return {run.judge.save_reference, std::move(header), {.replace = run.force}};
}

// A model, and the text as it sees it.
struct Subject {
  std::unique_ptr<const runtime::LoadedModel> model;
  std::vector<std::int32_t> tokens;

  runtime::Engine& engine() const noexcept { return model->engine(); }
};

// A model that is going to be one, and how it runs.
struct Planned {
  model::Checkpoint checkpoint;
  runtime::EngineOptions engine;
};

Planned plan_model(const std::string& path, const runtime::EngineOptions& engine,
                   Progress& progress) {
  Planned planned{model::Checkpoint::open(path), engine};
  settle_backend(planned.checkpoint, planned.engine);
  const std::uint64_t made_for = planned.checkpoint.config().context_length;
  if (engine.context > made_for) {
    progress.note(fmt::format("--ctx {} is more than the {} positions {} was made for",
                              engine.context, made_for, printable(path, 200)));
  }
  return planned;
}

Subject open_subject(Planned planned, std::string_view text, const std::string& place,
                     const TextRun& run, bool layer_by_layer, Progress& progress) {
  Subject subject;
  if (layer_by_layer) {
    log_opened(planned.checkpoint);
    tell_notes(planned.checkpoint);
  } else {
    tell_of_running(planned.checkpoint, planned.engine);
  }
  model::TextAssets assets = load_text(planned.checkpoint, run.models.pre_tokenizer, progress);
  subject.model = std::make_unique<runtime::LoadedModel>(std::move(planned.checkpoint),
                                                         planned.engine, std::move(assets));
  subject.tokens = with_context(place, [&] { return subject.model->text().encode(text); });
  return subject;
}

// A folder for what waits between two layers: on a disk, which /tmp often is not.
std::filesystem::path scratch_folder() {
  const char* const given = std::getenv("TMPDIR");
  std::error_code code;
  if (given != nullptr && *given != 0) {
    if (std::filesystem::is_directory(given, code)) return given;
    throw Error(ErrorCode::kNotFound, fmt::format("{} is no folder", printable(given, 200)),
                "have it name one on a disk: the text waits there between two layers")
        .at("TMPDIR");
  }
  for (const char* const folder : {"/var/tmp", "/tmp"}) {
    if (std::filesystem::is_directory(folder, code)) return folder;
  }
  return ".";
}

// Layer by layer where that is asked for, or where the weights do not fit the memory; nothing:
// chunk by chunk. `exact`: the model runs beside itself with an exact cache.
std::optional<eval::LayerByLayer> layer_by_layer(const TextRun& run, const Planned& model,
                                                 const std::optional<Planned>& reference,
                                                 const std::optional<runtime::EngineOptions>& exact,
                                                 Progress& progress) {
  std::uint64_t weights = weights_bytes(model.checkpoint), other = 0;
  if (reference) {
    weights += weights_bytes(reference->checkpoint);
    other = eval::layer_by_layer_bytes(reference->checkpoint, reference->engine);
  }
  if (exact) other = std::max(other, eval::layer_by_layer_bytes(model.checkpoint, *exact));
  const std::uint64_t least =
      runtime::kProgramBytes + other + eval::layer_by_layer_bytes(model.checkpoint, model.engine);
  const std::uint64_t available = available_memory_bytes();
  const std::string& budget = run.flags.memory_budget;
  const bool fits = available == 0 || weights < available;
  if (budget.empty() && fits && !run.flags.per_layer) return std::nullopt;
  eval::LayerByLayer how;
  how.scratch = scratch_folder();
  if (budget.empty()) {
    how.activation_bytes = available > least ? (available - least) / 2 : 0;
    if (fits) return how;
    progress.note(
        fmt::format("the weights take {} and {} of memory are free: the whole text goes through "
                    "one layer after the other (--memory-budget says in how much memory)",
                    readable_bytes(weights), readable_bytes(available)));
    return how;
  }
  const std::uint64_t bytes = parse_byte_size(budget, "--memory-budget");
  if (bytes <= least) {
    throw Error(
        ErrorCode::kOutOfMemory,
        fmt::format("two layers, and what is computed with them, take {}", readable_bytes(least)),
        fmt::format("give at least {}", readable_bytes(least + least / 10)))
        .at("--memory-budget");
  }
  how.activation_bytes = bytes - least;
  return how;
}

void require_same_vocabulary(const TextRun& run, const Subject& model, const Subject& reference) {
  const std::uint64_t ours = model.engine().config().vocab;
  const std::uint64_t theirs = reference.engine().config().vocab;
  if (ours == theirs && model.tokens == reference.tokens) return;
  const std::string how = ours != theirs ? fmt::format(" ({} and {} tokens)", ours, theirs) : "";
  throw Error(
      ErrorCode::kUsage,
      fmt::format("{} and {} have different vocabularies{}", printable(run.models.model, 200),
                  printable(run.models.reference, 200), how),
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

ordered_json text_json(const TextRun& run, const TextFlags& options, const eval::Score& score,
                       const CacheReport& cache, const eval::LayerErrors& layers) {
  ordered_json out = {
      {"model", run.models.given_model}, {"text", options.text.empty() ? "embedded" : options.text},
      {"context", options.context},      {"chunks", score.chunks},
      {"perplexity", score.perplexity},  {"perplexity_stderr", score.perplexity_stderr},
      {"tokens", score.tokens}};
  if (score.comparison) {
    const eval::Comparison& c = *score.comparison;
    out["reference"] = run.models.given_reference;
    out["reference_perplexity"] = c.reference_perplexity;
    out["loss_percent"] = c.loss_percent;
    out["kl_mean"] = c.kl_mean;
    out["kl_stderr"] = c.kl_stderr;
    out["kl_p99"] = c.kl_p99;
    out["top1"] = c.top1;
  }
  add_figures(out, score);
  // Until a chat is scored too.
  if (run.verdict && score.comparison) out["verdict"] = verdict_of(*score.comparison);
  if (options.per_layer) out["layers"] = layers_json(layers.layers());
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

// For whoever names nothing: raw prose says little of a model that only knows chats. Not where that
// takes another pass over the file, which the user should want.
std::vector<std::string> further_texts(const TextRun& run, const Subject& model, bool own_text,
                                       bool layer_by_layer) {
  const bool chats = !model.model->text().chat().empty();
  if (!run.flags.texts.empty() || !run.unasked || !own_text || layer_by_layer || !chats) {
    return run.flags.texts;
  }
  return {std::string(eval::kChatText)};
}

// As the model reads them, before any is scored: what cannot be is told before the work.
std::vector<FurtherPassages> prepare_further(const TextRun& run, const Subject& model,
                                             bool own_text, const eval::ScoreOptions& options,
                                             Progress& progress) {
  const bool by_layer = options.layer_by_layer.has_value();
  try {
    return further_passages(further_texts(run, model, own_text, by_layer), model.model->text(),
                            options);
  } catch (const Error& error) {
    const bool is_the_texts =
        error.code() == ErrorCode::kUnsupported || error.code() == ErrorCode::kUsage;
    if (!run.flags.texts.empty() || !is_the_texts) throw;
    // A text that nobody named is no reason to fail: its template may not suit it.
    progress.note(fmt::format("no chat is scored: {}", error.what()));
    return {};
  }
}

// The chat among them; nullptr: none.
const eval::Score* chat_of(const std::vector<FurtherText>& texts) {
  const auto found = std::ranges::find(texts, eval::kChatText, &FurtherText::name);
  return found == texts.end() ? nullptr : &found->score;
}

}  // namespace

void add_text_options(const Command& command, TextFlags& flags) {
  command
      .add_option("--text", flags.text,
                  "Text to predict; -: standard input (default: the setting text, else an "
                  "embedded one)")
      .type_name("FILE");
  command.add_option("--chunks", flags.chunks, "Stop after so many chunks (default: all)")
      .type_name("N");
  command
      .add_option("--memory-budget", flags.memory_budget,
                  "Score the text in this much memory, as 4GB: layer by layer, each read once "
                  "(default: where the weights do not fit)")
      .type_name("SIZE");
  command.add_flag("--per-layer", flags.per_layer,
                   "Show where the error enters: each layer's output against the reference's, and "
                   "what routers choose");
  command
      .add_option("--dump-logits", flags.dump_logits, "Write the float32 logits of every position")
      .type_name("FILE")
      .group("");
}

void check_chunks(std::int64_t context, std::int64_t chunks) {
  require_between("--ctx", context, kMinContext, kMaxContext);
  if (chunks >= 0) return;
  throw Error(ErrorCode::kUsage, fmt::format("{} is out of range", chunks),
              "give 1 or more, or 0 for the whole text")
      .at("--chunks");
}

void check_text_flags(const TextFlags& flags, bool asked, const std::string& reference) {
  check_chunks(flags.context, flags.chunks);
  if (!flags.memory_budget.empty()) parse_byte_size(flags.memory_budget, "--memory-budget");
  if (!flags.memory_budget.empty() && !asked) {
    throw Error(ErrorCode::kUsage, "it is for perplexity and kl, which are not measured",
                "leave it out: whoever answers takes all weights for every token")
        .at("--memory-budget");
  }
  check_further_texts(flags.texts, reference);
  require_metric(!flags.texts.empty(), asked, "--texts", "perplexity or kl");
  if (!flags.per_layer) return;
  require_metric(true, asked, "--per-layer", "perplexity or kl");
  if (reference.empty() || eval::is_reference_file(reference)) {
    throw Error(
        ErrorCode::kUsage,
        reference.empty() ? "it compares with another model" : "a kept reference has no layers",
        "name the model that this one was made from with --reference")
        .at("--per-layer");
  }
}

void score_given_text(const TextRun& run, ordered_json& out, eval::GateFigures& figures,
                      Context& context) {
  TextFlags options = run.flags;
  const std::optional<eval::ReferenceFile> kept = open_kept(run, options);
  runtime::EngineOptions engine = run.engine;
  engine.context = static_cast<std::uint64_t>(options.context);
  runtime::EngineOptions exact_engine = engine;
  exact_engine.kv_type = runtime::KvType::kF32;
  const bool own_text = options.text.empty() || (kept && !options.text_given);
  const std::string given = own_text ? "" : read_text_input(options.text, context.stop);
  const std::string_view text = own_text ? eval::heldout_text() : given;
  const std::string place = own_text ? "embedded text" : text_input_name(options.text);
  const bool has_exact_cache = engine.kv_type == runtime::KvType::kF32;
  Planned planned = plan_model(run.models.model, engine, *context.progress);
  std::optional<Planned> planned_reference;
  if (!kept && !run.models.reference.empty()) {
    planned_reference = plan_model(run.models.reference, exact_engine, *context.progress);
  }
  eval::ScoreOptions score_options{static_cast<std::uint32_t>(options.context),
                                   static_cast<std::uint64_t>(options.chunks)};
  score_options.layer_by_layer = layer_by_layer(
      run, planned, planned_reference, has_exact_cache ? std::nullopt : std::optional(exact_engine),
      *context.progress);
  const auto open = [&](Planned& of) {
    return open_subject(std::move(of), text, place, run, score_options.layer_by_layer.has_value(),
                        *context.progress);
  };
  Subject model = open(planned);
  score_options.bos = model.model->text().first_token();
  std::optional<Subject> reference;
  if (kept) {
    use_tokens(run, *kept, *model.model, model.tokens);
  } else if (planned_reference) {
    reference = open(*planned_reference);
    require_same_vocabulary(run, model, *reference);
  }
  const std::vector<FurtherPassages> further =
      prepare_further(run, model, own_text, score_options, *context.progress);
  const std::uint64_t chunks = eval::chunks_of(model.tokens.size(), score_options);
  std::optional<LogitsFile> dump;
  if (!options.dump_logits.empty()) {
    dump.emplace(options.dump_logits,
                 chunks * score_options.context * model.engine().config().vocab,
                 OutputOptions{.replace = run.force});
  }
  std::optional<eval::ReferenceWriter> writer;
  if (!run.judge.save_reference.empty() && chunks > 0) {
    writer.emplace(reference_writer(run, *model.model, model.tokens, score_options));
  }
  eval::ScoreAgainst against;
  against.reference = reference ? &reference->engine() : nullptr;
  against.kept = kept ? &*kept : nullptr;
  against.keep = writer ? &*writer : nullptr;
  eval::LayerErrors layers;
  if (options.per_layer) against.layers = &layers;
  eval::LogitsSink sink;
  if (dump) sink = [&](std::span<const float> logits) { dump->append(logits); };
  std::vector<const runtime::LoadedModel*> models{model.model.get()};
  if (reference) models.push_back(reference->model.get());
  const auto score_against = [&](const eval::ScoreAgainst& what) {
    return runtime::naming_bad_weights(models, [&] {
      return with_context(place, [&] {
        return eval::score_text(model.engine(), what, model.tokens, score_options, *engine.pool,
                                *context.progress, context.stop);
      });
    });
  };
  CacheReport cache = cache_report(model.engine().config(), engine);
  eval::Score score;
  if (has_exact_cache) {
    against.sink = sink;
    score = score_against(against);
  } else {
    // Without a reference, one pass is enough; the second engine has the same files and runs on the
    // same backend: what differs is the cache.
    exact_engine.backend = model.model->options().backend;
    const auto exact = runtime::open_engine(model.model->checkpoint().share(), exact_engine);
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
  figures.text = text_figures(score);
  out = text_json(run, options, score, cache, layers);
  if (!run.json) {
    print_table(score, cache, options.context);
    if (options.per_layer) print_layers(layers.layers());
  }
  const auto texts = runtime::naming_bad_weights(models, [&] {
    return score_further_texts(
        further, {model.engine(), against.reference, score_options, *engine.pool}, context);
  });
  if (!texts.empty()) out["texts"] = further_texts_json(texts);
  const eval::Score* const chat = chat_of(texts);
  if (chat != nullptr) figures.chat = text_figures(*chat);
  std::string verdict;
  if (run.verdict && score.comparison) {
    verdict = verdict_of(*score.comparison, chat != nullptr ? &*chat->comparison : nullptr);
    out["verdict"] = verdict;
  }
  if (run.json) return;
  print_further_texts(texts);
  if (!verdict.empty()) fmt::print("{}\n", verdict);
}

}  // namespace pajamas::cli
