// Weights that a few lines of Python can make too (data/make_peers.py), and storage for planes.
#pragma once

#include <array>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "codec/codec.h"
#include "tensor/convert.h"

namespace pajamas::test {

// SplitMix64, top 24 bits, as a number in [0, 1).
class Uniform {
 public:
  explicit Uniform(std::uint64_t seed) : state_(seed) {}
  double next() {
    state_ += 0x9E3779B97F4A7C15u;
    std::uint64_t z = state_;
    z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9u;
    z = (z ^ (z >> 27)) * 0x94D049BB133111EBu;
    z ^= z >> 31;
    return static_cast<double>(z >> 40) / 16777216.0;
  }

 private:
  std::uint64_t state_;
};

inline constexpr std::uint64_t kSampleRows = 16;
inline constexpr std::uint64_t kSampleCols = 3584;

// "gauss" (nearly), "heavy" tails, or "outlier" columns; BF16 values, kSampleRows rows.
inline std::vector<float> sample_weights(std::string_view kind) {
  Uniform uniform(1);
  std::vector<float> weights(kSampleRows * kSampleCols);
  for (std::size_t i = 0; i < weights.size(); ++i) {
    double w = 0;
    for (int k = 0; k < 12; ++k) w += uniform.next();
    w = (w - 6.0) * 0.03;
    const double last = uniform.next();
    if (kind == "heavy") w /= std::sqrt(0.05 + last);
    const std::size_t column = i % kSampleCols;
    if (kind == "outlier" && column >= 13 && (column - 13) % 97 == 0) w *= 12.0;
    weights[i] = bf16_to_float(float_to_bf16(static_cast<float>(w)));
  }
  return weights;
}

// Rows of `cols` columns that break careless encoders, a few random ones behind them.
inline std::vector<float> hard_weights(std::size_t cols) {
  constexpr float kMax = std::numeric_limits<float>::max();
  const std::vector<std::vector<float>> patterns{{0.0f},
                                                 {-0.0f},
                                                 {1.0f},
                                                 {-1.0f},
                                                 {1e-3f},
                                                 {1e6f},
                                                 {-1e6f},
                                                 {kMax},
                                                 {kMax, -kMax},
                                                 {1e-40f},
                                                 {1e-45f, 0, -1e-45f},
                                                 {8e6f, 1.0f},
                                                 {0, 0, 0, 1},
                                                 {2.0f, -0.0f},
                                                 {1000.0f, 1000.001f},
                                                 {-1000.0f, -1000.001f, -1000.002f},
                                                 {1, 2, 3, 4, 5, 6, 7},
                                                 {6e-8f, -6e-8f, 3e-8f},
                                                 {1e30f, -3e29f, 7e28f},
                                                 {6e-5f, 5e-5f, -6e-5f}};
  std::vector<float> weights;
  for (const std::vector<float>& pattern : patterns) {
    for (std::size_t i = 0; i < cols; ++i) weights.push_back(pattern[i % pattern.size()]);
  }
  for (const float spike : {1.0f, -1e38f, 50.0f}) {  // one large weight among nothing
    for (std::size_t i = 0; i < cols; ++i) weights.push_back(i == 17 ? spike : 0.0f);
  }
  Uniform uniform(2);
  for (int row = 0; row < 40; ++row) {
    const double mantissa = 1 + uniform.next();
    const double scale = std::ldexp(mantissa, static_cast<int>(uniform.next() * 60) - 44);
    const bool sparse = row % 5 == 0, positive = row % 7 == 0, blocks = row % 3 == 0;
    double block_scale = 1;
    for (std::size_t i = 0; i < cols; ++i) {
      if (blocks && i % 32 == 0)
        block_scale = std::ldexp(1.0, static_cast<int>(uniform.next() * 30) - 15);
      const double w = (uniform.next() - (positive ? 0 : 0.5)) * scale * block_scale;
      weights.push_back(sparse && uniform.next() < 0.9 ? 0.0f : static_cast<float>(w));
    }
  }
  return weights;
}

// Rows in storage.
struct Stored {
  std::array<std::vector<std::byte>, Encoding::kMaxPlanes> plane;

  Stored() = default;
  Stored(const Encoding& encoding, std::uint64_t rows, std::uint64_t cols) {
    for (std::size_t p = 0; p < encoding.planes(); ++p) {
      plane[p].resize(rows * encoding.plane_row_bytes(p, cols));
    }
  }
  Planes planes() { return {{std::span(plane[0]), std::span(plane[1]), std::span(plane[2])}}; }
  ConstPlanes planes() const {
    return {{std::span(plane[0]), std::span(plane[1]), std::span(plane[2])}};
  }
  friend bool operator==(const Stored&, const Stored&) = default;
};

inline std::vector<DType> later_types() {
  return {DType::kIQ4_XS,  DType::kIQ3_S, DType::kIQ3_XXS, DType::kIQ2_S, DType::kIQ2_XS,
          DType::kIQ2_XXS, DType::kIQ1_M, DType::kIQ1_S,   DType::kTQ1_0, DType::kTQ2_0};
}

// Those that codec/fitted.h takes apart.
inline std::vector<Encoding> block_encodings() {
  std::vector<Encoding> all;
  for (const DType dtype :
       {DType::kQ4_0, DType::kQ4_1, DType::kQ5_0, DType::kQ5_1, DType::kQ8_0, DType::kQ2_K,
        DType::kQ3_K, DType::kQ4_K, DType::kQ5_K, DType::kQ6_K, DType::kMXFP4, DType::kIQ4_NL}) {
    all.push_back({dtype});
  }
  for (const DType dtype : later_types()) all.push_back({dtype});
  all.push_back(Encoding::mxfp4());
  all.push_back(Encoding::nvfp4());
  for (const int bits : {2, 3, 4, 5, 6, 8}) {
    for (const int group : {32, 64, 128}) {
      for (const DType scale : {DType::kBF16, DType::kF16, DType::kF32}) {
        all.push_back(Encoding::affine(bits, group, scale));
      }
    }
  }
  return all;
}

// And MXFP8, whose numbers are no multiples of a step.
inline std::vector<Encoding> packed_encodings() {
  std::vector<Encoding> all = block_encodings();
  all.push_back(Encoding::mxfp8());
  return all;
}

// As data/make_peers.py names it: "Q4_K 0 0", "BF16 4 64" by the type of the scales, "nvfp4 4 16".
inline Encoding peer_encoding(std::string_view name, int bits, int group) {
  for (const Encoding& encoding : kSmallFloats) {
    if (bits != 0 && encoding.name() == name) return encoding;
  }
  const DType dtype = dtype_by_name(name).value();
  return bits != 0 ? Encoding::affine(bits, group, dtype) : Encoding{dtype};
}

// Encoding::name() leaves the type of the scales out.
inline std::string full_name(const Encoding& encoding) {
  return encoding.name() +
         (encoding.is_affine() ? "-" + std::string(info(encoding.dtype).name) : "");
}

}  // namespace pajamas::test
