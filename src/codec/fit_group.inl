// Least-squares fits of one group a lane, on weights normalised so that their largest magnitude in
// the block is between 1 and 2. Included by codec/rows.inl.
#pragma once

#include "codec/lanes.inl"

// 16 groups of n columns, element-major: x[k * 16 + lane]. w likewise, or null for uniform.
struct Tile {
  static constexpr int kMaxColumns = 256;

  int n = 0;
  Lanes sum_w;     // total weight of the group
  Lanes unit;      // power of two that was divided out, and its inverse
  Lanes inv_unit;  //
  Lanes mean;      // subtracted from x where the format has an offset, else 0
  Lanes sum_x;     // weighted sums, where the format has an offset: of x, nearly 0,
  Lanes sum_xx;    // and of its square
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

// A table of codes: level[i] is nearest above the threshold above[i], up to the next one.
struct LevelCodes {
  static constexpr int kMost = 16;
  float level[kMost], above[kMost];

  explicit LevelCodes(const CodeBook& book) {
    for (int i = 0; i < kMost; ++i) {
      const bool exists = static_cast<std::size_t>(i) < book.levels.size();
      level[i] = exists ? static_cast<float>(book.levels[static_cast<std::size_t>(i)]) : 0;
      above[i] = i > 0 && exists ? 0.5f * (level[i - 1] + level[i]) : 3e38f;
    }
  }
};

inline Lanes nearest_codes(const Lanes& ratio, const LevelCodes& codes) {
  Lanes nearest = splat(codes.level[0]);
  for (int i = 1; i < LevelCodes::kMost; ++i) {
    nearest = select(splat(codes.above[i]) < ratio, splat(codes.level[i]), nearest);
  }
  return nearest;
}

// The same without an offset and without the plain sum.
template <bool kWeighted, class Codes>
inline Sums symmetric_sums_at(const Tile& t, const Lanes& inv, const Codes& codes) {
  Sums s{splat(0), splat(0), splat(0)};
  for (int k = 0; k < t.n; ++k) {
    const Lanes x = load(t.x + k * kLanes);
    const Lanes q = nearest_codes(x * inv, codes);
    const Lanes wq = weighted<kWeighted>(t, k, q);
    s.qq = s.qq + wq * q;
    s.xq = s.xq + wq * x;
  }
  return s;
}

// Squared error with the nearest codes under a given step and offset.
template <bool kWeighted, class Codes>
inline Lanes error_at(const Tile& t, const Lanes& step, const Lanes& offset, const Codes& codes) {
  const Lanes inv = inverse(step);
  Lanes error = splat(0);
  for (int k = 0; k < t.n; ++k) {
    const Lanes x = load(t.x + k * kLanes) - offset;
    const Lanes q = nearest_codes(x * inv, codes);
    const Lanes r = x - step * q;
    error = error + weighted<kWeighted>(t, k, r * r);
  }
  return error;
}

template <bool kWeighted>
inline Lanes error_at(const Tile& t, const Lanes& step, const Lanes& offset, float low,
                      float high) {
  return error_at<kWeighted>(t, step, offset, code_range(low, high));
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

struct SymmetricFit {
  Lanes step, gain;  // gain: how much of sum w x^2 is explained

  // Least squares for the step under given codes; kept where it explains more, by more than
  // `noise`.
  void consider(const Sums& s, const Lanes& noise) {
    const Lanes inv = inverse(s.qq);
    const Lanes explained = s.xq * s.xq * inv;
    const IntLanes better = gain + noise < explained;
    step = select(better, s.xq * inv, step);
    gain = select(better, explained, gain);
  }
};

template <bool kWeighted, class Codes>
inline SymmetricFit fit_symmetric(const Tile& t, const Codes& codes, const SymmetricSearch& search,
                                  const Lanes& noise) {
  const Lanes per_extreme = inverse(signed_extreme(t));
  SymmetricFit best{splat(0), splat(0)};
  float at = search.first;
  for (int i = 0; i < search.count; ++i) {
    const Lanes code = splat(at);
    at = search.grows ? at * search.step : search.first + search.step * static_cast<float>(i + 1);
    best.consider(symmetric_sums_at<kWeighted>(t, per_extreme * code, codes), noise);
    if (!search.both_signs) continue;
    const Lanes inv = splat(0) - per_extreme * code;
    best.consider(symmetric_sums_at<kWeighted>(t, inv, codes), noise);
  }
  for (int i = 0; i < search.refinements; ++i) {
    best.consider(symmetric_sums_at<kWeighted>(t, inverse(best.step), codes), noise);
  }
  return best;
}

// Squared error of the codes that gave the sums, without a pass over the columns. At best to 1e-7
// of sum_xx, so it tells fits apart up to 6 bits or so.
inline Lanes error_under(const Tile& t, const Sums& s, const Lanes& step, const Lanes& offset) {
  return t.sum_xx + step * (step * s.qq - splat(2) * s.xq) +
         offset * (offset * t.sum_w + splat(2) * (step * s.q - t.sum_x));
}

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
    // Groups that are fitted exactly keep the first step, so that a block's groups agree on it.
    const Lanes noise = splat(3e-7f) * (t.sum_xx + t.sum_w * t.mean * t.mean);
    const IntLanes better = gain + noise < explained;
    step = select(better, new_step, step);
    offset = select(better, new_offset, offset);
    gain = select(better, explained, gain);
  }
};

// How far the i-th try of a walk moves the ends, in steps: points of an additive recurrence, which
// fill the square evenly however many are taken.
struct Move {
  float low, high;
};

inline Move move_of(int i, const AffineSearch& search) {
  const auto count = static_cast<std::uint32_t>(i + 1);
  const float part = static_cast<float>(i) / static_cast<float>(search.walks);
  const float radius = search.radius + (search.last_radius - search.radius) * part;
  const auto along = [&](std::uint32_t ratio) {
    return radius * (static_cast<float>((ratio * count) >> 8) * 0x1p-23f - 1);
  };
  return {along(0xC13FA9A9u), along(0x91E10DA6u)};
}

// Calls consider(Sums) with the codes of every range that is tried. `step` and `offset` refer to
// the best so far, which consider() updates. snap(step) is the step whose codes are taken.
template <bool kWeighted, class Snap, class Consider>
inline void search_affine(const Tile& t, float max_code, const AffineSearch& search,
                          const Lanes& step, const Lanes& offset, const Snap& snap,
                          const Consider& consider) {
  Lanes low = splat(4), high = splat(-4);
  for (int k = 0; k < t.n; ++k) {
    const Lanes x = load(t.x + k * kLanes);
    low = min(low, x);
    high = max(high, x);
  }
  if (search.offset_not_positive) low = min(low, splat(0) - t.mean);
  const auto try_range = [&](const Lanes& from, const Lanes& to) {
    const Lanes s = snap((to - from) * splat(1 / max_code));
    const Lanes start = splat(0.5f) * (from + to - s * splat(max_code));
    consider(sums_at<kWeighted>(t, inverse(s), start, 0, max_code));
  };
  for (int i = 0; i < search.ranges; ++i) {
    const Lanes part = splat(search.first - search.shrink_step * static_cast<float>(i));
    try_range(low * part, high * part);
    if (!search.single_ends || i == 0 || i % 2 != 0) continue;
    try_range(low * part, high);
    try_range(low, high * part);
  }
  const auto walk = [&](const Move& move) {
    const Lanes s = snap(step * splat(1 + (move.high - move.low) / max_code));
    return sums_at<kWeighted>(t, inverse(s), offset + step * splat(move.low), 0, max_code);
  };
  // Two at a time, so that one's sums need not wait for what the other's decide.
  for (int i = 0; i < search.walks; i += 2) {
    const Sums a = walk(move_of(i, search));
    const Sums b = walk(move_of(i + 1, search));
    consider(a);
    consider(b);
  }
}

template <bool kWeighted>
inline AffineFit fit_affine(const Tile& t, float max_code, const AffineSearch& search) {
  const bool not_positive = search.offset_not_positive;
  // The start: everything at the offset (a constant group stays there).
  AffineFit best{splat(0), splat(0), splat(0)};
  if (not_positive) best = {splat(0), splat(0) - max(t.mean, splat(0)), splat(-1e30f)};
  const auto same = [](const Lanes& value) { return value; };
  const auto consider = [&](const Sums& s) { best.consider(t, s, not_positive); };
  search_affine<kWeighted>(t, max_code, search, best.step, best.offset, same, consider);
  return best;
}
