// What the scores of all positions come to.
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <span>
#include <vector>

#include "eval/divergence.h"

namespace pajamas::eval {

struct MeanAndError {
  double mean = 0;
  double error = 0;  // of the mean
};
// As llama.cpp computes them: population variance over count - 1.
MeanAndError mean_of(std::span<const double> values);

// Shares at which the divergences of all positions are told, and their names.
inline constexpr std::array<double, 11> kShares{0, .001, .01, .05, .1, .5, .9, .95, .99, .999, 1};

// Against a second model on the same positions.
struct Comparison {
  double reference_perplexity = 0;
  double loss_percent = 0;   // (perplexity / reference_perplexity - 1) * 100
  double loss_stderr = 0;    // of loss_percent, from the differences position by position
  bool loss_counts = false;  // more than 1.96 standard errors from nothing
  double kl_mean = 0;        // KL(reference || model), nats
  double kl_stderr = 0;
  double kl_error = 0;  // standard deviation of kl_mean where the reference was kept in few bytes
  double kl_p99 = 0;
  std::array<double, kShares.size()> kl_shares{};  // at kShares; linear between the nearest ranks
  double top1 = 0;  // share of positions where both have the same likeliest token, 0 to 1
  double top1_stderr = 0;
};

// How much higher one model's perplexity is than another's.
struct Loss {
  double percent = 0;  // (perplexity / the other's - 1) * 100
  double error = 0;    // standard error of that, from the differences position by position
};

// Positions [first, last] of all chunks together.
struct Band {
  std::uint64_t first = 0;
  std::uint64_t last = 0;
  double perplexity = 0;
  double loss_percent = 0;
  double kl_mean = 0;
  double top1 = 0;
};
inline constexpr std::size_t kBands = 8;

struct Score {
  double perplexity = 0;
  double perplexity_stderr = 0;
  std::uint64_t tokens = 0;  // positions that were scored
  std::uint64_t chunks = 0;
  std::vector<double> nll;  // -ln p of each token that was scored, in their order
  std::optional<Comparison> comparison;
  std::vector<Band> bands;  // by the position in the chunk: at most kBands of about equal length
};

// Of two models on the same positions.
Loss paired_loss(const Score& model, const Score& other);

// Without bands: of texts of any lengths.
Score summarize(std::span<const PositionScore> positions, std::uint64_t chunks, bool compared);
// `positions`: those of the first chunk, then of the second; of each, those from `first` on.
Score summarize(std::span<const PositionScore> positions, std::uint64_t chunks, std::uint64_t first,
                bool compared);

}  // namespace pajamas::eval
