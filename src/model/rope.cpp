#include "model/rope.h"

#include <algorithm>
#include <cmath>
#include <numbers>

namespace pajamas::model {
namespace {

// The pair, as a fraction, that turns `turns` times within the original context.
double pair_of_turns(const ModelConfig& config, double turns) {
  const auto dim = static_cast<double>(config.head_dim);
  const auto context = static_cast<double>(config.rope_scaling.original_context);
  return dim * std::log(context / (turns * 2 * std::numbers::pi)) /
         (2 * std::log(config.rope_theta));
}

// Pairs below the range keep their frequency, those above are slowed by the factor.
void scale_yarn(const ModelConfig& config, std::vector<double>& frequencies) {
  const RopeScaling& scaling = config.rope_scaling;
  double low = pair_of_turns(config, scaling.beta_fast);
  double high = pair_of_turns(config, scaling.beta_slow);
  if (scaling.truncate) {
    low = std::floor(low);
    high = std::ceil(high);
  }
  low = std::max(low, 0.0);
  high = std::min(high, static_cast<double>(config.head_dim) - 1);
  if (low == high) high += 0.001;  // a step, without a division by zero
  for (std::size_t i = 0; i < frequencies.size(); ++i) {
    const double ramp = std::clamp((static_cast<double>(i) - low) / (high - low), 0.0, 1.0);
    frequencies[i] *= ramp / scaling.factor + (1 - ramp);
  }
}

// By wavelength: short ones stay, long ones are slowed, those between are a mixture.
void scale_llama3(const RopeScaling& scaling, std::vector<double>& frequencies) {
  for (double& frequency : frequencies) {
    const double turns =
        static_cast<double>(scaling.original_context) * frequency / (2 * std::numbers::pi);
    if (turns > scaling.high_freq_factor) continue;
    const double keep = turns < scaling.low_freq_factor
                            ? 0
                            : (turns - scaling.low_freq_factor) /
                                  (scaling.high_freq_factor - scaling.low_freq_factor);
    frequency *= (1 - keep) / scaling.factor + keep;
  }
}

}  // namespace

RopeTable rope_table(const ModelConfig& config) {
  RopeTable table;
  table.frequencies.resize(config.head_dim / 2);
  const auto half = static_cast<double>(table.frequencies.size());
  for (std::size_t i = 0; i < table.frequencies.size(); ++i) {
    table.frequencies[i] = std::pow(config.rope_theta, -static_cast<double>(i) / half);
  }
  switch (config.rope_scaling.kind) {
    case RopeScaling::Kind::kNone:
      break;
    case RopeScaling::Kind::kLinear:
      for (double& frequency : table.frequencies) frequency /= config.rope_scaling.factor;
      break;
    case RopeScaling::Kind::kYarn:
      scale_yarn(config, table.frequencies);
      table.factor = config.rope_scaling.attention_factor;
      break;
    case RopeScaling::Kind::kLlama3:
      scale_llama3(config.rope_scaling, table.frequencies);
      break;
    case RopeScaling::Kind::kFactors:
      for (std::size_t i = 0; i < table.frequencies.size(); ++i) {
        table.frequencies[i] /= static_cast<double>(config.rope_scaling.factors[i]);
      }
      break;
  }
  return table;
}

double yarn_attention_factor(double factor, double m) noexcept {
  return factor <= 1 ? 1 : 0.1 * m * std::log(factor) + 1;
}

std::vector<float> rope_factors(const ModelConfig& config) {
  ModelConfig plain = config;
  plain.rope_scaling = {};
  const RopeTable before = rope_table(plain), after = rope_table(config);
  std::vector<float> factors;
  for (std::size_t i = 0; i < before.frequencies.size(); ++i) {
    factors.push_back(static_cast<float>(before.frequencies[i] / after.frequencies[i]));
  }
  return factors;
}

std::optional<RopeScaling> llama3_of(const ModelConfig& config) {
  const auto& factors = config.rope_scaling.factors;
  if (config.rope_scaling.kind != RopeScaling::Kind::kFactors || factors.empty()) return {};
  // The published models have bands of 1 and 4 turns; what varies is the factor, which the slowest
  // pairs show, and the original context, a power of two.
  ModelConfig guess = config;
  for (std::uint64_t context = 1 << 6; context <= 1 << 20; context *= 2) {
    guess.rope_scaling = {.kind = RopeScaling::Kind::kLlama3,
                          .factor = static_cast<double>(*std::ranges::max_element(factors)),
                          .original_context = context};
    const std::vector<float> expected = rope_factors(guess);
    const auto close = [](float a, float b) { return std::abs(a - b) <= 1e-4f * b; };
    if (std::ranges::equal(factors, expected, close)) return guess.rope_scaling;
  }
  return {};
}

}  // namespace pajamas::model
