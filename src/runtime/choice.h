// Tokens that an engine chooses itself, where their logits are: the next batch can be on its way
// before anybody has seen them.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>

namespace pajamas::runtime {

// How one token follows from its logits: the steps of a Sampler (runtime/sampler.h) without
// penalties. `uniform` in [0, 1) takes the place of its next random number.
struct ChoiceRule {
  double temperature = 0;  // 0: the likeliest token, the smaller id of two
  std::int64_t top_k = 0;  // 0: all tokens
  double top_p = 1;
  double min_p = 0;
  double uniform = 0;
};

// In place of a token where there is none; Sampler::take says it.
inline constexpr std::int32_t kLogitsNotNumbers = -1;
inline constexpr std::int32_t kLogitsInfinite = -2;

// Tokens that an engine has chosen and need not have computed yet. Of use to that engine alone, and
// while it lives.
class Chosen {
 public:
  virtual ~Chosen() = default;
  virtual std::size_t size() const noexcept = 0;
  // Waits for them; out.size() is size(). Throws what computing them and what they follow from
  // throws: a batch may fail here rather than where it was run.
  virtual void read(std::span<std::int32_t> out) = 0;
};
using ChosenPtr = std::unique_ptr<Chosen>;

}  // namespace pajamas::runtime
