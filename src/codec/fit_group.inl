// Least-squares fits of one group a lane, on weights normalised so that their largest magnitude in
// the block is between 1 and 2. Included by codec/rows.inl.
#pragma once

#include "codec/lanes.inl"

// 16 groups of n columns, element-major: x[k * 16 + lane]. w likewise, or null for uniform.
struct Tile {
  static constexpr int kMaxColumns = 128;

  int n = 0;
  Lanes sum_w;     // total weight of the group
  Lanes unit;      // power of two that was divided out, and its inverse
  Lanes inv_unit;  //
  Lanes mean;      // subtracted from x where the format has an offset, else 0
  alignas(64) float x[kMaxColumns * kLanes];
  alignas(64) float w[kMaxColumns * kLanes];
};

template <bool kWeighted>
inline Lanes weighted(const Tile& t, int k, const Lanes& value) {
  if constexpr (kWeighted) return load(t.w + k * kLanes) * value;
  return value;
}

// Sums over a group of the codes that round (x - offset) * inv, clamped to low..high.
struct Sums {
  Lanes q, qq, xq;
};

template <bool kWeighted>
inline Sums sums_at(const Tile& t, const Lanes& inv, const Lanes& offset, float low, float high) {
  const CodeRange range = code_range(low, high);
  Sums s{splat(0), splat(0), splat(0)};
  for (int k = 0; k < t.n; ++k) {
    const Lanes x = load(t.x + k * kLanes);
    const Lanes q = nearest_codes((x - offset) * inv, range);
    const Lanes wq = weighted<kWeighted>(t, k, q);
    s.q = s.q + wq;
    s.qq = s.qq + wq * q;
    s.xq = s.xq + wq * x;
  }
  return s;
}

// The same without an offset and without the plain sum.
template <bool kWeighted>
inline Sums symmetric_sums_at(const Tile& t, const Lanes& inv, float low, float high) {
  const CodeRange range = code_range(low, high);
  Sums s{splat(0), splat(0), splat(0)};
  for (int k = 0; k < t.n; ++k) {
    const Lanes x = load(t.x + k * kLanes);
    const Lanes q = nearest_codes(x * inv, range);
    const Lanes wq = weighted<kWeighted>(t, k, q);
    s.qq = s.qq + wq * q;
    s.xq = s.xq + wq * x;
  }
  return s;
}

// Squared error with the nearest codes under a given step and offset.
template <bool kWeighted>
inline Lanes error_at(const Tile& t, const Lanes& step, const Lanes& offset, float low,
                      float high) {
  const CodeRange range = code_range(low, high);
  const Lanes inv = inverse(step);
  Lanes error = splat(0);
  for (int k = 0; k < t.n; ++k) {
    const Lanes x = load(t.x + k * kLanes) - offset;
    const Lanes q = nearest_codes(x * inv, range);
    const Lanes r = x - step * q;
    error = error + weighted<kWeighted>(t, k, r * r);
  }
  return error;
}

inline Lanes stored(const Tile& t, DType type, const Lanes& value) {
  return to_stored(type, value * t.unit) * t.inv_unit;
}

// The columns of largest magnitude, with their sign.
inline Lanes signed_extreme(const Tile& t) {
  Lanes low = splat(0), high = splat(0);
  for (int k = 0; k < t.n; ++k) {
    const Lanes x = load(t.x + k * kLanes);
    low = min(low, x);
    high = max(high, x);
  }
  return select(high < splat(0) - low, low, high);
}

// Which codes the extreme weight is tried at: first, first + step, ... on both sides of zero where
// the range of codes is lopsided.
struct SymmetricSearch {
  float first, step;
  int count;
  bool both_signs;
  int refinements;
};

struct SymmetricFit {
  Lanes step, gain;  // gain: how much of sum w x^2 is explained

  // Least squares for the step under given codes; kept where it explains more.
  void consider(const Sums& s) {
    const Lanes inv = inverse(s.qq);
    const Lanes explained = s.xq * s.xq * inv;
    const IntLanes better = gain < explained;
    step = select(better, s.xq * inv, step);
    gain = select(better, explained, gain);
  }
};

template <bool kWeighted>
inline SymmetricFit fit_symmetric(const Tile& t, float low, float high,
                                  const SymmetricSearch& search) {
  const Lanes per_extreme = inverse(signed_extreme(t));
  SymmetricFit best{splat(0), splat(0)};
  for (int i = 0; i < search.count; ++i) {
    const Lanes code = splat(search.first + search.step * static_cast<float>(i));
    best.consider(symmetric_sums_at<kWeighted>(t, per_extreme * code, low, high));
    if (!search.both_signs) continue;
    const Lanes inv = splat(0) - per_extreme * code;
    best.consider(symmetric_sums_at<kWeighted>(t, inv, low, high));
  }
  for (int i = 0; i < search.refinements; ++i) {
    best.consider(symmetric_sums_at<kWeighted>(t, inverse(best.step), low, high));
  }
  return best;
}

// How much of the range is tried: both ends shrunk by 1, 1 - step, ...; then one end alone.
struct AffineSearch {
  float shrink_step;
  int count;
  int refinements;
  bool offset_not_positive;  // K-quants can only subtract a minimum
};

struct AffineFit {
  Lanes step, offset, gain;  // offset: of the centred weights, so add the mean

  void consider(const Tile& t, const Sums& s, bool not_positive) {
    const Lanes mean_q = s.q * inverse(t.sum_w);
    const Lanes var = s.qq - s.q * mean_q;
    const Lanes inv = select(splat(1e-6f) * s.qq < var, inverse(var), splat(0));
    Lanes new_step = s.xq * inv;
    Lanes new_offset = splat(0) - new_step * mean_q;
    Lanes explained = s.xq * new_step;
    if (not_positive) {  // where it would be positive: least squares through zero
      const Lanes inv_qq = inverse(s.qq);
      const Lanes raw = s.xq + t.mean * s.q;
      const Lanes zero_gain = raw * raw * inv_qq - t.sum_w * t.mean * t.mean;
      const IntLanes positive = splat(0) < new_offset + t.mean;
      new_step = select(positive, raw * inv_qq, new_step);
      new_offset = select(positive, splat(0) - t.mean, new_offset);
      explained = select(positive, zero_gain, explained);
    }
    const IntLanes better = gain < explained;
    step = select(better, new_step, step);
    offset = select(better, new_offset, offset);
    gain = select(better, explained, gain);
  }
};

template <bool kWeighted>
inline void try_range(const Tile& t, const Lanes& from, const Lanes& to, float max_code,
                      bool not_positive, AffineFit& best) {
  const Lanes inv = splat(max_code) * inverse(to - from);
  best.consider(t, sums_at<kWeighted>(t, inv, from, 0, max_code), not_positive);
}

template <bool kWeighted>
inline AffineFit fit_affine(const Tile& t, float max_code, const AffineSearch& search) {
  const bool not_positive = search.offset_not_positive;
  Lanes low = splat(4), high = splat(-4);
  for (int k = 0; k < t.n; ++k) {
    const Lanes x = load(t.x + k * kLanes);
    low = min(low, x);
    high = max(high, x);
  }
  if (not_positive) low = min(low, splat(0) - t.mean);
  // The start: everything at the offset (a constant group stays there).
  AffineFit best{splat(0), splat(0), splat(0)};
  if (not_positive) best = {splat(0), splat(0) - max(t.mean, splat(0)), splat(-1e30f)};
  for (int i = 0; i < search.count; ++i) {
    const Lanes shrink = splat(1 - search.shrink_step * static_cast<float>(i));
    try_range<kWeighted>(t, low * shrink, high * shrink, max_code, not_positive, best);
    if (i == 0 || i % 2 != 0) continue;
    try_range<kWeighted>(t, low * shrink, high, max_code, not_positive, best);
    try_range<kWeighted>(t, low, high * shrink, max_code, not_positive, best);
  }
  for (int i = 0; i < search.refinements; ++i) {
    const Sums s = sums_at<kWeighted>(t, inverse(best.step), best.offset, 0, max_code);
    best.consider(t, s, not_positive);
  }
  return best;
}
