// One position's distribution, kept in few bytes, and the divergence from it.
//
// The compact form keeps the `top` likeliest tokens with their log-probabilities, the mass T of all
// others (the tail), and `samples` tokens of the tail, drawn by their probability. With P, Q the
// reference's and the model's probabilities, S = T's counterpart in Q, and r = (Q/S) / (P/T):
//
//   KL(P || Q) = sum over the top of P ln(P/Q)  +  T ln(T/S)  +  T E[r - 1 - ln r]
//
// where E is the mean over the tail by P. The first two terms are exact and together a lower bound
// (the tail taken as one token); the last is not negative, is of second order in ln r, and is
// estimated without bias by the mean over the samples. Its error has the standard deviation
// T * s / sqrt(samples), s being that of r - 1 - ln r: PositionScore::kl_variance.
//
// The other form is llama.cpp's: the log-probability of every token in 16 bits, those more than 16
// nats below the likeliest as if they were 16 below it.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

#include "eval/divergence.h"

namespace pajamas::eval {

struct CompactShape {
  std::uint32_t vocab = 0;
  std::uint32_t top = 0;
  std::uint32_t samples = 0;

  // What takes, with 8 bytes of tokens, less than 1 % of `vocab` floats (from 1700 tokens on).
  static CompactShape of(std::uint32_t vocab);
  std::uint64_t id_bytes() const noexcept;  // of one token: 2, 3 or 4
  std::uint64_t bytes() const noexcept;     // of a position
};

// out.size() is shape.bytes(). `draw` (any number, another one for each position) decides which
// tokens of the tail are drawn; the bytes depend on nothing else. Throws as log_total.
void keep_compact(const CompactShape& shape, std::span<const float> logits, std::int32_t next,
                  std::uint64_t draw, std::span<std::byte> out);
// Throws Error{kCorruptFile} for bytes that are no distribution, and as log_total.
PositionScore score_compact(const CompactShape& shape, std::span<const std::byte> kept,
                            std::span<const float> logits, std::int32_t next);

// Bytes of a position in llama.cpp's form: scale, least log-probability, codes.
std::uint64_t coded_bytes(std::uint32_t vocab) noexcept;
void keep_coded(std::span<const float> logits, std::span<std::byte> out);
// As llama.cpp sums: without tokens that the reference gives less than e^-16.
PositionScore score_coded(std::span<const std::byte> kept, std::span<const float> logits,
                          std::int32_t next);

}  // namespace pajamas::eval
