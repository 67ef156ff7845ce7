#include "eval/perplexity.h"

#include <fmt/format.h>

#include <algorithm>
#include <numeric>
#include <utility>
#include <vector>

#include "base/bytes.h"
#include "base/error.h"
#include "eval/divergence.h"
#include "runtime/layer_major.h"
#include "runtime/text_chunks.h"

namespace pajamas::eval {
namespace {

// Logits of so many positions are held at a time: the output matrix is decoded once for each.
constexpr std::size_t kLogitRows = 128;

// One model's session of one chunk, batch by batch.
class Pass {
 public:
  explicit Pass(runtime::Engine& engine) : engine_(engine), session_(engine.create_session()) {}
  Pass(const Pass&) = delete;
  Pass& operator=(const Pass&) = delete;
  ~Pass() { engine_.release(session_); }

  // What comes out for the tokens that are `wanted`; nullptr: none is.
  const runtime::Hidden* run(std::span<const std::int32_t> tokens, std::size_t first,
                             std::span<const std::size_t> wanted, const StopFlag& stop) {
    batch_.clear();
    for (std::size_t i = 0; i < tokens.size(); ++i) {
      batch_.push_back({session_, static_cast<std::uint32_t>(first + i), tokens[i], false});
    }
    for (const std::size_t row : wanted) batch_[row].want_logits = true;
    hidden_ = runtime::run_wanted(engine_, batch_, stop);
    return hidden_.get();
  }

 private:
  runtime::Engine& engine_;
  runtime::SessionId session_;
  std::vector<runtime::BatchRow> batch_;
  runtime::HiddenPtr hidden_;
};

// What comes out of a model's last layer as logits.
class Head {
 public:
  explicit Head(runtime::Engine& engine) : engine_(engine) {}

  std::span<const float> logits(const runtime::Hidden& hidden, std::span<const std::size_t> rows) {
    logits_.resize(rows.size() * engine_.config().vocab);
    engine_.logits(hidden, rows, logits_);
    return logits_;
  }

 private:
  runtime::Engine& engine_;
  std::vector<float> logits_;
};

class Scoring {
 public:
  // `tokens`: of all chunks, as the text has them; `counts`: of each whether the prediction of the
  // next one counts.
  Scoring(runtime::Engine& model, const ScoreAgainst& against, std::span<const std::int32_t> tokens,
          const std::vector<bool>& counts, const TaskPool& pool)
      : model_(model), against_(against), tokens_(tokens), counts_(counts), pool_(pool) {
    PJ_CHECK(counts.size() == tokens.size());
    if (against.reference != nullptr) reference_.emplace(*against.reference);
  }

  // Those of tokens [first, first + count) whose logits are looked at, counted from `first`.
  std::vector<std::size_t> wanted(std::size_t first, std::size_t count) const {
    const bool all = static_cast<bool>(against_.sink);
    std::vector<std::size_t> wanted;
    for (std::size_t i = 0; i < count; ++i) {
      if (all || counts_[first + i]) wanted.push_back(i);
    }
    return wanted;
  }

  // What comes out of the last layers in `rows`, of the tokens `wanted` behind `first`, which
  // follow those before.
  void batch(std::size_t first, std::span<const std::size_t> wanted,
             std::span<const std::size_t> rows, const runtime::Hidden& model,
             const runtime::Hidden* reference) {
    for (std::size_t at = 0; at < rows.size(); at += kLogitRows) {
      const std::size_t count = std::min(kLogitRows, rows.size() - at);
      score_rows(first, wanted.subspan(at, count), rows.subspan(at, count), model, reference);
    }
  }

  std::span<const PositionScore> scores() const noexcept { return scores_; }

 private:
  void score_rows(std::size_t first, std::span<const std::size_t> wanted,
                  std::span<const std::size_t> rows, const runtime::Hidden& model,
                  const runtime::Hidden* reference) {
    const std::span<const float> logits = model_.logits(model, rows);
    if (against_.sink) against_.sink(logits);
    std::vector<std::size_t> scored;  // of `rows`
    for (std::size_t i = 0; i < rows.size(); ++i) {
      if (counts_[first + wanted[i]]) scored.push_back(i);
    }
    if (scored.empty()) return;
    std::span<const float> base;
    if (reference_) base = reference_->logits(*reference, rows);
    const std::size_t vocab = logits.size() / rows.size();
    const std::size_t known = scores_.size();
    scores_.resize(known + scored.size());
    pool_.for_ranges(scored.size(), 1, [&](std::uint64_t i, std::uint64_t) {
      const std::size_t row = scored[i] * vocab;
      scores_[known + i] = score(known + i, logits.subspan(row, vocab),
                                 base.empty() ? base : base.subspan(row, vocab),
                                 tokens_[first + wanted[scored[i]] + 1]);
    });
  }

  // Of scored position `index` of all chunks.
  PositionScore score(std::uint64_t index, std::span<const float> logits,
                      std::span<const float> base, std::int32_t next) const {
    if (against_.keep != nullptr) against_.keep->put(index, base.empty() ? logits : base, next);
    if (against_.kept != nullptr) return against_.kept->score(index, logits, next);
    return score_position(logits, base, next);
  }

  Head model_;
  std::optional<Head> reference_;
  const ScoreAgainst& against_;
  std::span<const std::int32_t> tokens_;
  const std::vector<bool>& counts_;
  const TaskPool& pool_;
  std::vector<PositionScore> scores_;
};

// Rows of a batch that all engines take.
std::size_t batch_rows(const runtime::Engine& model, const ScoreAgainst& against) {
  return against.reference == nullptr ? model.max_batch()
                                      : std::min(model.max_batch(), against.reference->max_batch());
}

// One chunk after the other through all layers.
void run_chunks(runtime::Engine& engine, const ScoreAgainst& against,
                std::span<const runtime::Chunk> chunks, Scoring& scoring, Progress& progress,
                const StopFlag& stop) {
  const std::size_t step = batch_rows(engine, against);
  std::vector<std::size_t> rows(step);  // of what comes out for those that are wanted
  std::iota(rows.begin(), rows.end(), std::size_t{0});
  std::size_t done = 0;
  for (const runtime::Chunk& chunk : chunks) {
    Pass model(engine);
    std::optional<Pass> reference;
    if (against.reference != nullptr) reference.emplace(*against.reference);
    for (std::size_t first = 0; first < chunk.size(); first += step) {
      const auto part = std::span(chunk).subspan(first, std::min(step, chunk.size() - first));
      const std::vector<std::size_t> wanted = scoring.wanted(done, part.size());
      const runtime::Hidden* const hidden = model.run(part, first, wanted, stop);
      const runtime::Hidden* const base =
          reference ? reference->run(part, first, wanted, stop) : nullptr;
      if (hidden != nullptr) {
        scoring.batch(done, wanted, std::span(rows).first(wanted.size()), *hidden, base);
      }
      done += part.size();
      progress.advance(part.size());
    }
  }
}

// Reads what follows the last layer while that one computes, and has the layers compared.
class AroundLayers final : public runtime::LayerVisitor {
 public:
  AroundLayers(std::span<const runtime::Stream> streams, LayerErrors* errors)
      : streams_(streams), errors_(errors) {
    PJ_CHECK(errors == nullptr || streams.size() == 2);
  }

  runtime::LinearTap* begin(std::size_t stream, std::uint64_t layer) override {
    runtime::Engine& engine = streams_[stream].engine;
    if (layer + 1 == engine.config().layers) engine.expect(runtime::Engine::kOutput);
    return errors_ == nullptr ? nullptr : errors_->begin(stream, engine.config(), layer);
  }
  void after_batch(std::size_t stream, std::uint64_t, std::size_t batch, runtime::Batch) override {
    if (errors_ == nullptr) return;
    errors_->after_batch(stream, batch, streams_[0].between, streams_[1].between);
  }
  void end(std::size_t stream, std::uint64_t) override {
    if (errors_ != nullptr) errors_->end(stream);
  }

 private:
  std::span<const runtime::Stream> streams_;
  LayerErrors* errors_;
};

// All chunks through one layer after the other, then what follows the last one.
void run_layers_of_chunks(runtime::Engine& engine, const ScoreAgainst& against,
                          const LayerByLayer& how, std::span<const runtime::Chunk> chunks,
                          Scoring& scoring, Progress& progress, const StopFlag& stop) {
  const bool compares = against.reference != nullptr;
  const std::uint64_t each = compares ? how.activation_bytes / 2 : how.activation_bytes;
  runtime::ActivationStore between(each, how.scratch), reference_between(each, how.scratch);
  std::vector<runtime::Stream> streams{{engine, between}};
  if (compares) streams.push_back({*against.reference, reference_between});
  const auto batches = runtime::batches_of(chunks, batch_rows(engine, against));
  AroundLayers visitor(streams, against.layers);
  runtime::run_layer_major(streams, batches, visitor, progress, stop);
  std::size_t done = 0;
  for (std::size_t b = 0; b < batches.size(); ++b) {
    stop.check();
    const std::vector<runtime::BatchRow>& rows = batches[b];
    const runtime::HiddenPtr hidden = between.get(b, engine, rows);
    runtime::HiddenPtr base;
    if (compares) base = reference_between.get(b, *against.reference, rows);
    const std::vector<std::size_t> wanted = scoring.wanted(done, rows.size());
    scoring.batch(done, wanted, wanted, *hidden, base.get());
    done += rows.size();
    progress.advance(rows.size());
  }
  for (const runtime::Stream& stream : streams) stream.engine.leave(runtime::Engine::kOutput);
}

void run_scoring(runtime::Engine& model, const ScoreAgainst& against,
                 std::span<const runtime::Chunk> chunks, std::uint64_t tokens,
                 const ScoreOptions& options, Scoring& scoring, Progress& progress,
                 const StopFlag& stop) {
  if (options.layer_by_layer) {
    const std::uint64_t engines = against.reference != nullptr ? 2 : 1;
    progress.begin("Scoring layer by layer", tokens * (engines * model.config().layers + 1),
                   "rows");
    run_layers_of_chunks(model, against, *options.layer_by_layer, chunks, scoring, progress, stop);
  } else {
    progress.begin("Scoring", tokens, "tokens");
    run_chunks(model, against, chunks, scoring, progress, stop);
  }
  progress.end();
}

// Positions of a chunk whose predictions count: each has at least half a chunk before it.
std::uint64_t scored_begin(const ScoreOptions& options) { return options.context / 2; }
bool is_scored(std::uint64_t position, const ScoreOptions& options) {
  return position >= scored_begin(options) && position + 1 < options.context;
}

// Throws Error{kUsage} for less than two chunks.
void check_length(std::uint64_t tokens, const ScoreOptions& options) {
  PJ_CHECK(options.context >= 4);
  const std::uint64_t least = 2 * std::uint64_t{options.context};
  if (tokens >= least) return;
  throw Error(ErrorCode::kUsage,
              fmt::format("the text has {} tokens; a context of {} needs at least {}", tokens,
                          options.context, least),
              "give a longer text or a smaller --ctx");
}

std::span<const Passage> asked_for(std::span<const Passage> passages, const ScoreOptions& options) {
  if (options.max_chunks == 0 || options.max_chunks >= passages.size()) return passages;
  return passages.first(options.max_chunks);
}

bool is_compared(const ScoreAgainst& against) {
  return against.reference != nullptr || against.kept != nullptr;
}

void check_tokens(std::span<const std::int32_t> tokens, std::uint64_t vocab) {
  for (const std::int32_t token : tokens) {
    if (token >= 0 && static_cast<std::uint64_t>(token) < vocab) continue;
    throw Error(ErrorCode::kCorruptFile,
                fmt::format("token {} is beyond the model's vocabulary of {}", token, vocab),
                "the tokenizer does not belong to this model");
  }
}

}  // namespace

std::uint64_t chunks_of(std::uint64_t tokens, const ScoreOptions& options) noexcept {
  const std::uint64_t chunks = tokens / options.context;
  return options.max_chunks != 0 ? std::min(chunks, options.max_chunks) : chunks;
}

Score score_text(runtime::Engine& model, const ScoreAgainst& against,
                 std::span<const std::int32_t> tokens, const ScoreOptions& options,
                 const TaskPool& pool, Progress& progress, const StopFlag& stop) {
  if (against.kept == nullptr) check_length(tokens.size(), options);
  const std::uint64_t vocab = model.config().vocab;
  PJ_CHECK(against.reference == nullptr || against.reference->config().vocab == vocab);
  PJ_CHECK(against.kept == nullptr || (against.kept->header().vocab == vocab &&
                                       against.kept->header().context == options.context));
  PJ_CHECK(against.layers == nullptr || options.layer_by_layer);
  check_tokens(tokens, vocab);
  const auto used = tokens.first(chunks_of(tokens.size(), options) * options.context);
  const auto chunks = runtime::cut_chunks(used, options.context, options.bos);
  std::vector<bool> counts(used.size());
  for (std::size_t i = 0; i < used.size(); ++i) counts[i] = is_scored(i % options.context, options);
  Scoring scoring(model, against, used, counts, pool);
  run_scoring(model, against, chunks, used.size(), options, scoring, progress, stop);
  return summarize(scoring.scores(), chunks.size(), scored_begin(options), is_compared(against));
}

std::vector<Passage> cut_passages(std::span<const std::int32_t> tokens,
                                  const ScoreOptions& options) {
  check_length(tokens.size(), options);
  std::vector<Passage> passages;
  for (runtime::Chunk& chunk : runtime::cut_chunks(tokens, options.context, options.bos)) {
    Passage& passage = passages.emplace_back();
    for (std::size_t i = 0; i < chunk.size(); ++i) {
      passage.counts.push_back(i > 0 && is_scored(i - 1, options));
    }
    passage.tokens = std::move(chunk);
  }
  return passages;
}

void check_passages(std::span<const Passage> passages, const ScoreOptions& options) {
  const auto counts = [](const Passage& passage) {
    return std::ranges::count(passage.counts, true) != 0;
  };
  if (std::ranges::any_of(asked_for(passages, options), counts)) return;
  throw Error(ErrorCode::kUsage, "nothing of the text is scored", "give a larger --ctx");
}

Score score_passages(runtime::Engine& model, const ScoreAgainst& against,
                     std::span<const Passage> passages, const ScoreOptions& options,
                     const TaskPool& pool, Progress& progress, const StopFlag& stop) {
  PJ_CHECK(against.kept == nullptr && against.keep == nullptr && against.layers == nullptr);
  check_passages(passages, options);
  passages = asked_for(passages, options);
  std::vector<runtime::Chunk> chunks;
  std::vector<std::int32_t> tokens;
  std::vector<bool> counts;
  for (const Passage& passage : passages) {
    PJ_CHECK(!passage.tokens.empty() && passage.counts.size() == passage.tokens.size());
    chunks.push_back(passage.tokens);
    tokens.insert(tokens.end(), passage.tokens.begin(), passage.tokens.end());
    counts.insert(counts.end(), passage.counts.begin() + 1, passage.counts.end());
    counts.push_back(false);
  }
  check_tokens(tokens, model.config().vocab);
  Scoring scoring(model, against, tokens, counts, pool);
  run_scoring(model, against, chunks, tokens.size(), options, scoring, progress, stop);
  return summarize(scoring.scores(), chunks.size(), is_compared(against));
}

std::uint64_t layer_by_layer_bytes(const model::Checkpoint& checkpoint,
                                   const runtime::EngineOptions& options) {
  const std::uint64_t logits = checked_mul(kLogitRows * sizeof(float), checkpoint.config().vocab);
  return checked_add(runtime::layer_major_bytes(checkpoint, options), logits);
}

}  // namespace pajamas::eval
