#include "eval/summary.h"

#include <algorithm>
#include <cmath>
#include <functional>

#include "base/error.h"

namespace pajamas::eval {
namespace {

constexpr double kCounts = 1.96;  // standard errors: 95 % of a normal distribution

// Linear between the two nearest ranks.
double quantile(std::span<const double> sorted, double share) {
  const double rank = share * static_cast<double>(sorted.size() - 1);
  const auto below = static_cast<std::size_t>(rank);
  if (below + 1 >= sorted.size()) return sorted.back();
  const double part = rank - static_cast<double>(below);
  return (1 - part) * sorted[below] + part * sorted[below + 1];
}

template <class Value>
std::vector<double> each(std::span<const PositionScore> positions, Value value) {
  std::vector<double> out;
  out.reserve(positions.size());
  for (const PositionScore& position : positions) out.push_back(value(position));
  return out;
}

double nll_of(const PositionScore& p) { return p.nll; }
double reference_nll(const PositionScore& p) { return p.reference_nll; }
double difference(const PositionScore& p) { return p.nll - p.reference_nll; }
double same_top(const PositionScore& p) { return p.same_top ? 1 : 0; }
double kl_of(const PositionScore& p) { return p.kl; }

double percent(double log_ratio) { return (std::exp(log_ratio) - 1) * 100; }

Comparison compare(std::span<const PositionScore> positions, double perplexity) {
  Comparison out;
  out.reference_perplexity = std::exp(mean_of(each(positions, reference_nll)).mean);
  out.loss_percent = (perplexity / out.reference_perplexity - 1) * 100;
  const MeanAndError loss = mean_of(each(positions, difference));
  out.loss_stderr = std::exp(loss.mean) * loss.error * 100;
  out.loss_counts = std::abs(loss.mean) > kCounts * loss.error;
  std::vector<double> kl = each(positions, kl_of);
  const MeanAndError mean = mean_of(kl);
  out.kl_mean = mean.mean;
  out.kl_stderr = mean.error;
  double variance = 0;
  for (const PositionScore& position : positions) variance += position.kl_variance;
  out.kl_error = std::sqrt(variance) / static_cast<double>(positions.size());
  std::ranges::sort(kl);
  for (std::size_t i = 0; i < kShares.size(); ++i) out.kl_shares[i] = quantile(kl, kShares[i]);
  out.kl_p99 = quantile(kl, 0.99);
  const MeanAndError same = mean_of(each(positions, same_top));
  out.top1 = same.mean;
  out.top1_stderr = same.error;
  return out;
}

}  // namespace

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

Loss paired_loss(const Score& model, const Score& other) {
  PJ_CHECK(!model.nll.empty() && model.nll.size() == other.nll.size());
  std::vector<double> differences(model.nll.size());
  std::ranges::transform(model.nll, other.nll, differences.begin(), std::minus<>());
  const MeanAndError loss = mean_of(differences);
  return {(model.perplexity / other.perplexity - 1) * 100, std::exp(loss.mean) * loss.error * 100};
}

Score summarize(std::span<const PositionScore> positions, std::uint64_t chunks, bool compared) {
  PJ_CHECK(chunks > 0 && !positions.empty());
  Score score;
  score.nll = each(positions, nll_of);
  const MeanAndError nll = mean_of(score.nll);
  score.perplexity = std::exp(nll.mean);
  score.perplexity_stderr = nll.error * score.perplexity;
  score.tokens = positions.size();
  score.chunks = chunks;
  if (compared) score.comparison = compare(positions, score.perplexity);
  return score;
}

Score summarize(std::span<const PositionScore> positions, std::uint64_t chunks, std::uint64_t first,
                bool compared) {
  Score score = summarize(positions, chunks, compared);
  PJ_CHECK(positions.size() % chunks == 0);
  const std::uint64_t length = positions.size() / chunks;
  const std::uint64_t bands = std::min<std::uint64_t>(kBands, length);
  for (std::uint64_t b = 0; b < bands; ++b) {
    const std::uint64_t begin = b * length / bands;
    const std::uint64_t end = (b + 1) * length / bands;
    std::vector<PositionScore> inside;
    for (std::uint64_t c = 0; c < chunks; ++c) {
      const auto part = positions.subspan(c * length + begin, end - begin);
      inside.insert(inside.end(), part.begin(), part.end());
    }
    Band band{
        first + begin, first + end - 1, std::exp(mean_of(each(inside, nll_of)).mean), 0, 0, 0};
    if (compared) {
      band.loss_percent = percent(mean_of(each(inside, difference)).mean);
      band.kl_mean = mean_of(each(inside, kl_of)).mean;
      band.top1 = mean_of(each(inside, same_top)).mean;
    }
    score.bands.push_back(band);
  }
  return score;
}

}  // namespace pajamas::eval
