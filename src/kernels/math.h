// The float functions of a forward pass: products of decoded weights with activations, one set an
// instruction set, and the small ones that are the same code everywhere.
#pragma once

#include <cstddef>
#include <cstdint>
#include <limits>
#include <span>

#include "tensor/encoding.h"

namespace pajamas::kernels {

// A sum over columns is made of chunks of this many: within a chunk every vector lane keeps a sum
// of its own in column order, the lanes are then added as a tree, and the chunks are added in
// order. So an output does not depend on which rows are computed together, on the threads, or on
// whether the weights were decoded into a buffer first.
inline constexpr std::size_t kChunkCols = 1024;

// One chunk of a matrix product, out[m][n] (+)= sum over c of x[m][c] * w[n][c]. Strides count
// floats. `cols` <= kChunkCols.
struct DotTile {
  const float* w;  // [w_rows][cols]
  std::size_t w_rows;
  std::size_t w_stride;
  const float* x;  // [x_rows][cols]
  std::size_t x_rows;
  std::size_t x_stride;
  std::size_t cols;
  bool accumulate;  // add to what is in out (all chunks but the first)
  float* out;       // [x_rows][w_rows]
  std::size_t out_stride;
};

// A matrix times one vector straight from storage: out[n] = sum over c of x[c] * w[n][c].
struct PackedRows {
  std::uint8_t group_size;  // of affine rows
  DType scale_type;
  const std::byte* plane[Encoding::kMaxPlanes];
  std::size_t plane_row_bytes[Encoding::kMaxPlanes];
  std::size_t rows;
  std::size_t cols;
  const float* x;  // [cols]
  float* out;      // [rows]
};
using PackedDot = void (*)(const PackedRows&) noexcept;

// Several sums of the same rows, out[m][d] += sum over j of weights[m][j] * values[j][d], in the
// order of j. Strides count floats.
struct WeightedSum {
  const float* weights;  // [sums][count]
  std::size_t weights_stride;
  const float* values;  // [count][size]
  std::size_t count;
  std::size_t stride;
  std::size_t size;
  std::size_t sums;
  float* out;  // [sums][size]
  std::size_t out_stride;
};

struct MathKernels {
  void (*dot_tile)(const DotTile&) noexcept;
  void (*weighted_sum)(const WeightedSum&) noexcept;
  // Stored numbers as floats: float16, bfloat16, and blocks of Q8_0. `count` counts what comes out.
  void (*widen_f16)(const std::byte* from, std::size_t count, float* out) noexcept;
  void (*widen_bf16)(const std::byte* from, std::size_t count, float* out) noexcept;
  void (*widen_q8_0)(const std::byte* from, std::size_t count, float* out) noexcept;
  // The fused product for rows of this encoding, or nullptr where decoding first is the way. Gives
  // the same floats as decode_rows and dot_tile do.
  PackedDot (*packed_dot)(const Encoding&, std::size_t cols) noexcept;
};

// Below: float in and out, sums in double, the same on every machine.

// What the functions of those names do where a table has no better ones.
void widen_f16(const std::byte* from, std::size_t count, float* out) noexcept;
void widen_bf16(const std::byte* from, std::size_t count, float* out) noexcept;
void widen_q8_0(const std::byte* from, std::size_t count, float* out) noexcept;

// out = x / sqrt(mean(x^2) + eps) * weight. `out` may be `x`.
void rms_norm(std::span<const float> x, std::span<const float> weight, double eps,
              std::span<float> out) noexcept;

// In place: exp(x - max) / sum. `sink` is one more logit, which takes part in the maximum and the
// sum and has no place in the result; -inf is none. No x at all, or nothing above -inf, is the
// caller's mistake.
void softmax(std::span<float> x, float sink = -std::numeric_limits<float>::infinity()) noexcept;

// x[i] = exp(x[i] * scale - top), which must not be above 0 by much; returns their sum.
double exp_sum(std::span<float> x, float scale, float top) noexcept;

// ln of the sum of e^x[i], in double; NaN where one of them is not finite. At least one.
double log_sum_exp(std::span<const float> x) noexcept;

// gate[i] = gate[i] / (1 + exp(-gate[i])) * up[i].
void silu_multiply(std::span<float> gate, std::span<const float> up) noexcept;

// gpt-oss: gate[i] = g / (1 + exp(-1.702 g)) * (clamp(up[i], -limit, limit) + 1), where
// g = min(gate[i], limit).
void clamped_swiglu(std::span<float> gate, std::span<const float> up, float limit) noexcept;

// factor times cosine and sine of position * frequencies[i], computed in double. `cos` and `sin`
// are as long as `frequencies`.
void rope_angles(std::uint64_t position, std::span<const double> frequencies, double factor,
                 std::span<float> cos, std::span<float> sin) noexcept;

// Rotates the pairs (x[i], x[i + half]) of one head, half = cos.size().
void rope(std::span<float> x, std::span<const float> cos, std::span<const float> sin) noexcept;
// The pairs (x[2i], x[2i + 1]).
void rope_interleaved(std::span<float> x, std::span<const float> cos,
                      std::span<const float> sin) noexcept;

// The orthonormal Walsh-Hadamard transform in place, which undoes itself. Where the length is no
// power of two, each of the largest powers of two that it is made of, in falling order, is
// transformed by itself.
void hadamard(std::span<float> x) noexcept;

}  // namespace pajamas::kernels
