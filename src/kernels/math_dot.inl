// Products of float tiles. Included by x86/math_avx2.cpp, x86/math_avx512.cpp and
// arm/math_neon.cpp inside a namespace of their own, after the instruction set was chosen and
// Vector, kLanes and the functions on them defined.
#pragma once

// No lambdas here: g++ does not compile them for the instruction set that was chosen.
struct LoadAll {
  Vector operator()(const float* from) const noexcept { return load(from); }
};
struct LoadFirst {
  std::size_t count;
  Vector operator()(const float* from) const noexcept { return load_first(from, count); }
};

template <int kW, int kX, class Load>
inline void dot_step(const DotTile& t, const float* w, const float* x, Load load_lanes,
                     Vector (&sums)[kX][kW]) noexcept {
  Vector weights[kW];
#pragma GCC unroll 8
  for (int j = 0; j < kW; ++j) {
    weights[j] = load_lanes(w + static_cast<std::size_t>(j) * t.w_stride);
  }
#pragma GCC unroll 8
  for (int i = 0; i < kX; ++i) {
    const Vector values = load_lanes(x + static_cast<std::size_t>(i) * t.x_stride);
#pragma GCC unroll 8
    for (int j = 0; j < kW; ++j) sums[i][j] = multiply_add(weights[j], values, sums[i][j]);
  }
}

// Products of kW rows of weights with kX rows of activations, one register a product.
template <int kW, int kX>
inline void dot_block(const DotTile& t, std::size_t n, std::size_t m) noexcept {
  const float* w = t.w + n * t.w_stride;
  const float* x = t.x + m * t.x_stride;
  Vector sums[kX][kW];
#pragma GCC unroll 8
  for (int i = 0; i < kX; ++i) {
#pragma GCC unroll 8
    for (int j = 0; j < kW; ++j) sums[i][j] = zero();
  }
  std::size_t c = 0;
  for (; c + kLanes <= t.cols; c += kLanes) dot_step(t, w + c, x + c, LoadAll{}, sums);
  if (c < t.cols) dot_step(t, w + c, x + c, LoadFirst{t.cols - c}, sums);
#pragma GCC unroll 8
  for (int i = 0; i < kX; ++i) {
    float* out = t.out + (m + static_cast<std::size_t>(i)) * t.out_stride + n;
#pragma GCC unroll 8
    for (int j = 0; j < kW; ++j) {
      const float sum = add_lanes(sums[i][j]);
      out[j] = t.accumulate ? out[j] + sum : sum;
    }
  }
}

template <int kX>
inline void dot_x_rows(const DotTile& t, std::size_t m) noexcept {
  constexpr int kWide = kX == 1 ? 2 * kTileW : kTileW;  // enough sums in flight to hide latency
  std::size_t n = 0;
  for (; n + kWide <= t.w_rows; n += kWide) dot_block<kWide, kX>(t, n, m);
  for (; n < t.w_rows; ++n) dot_block<1, kX>(t, n, m);
}

inline void dot_tile(const DotTile& t) noexcept {
  std::size_t m = 0;
  for (; m + kTileX <= t.x_rows; m += kTileX) dot_x_rows<kTileX>(t, m);
  for (; m + 2 <= t.x_rows; m += 2) dot_x_rows<2>(t, m);
  if (m < t.x_rows) dot_x_rows<1>(t, m);
}

// kV registers of each of kM sums stay in place while all rows pass.
template <int kV, int kM>
inline void weighted_block(const WeightedSum& s, std::size_t m, std::size_t d) noexcept {
  float* out = s.out + m * s.out_stride + d;
  const float* weights = s.weights + m * s.weights_stride;
  Vector sums[kM][kV];
#pragma GCC unroll 8
  for (int i = 0; i < kM; ++i) {
#pragma GCC unroll 8
    for (int v = 0; v < kV; ++v) {
      sums[i][v] = load(out + static_cast<std::size_t>(i) * s.out_stride + v * kLanes);
    }
  }
  for (std::size_t j = 0; j < s.count; ++j) {
    const float* row = s.values + j * s.stride + d;
    Vector values[kV];
#pragma GCC unroll 8
    for (int v = 0; v < kV; ++v) values[v] = load(row + v * kLanes);
#pragma GCC unroll 8
    for (int i = 0; i < kM; ++i) {
      const Vector weight = splat(weights[static_cast<std::size_t>(i) * s.weights_stride + j]);
#pragma GCC unroll 8
      for (int v = 0; v < kV; ++v) sums[i][v] = multiply_add(weight, values[v], sums[i][v]);
    }
  }
#pragma GCC unroll 8
  for (int i = 0; i < kM; ++i) {
#pragma GCC unroll 8
    for (int v = 0; v < kV; ++v) {
      store(out + static_cast<std::size_t>(i) * s.out_stride + v * kLanes, sums[i][v]);
    }
  }
}

// The columns behind the last whole register.
inline void weighted_rest(const WeightedSum& s, std::size_t m, std::size_t d) noexcept {
  for (; d < s.size; ++d) {
    float sum = s.out[m * s.out_stride + d];
    for (std::size_t j = 0; j < s.count; ++j) {
      sum = __builtin_fmaf(s.weights[m * s.weights_stride + j], s.values[j * s.stride + d], sum);
    }
    s.out[m * s.out_stride + d] = sum;
  }
}

template <int kM>
inline void weighted_sums(const WeightedSum& s, std::size_t m) noexcept {
  constexpr int kV = kM == 1 ? 8 : kM == 2 ? 2 * kSumV : kSumV;  // registers for the most
  std::size_t d = 0;
  for (; d + kV * kLanes <= s.size; d += kV * kLanes) weighted_block<kV, kM>(s, m, d);
  for (; d + kLanes <= s.size; d += kLanes) weighted_block<1, kM>(s, m, d);
  for (int i = 0; i < kM; ++i) weighted_rest(s, m + static_cast<std::size_t>(i), d);
}

inline void weighted_sum(const WeightedSum& s) noexcept {
  std::size_t m = 0;
  for (; m + 4 <= s.sums; m += 4) weighted_sums<4>(s, m);
  for (; m + 2 <= s.sums; m += 2) weighted_sums<2>(s, m);
  if (m < s.sums) weighted_sums<1>(s, m);
}
