// Chooses the next token from logits.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <vector>

#include "runtime/choice.h"

namespace pajamas::runtime {

struct SamplerOptions {
  double temperature = 0.8;          // 0: always the likeliest token
  std::int64_t top_k = 40;           // 0: all tokens
  double top_p = 0.95;               // 1: off
  double min_p = 0.05;               // 0: off
  double repeat_penalty = 1.0;       // 1: off
  std::int64_t penalty_last_n = 64;  // how many tokens the penalty looks at; -1: all
  std::uint64_t seed = 0;
};

// Throws Error{kUsage} naming the option where one has no meaning (a negative or NaN temperature).
void check(const SamplerOptions& options);

// Same logits, options and history: same tokens, on every machine. The steps are llama.cpp's, in
// its order: penalty, top-k, top-p, min-p, temperature, draw.
class Sampler {
 public:
  explicit Sampler(SamplerOptions options);

  // A token of the text so far (of the prompt too): what the repeat penalty looks at.
  void accept(std::int32_t token);
  // Throws Error{kCorruptFile} where a logit is not a number or all are -infinity.
  std::int32_t sample(std::span<const float> logits);

  // The same for an engine that chooses: how it is to draw the token `later` draws after the next
  // one. Nothing where a rule cannot say it, for the penalty looks at the tokens before.
  std::optional<ChoiceRule> rule(std::size_t later) const noexcept;
  // What was chosen by rule(0), as if `sample` had. Throws as it does.
  std::int32_t take(std::int32_t chosen);

 private:
  struct Candidate {
    std::int32_t token;
    float logit;
  };
  void penalize();
  void keep_likeliest();
  // Probabilities of the candidates, sorted ones, not normalised: the likeliest has 1.
  std::span<const double> relative_weights(double temperature);
  std::size_t draw(std::span<const double> weights);
  double next_uniform();

  SamplerOptions options_;
  std::vector<std::int32_t> recent_;
  // Of the token that is being chosen, kept for the next one.
  std::vector<Candidate> candidates_;
  std::vector<double> weights_;
  std::vector<std::int32_t> seen_;
  std::uint64_t state_;
};

}  // namespace pajamas::runtime
