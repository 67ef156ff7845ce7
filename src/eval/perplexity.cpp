#include "eval/perplexity.h"

#include <fmt/format.h>

#include <algorithm>
#include <vector>

#include "base/error.h"
#include "eval/divergence.h"

namespace pajamas::eval {
namespace {

// Logits of so many positions are held at a time: the output matrix is decoded once for each.
constexpr std::size_t kLogitRows = 128;

// One model's pass over one chunk, batch by batch.
class Pass {
 public:
  explicit Pass(runtime::Engine& engine) : engine_(engine), session_(engine.create_session()) {}
  Pass(const Pass&) = delete;
  Pass& operator=(const Pass&) = delete;
  ~Pass() { engine_.release(session_); }

  void run(std::span<const std::int32_t> tokens, std::uint32_t first, const StopFlag& stop) {
    std::vector<runtime::BatchRow> batch;
    for (std::size_t i = 0; i < tokens.size(); ++i) {
      batch.push_back({session_, first + static_cast<std::uint32_t>(i), tokens[i], false});
    }
    hidden_ = runtime::run_layers(engine_, batch, stop);
  }

  // Logits of rows [first, first + count) of the batch that ran last.
  std::span<const float> logits(std::size_t first, std::size_t count) {
    std::vector<std::size_t> rows(count);
    for (std::size_t i = 0; i < count; ++i) rows[i] = first + i;
    logits_.resize(count * engine_.config().vocab);
    engine_.logits(*hidden_, rows, logits_);
    return logits_;
  }

 private:
  runtime::Engine& engine_;
  runtime::SessionId session_;
  runtime::HiddenPtr hidden_;
  std::vector<float> logits_;
};

class Scoring {
 public:
  Scoring(runtime::Engine& model, const ScoreAgainst& against, const ScoreOptions& options,
          const TaskPool& pool)
      : model_(model), against_(against), options_(options), pool_(pool) {}

  void chunk(std::span<const std::int32_t> tokens, Progress& progress, const StopFlag& stop) {
    std::vector<std::int32_t> input(tokens.begin(), tokens.end());
    if (options_.bos) input.front() = *options_.bos;
    Pass model(model_);
    std::optional<Pass> reference;
    std::size_t step = model_.max_batch();
    if (against_.reference != nullptr) {
      reference.emplace(*against_.reference);
      step = std::min(step, against_.reference->max_batch());
    }
    for (std::size_t first = 0; first < input.size(); first += step) {
      const auto part = std::span(input).subspan(first, std::min(step, input.size() - first));
      model.run(part, static_cast<std::uint32_t>(first), stop);
      if (reference) reference->run(part, static_cast<std::uint32_t>(first), stop);
      score_batch(tokens, first, part.size(), model, reference ? &*reference : nullptr);
      progress.advance(part.size());
    }
  }

  Score result(std::uint64_t chunks) const {
    return summarize(scores_, chunks, scored_begin(),
                     against_.reference != nullptr || against_.kept != nullptr);
  }

 private:
  // Positions of a chunk whose predictions count.
  std::size_t scored_begin() const { return options_.context / 2; }
  std::size_t scored_end() const { return options_.context - 1; }

  void score_batch(std::span<const std::int32_t> tokens, std::size_t first, std::size_t count,
                   Pass& model, Pass* reference) {
    const bool all = static_cast<bool>(against_.sink);
    const std::size_t end = all ? first + count : std::min(first + count, scored_end());
    std::size_t at = all ? first : std::max(first, scored_begin());
    for (; at < end; at += kLogitRows) {
      const std::size_t rows = std::min(kLogitRows, end - at);
      const std::span<const float> logits = model.logits(at - first, rows);
      if (all) against_.sink(logits);
      const std::size_t begin = std::max(at, scored_begin());
      const std::size_t stop = std::min(at + rows, scored_end());
      if (begin >= stop) continue;
      const std::span<const float> base =
          reference != nullptr ? reference->logits(at - first, rows) : std::span<const float>();
      const std::size_t known = scores_.size();
      scores_.resize(known + (stop - begin));
      const std::size_t vocab = model_.config().vocab;
      pool_.for_ranges(stop - begin, 1, [&](std::uint64_t i, std::uint64_t) {
        const std::size_t row = (begin - at + i) * vocab;
        scores_[known + i] =
            score(known + i, logits.subspan(row, vocab),
                  base.empty() ? base : base.subspan(row, vocab), tokens[begin + i + 1]);
      });
    }
  }

  // Of scored position `index` of all chunks.
  PositionScore score(std::uint64_t index, std::span<const float> logits,
                      std::span<const float> base, std::int32_t next) const {
    if (against_.keep != nullptr) against_.keep->put(index, base.empty() ? logits : base, next);
    if (against_.kept != nullptr) return against_.kept->score(index, logits, next);
    return score_position(logits, base, next);
  }

  runtime::Engine& model_;
  const ScoreAgainst& against_;
  const ScoreOptions& options_;
  const TaskPool& pool_;
  std::vector<PositionScore> scores_;
};

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
  PJ_CHECK(options.context >= 4);
  if (against.kept == nullptr && tokens.size() < 2 * std::uint64_t{options.context}) {
    throw Error(ErrorCode::kUsage,
                fmt::format("the text has {} tokens; a context of {} needs at least {}",
                            tokens.size(), options.context, 2 * std::uint64_t{options.context}),
                "give a longer text or a smaller --ctx");
  }
  const std::uint64_t vocab = model.config().vocab;
  PJ_CHECK(against.reference == nullptr || against.reference->config().vocab == vocab);
  PJ_CHECK(against.kept == nullptr || (against.kept->header().vocab == vocab &&
                                       against.kept->header().context == options.context));
  check_tokens(tokens, vocab);
  const std::uint64_t chunks = chunks_of(tokens.size(), options);
  Scoring scoring(model, against, options, pool);
  progress.begin("Scoring", chunks * options.context, "tokens");
  for (std::uint64_t i = 0; i < chunks; ++i) {
    scoring.chunk(tokens.subspan(i * options.context, options.context), progress, stop);
  }
  progress.end();
  return scoring.result(chunks);
}

}  // namespace pajamas::eval
