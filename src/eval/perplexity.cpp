#include "eval/perplexity.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <vector>

#include "base/error.h"
#include "eval/divergence.h"

namespace pajamas::eval {
namespace {

// Logits of so many positions are held at a time: the output matrix is decoded once for each.
constexpr std::size_t kLogitRows = 128;

struct MeanAndError {
  double mean = 0;
  double error = 0;  // of the mean
};

// As llama.cpp computes them: population variance over count - 1.
MeanAndError mean_of(std::span<const double> values) {
  const auto count = static_cast<double>(values.size());
  double sum = 0, squares = 0;
  for (const double v : values) {
    sum += v;
    squares += v * v;
  }
  MeanAndError result{sum / count, 0};
  const double variance = squares / count - result.mean * result.mean;
  if (variance > 0 && values.size() > 1) result.error = std::sqrt(variance / (count - 1));
  return result;
}

// Linear between the two nearest ranks.
double quantile(std::vector<double> values, double share) {
  std::ranges::sort(values);
  const double rank = share * static_cast<double>(values.size() - 1);
  const auto below = static_cast<std::size_t>(rank);
  if (below + 1 >= values.size()) return values.back();
  const double part = rank - static_cast<double>(below);
  return (1 - part) * values[below] + part * values[below + 1];
}

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
  Scoring(runtime::Engine& model, runtime::Engine* reference, const ScoreOptions& options,
          const TaskPool& pool, const LogitsSink& sink)
      : model_(model), reference_(reference), options_(options), pool_(pool), sink_(sink) {}

  void chunk(std::span<const std::int32_t> tokens, Progress& progress, const StopFlag& stop) {
    std::vector<std::int32_t> input(tokens.begin(), tokens.end());
    if (options_.bos) input.front() = *options_.bos;
    Pass model(model_);
    std::optional<Pass> reference;
    std::size_t step = model_.max_batch();
    if (reference_ != nullptr) {
      reference.emplace(*reference_);
      step = std::min(step, reference_->max_batch());
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
    const MeanAndError nll = mean_of(nll_);
    Score score;
    score.perplexity = std::exp(nll.mean);
    score.perplexity_stderr = nll.error * score.perplexity;
    score.tokens = nll_.size();
    score.chunks = chunks;
    if (reference_ == nullptr) return score;
    const MeanAndError kl = mean_of(kl_);
    Comparison& comparison = score.comparison.emplace();
    comparison.reference_perplexity = std::exp(mean_of(reference_nll_).mean);
    comparison.loss_percent = (score.perplexity / comparison.reference_perplexity - 1) * 100;
    comparison.kl_mean = kl.mean;
    comparison.kl_stderr = kl.error;
    comparison.kl_p99 = quantile(kl_, 0.99);
    comparison.top1 = static_cast<double>(same_top_) / static_cast<double>(kl_.size());
    return score;
  }

 private:
  // Positions of a chunk whose predictions count.
  std::size_t scored_begin() const { return options_.context / 2; }
  std::size_t scored_end() const { return options_.context - 1; }

  void score_batch(std::span<const std::int32_t> tokens, std::size_t first, std::size_t count,
                   Pass& model, Pass* reference) {
    const std::size_t vocab = model_.config().vocab;
    const std::size_t end = sink_ ? first + count : std::min(first + count, scored_end());
    std::size_t at = sink_ ? first : std::max(first, scored_begin());
    for (; at < end; at += kLogitRows) {
      const std::size_t rows = std::min(kLogitRows, end - at);
      const std::span<const float> logits = model.logits(at - first, rows);
      if (sink_) sink_(logits);
      if (at + rows <= scored_begin() || at >= scored_end()) continue;
      const std::span<const float> base =
          reference != nullptr ? reference->logits(at - first, rows) : std::span<const float>();
      std::vector<PositionScore> scores(rows);
      pool_.for_ranges(rows, 1, [&](std::uint64_t i, std::uint64_t) {
        if (at + i < scored_begin() || at + i >= scored_end()) return;
        scores[i] = score_position(logits.subspan(i * vocab, vocab),
                                   base.empty() ? base : base.subspan(i * vocab, vocab),
                                   tokens[at + i + 1]);
      });
      for (std::size_t i = 0; i < rows; ++i) {
        if (at + i >= scored_begin() && at + i < scored_end()) keep(scores[i]);
      }
    }
  }

  void keep(const PositionScore& score) {
    nll_.push_back(score.nll);
    if (reference_ == nullptr) return;
    reference_nll_.push_back(score.reference_nll);
    kl_.push_back(score.kl);
    same_top_ += score.same_top ? 1 : 0;
  }

  runtime::Engine& model_;
  runtime::Engine* reference_;
  const ScoreOptions& options_;
  const TaskPool& pool_;
  const LogitsSink& sink_;
  std::vector<double> nll_;
  std::vector<double> reference_nll_;
  std::vector<double> kl_;
  std::uint64_t same_top_ = 0;
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

Score score_text(runtime::Engine& model, runtime::Engine* reference,
                 std::span<const std::int32_t> tokens, const ScoreOptions& options,
                 const TaskPool& pool, const LogitsSink& sink, Progress& progress,
                 const StopFlag& stop) {
  PJ_CHECK(options.context >= 4);
  if (tokens.size() < 2 * std::uint64_t{options.context}) {
    throw Error(ErrorCode::kUsage,
                fmt::format("the text has {} tokens; a context of {} needs at least {}",
                            tokens.size(), options.context, 2 * std::uint64_t{options.context}),
                "give a longer text or a smaller --ctx");
  }
  PJ_CHECK(reference == nullptr || reference->config().vocab == model.config().vocab);
  check_tokens(tokens, model.config().vocab);
  std::uint64_t chunks = tokens.size() / options.context;
  if (options.max_chunks != 0) chunks = std::min(chunks, options.max_chunks);
  Scoring scoring(model, reference, options, pool, sink);
  progress.begin("Scoring", chunks * options.context, "tokens");
  for (std::uint64_t i = 0; i < chunks; ++i) {
    scoring.chunk(tokens.subspan(i * options.context, options.context), progress, stop);
  }
  progress.end();
  return scoring.result(chunks);
}

}  // namespace pajamas::eval
