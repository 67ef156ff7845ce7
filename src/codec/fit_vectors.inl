// Scales, and codes under given scales, of blocks whose codes are vectors of a codebook. Included
// by codec/rows.inl.
#pragma once

#include "codec/search_vectors.inl"

// One block, a power of two divided out; the importance of its columns is 1 on average.
struct VectorBlock {
  static constexpr int kColumns = 256;
  float unit, inv_unit;
  alignas(64) float x[kColumns], w[kColumns];
};

// False where all weights are 0.
inline bool set_block(const float* weights, const float* importance, VectorBlock& out) {
  constexpr float kLimit = 0x1.8p126f;
  float most = 0, total = 0;
  for (int i = 0; i < VectorBlock::kColumns; ++i) {
    const float x = weights[i] < -kLimit ? -kLimit : kLimit < weights[i] ? kLimit : weights[i];
    const float magnitude = x < 0 ? -x : x;
    most = most < magnitude ? magnitude : most;
    out.x[i] = x;
    out.w[i] = importance == nullptr ? 1.0f : importance[i];
    total += out.w[i];
  }
  if (most == 0) return false;
  most = most < 0x1p-126f ? 0x1p-126f : most;
  const std::uint32_t exponent = std::bit_cast<std::uint32_t>(most) & 0x7F800000u;
  out.unit = std::bit_cast<float>(exponent);
  out.inv_unit = std::bit_cast<float>(0x7F000000u - exponent);
  for (float& x : out.x) x *= out.inv_unit;
  if (importance == nullptr) return true;
  // As in set_weights: only ratios matter, and a little for every column.
  const float mean = total * (1.0f / VectorBlock::kColumns);
  const float inv = 2.4e-38f < mean && mean < 3e38f ? 1.0f / mean : 0.0f;
  for (float& w : out.w) w = w * inv + (inv != 0 ? 1e-6f : 1.0f);
  return true;
}

inline void load_tile(const VectorBlock& block, const CodeBook& book, int tile, VectorTile& t) {
  alignas(64) float x[VectorTile::kMaxColumns * kLanes], w[VectorTile::kMaxColumns * kLanes];
  const int first = tile * kLanes * book.columns;
  const auto stride = static_cast<std::size_t>(book.columns);
  transpose_in(block.x + first, stride, book.columns, x);
  transpose_in(block.w + first, stride, book.columns, w);
  set_neighbours(t, book, x, w);
}

// What the best entries under the steps that were tried come to, sixteen vectors a tile.
struct VectorCandidates {
  static constexpr int kMost = 16;
  int count;
  Lanes a[2][kMost], b[2][kMost];
  Lanes step;  // the best of each group
  Lanes is_odd;
};

inline Lanes sqrt(const Lanes& v) {
  alignas(64) float lane[kLanes];
  store(lane, v);
  for (float& x : lane) x = __builtin_sqrtf(x);
  return load(lane);
}

// Tries several steps and keeps what they give as candidates behind those there are; `gain`: how
// much of sum w x^2 the best step explains. Groups that are fitted exactly keep the first such step
// (what is gained beyond `noise` counts), so that a block's groups agree on it.
template <int kSteps>
inline void try_steps(VectorTile& t, const Grid& grid, const Lanes* steps, const Lanes& noise,
                      VectorCandidates& out, Lanes& gain) {
  const int at = out.count;
  out.count += kSteps;
  const CodeBook& book = grid.book;
  const int variants = variants_of(grid) == Variants::kOne ? 1 : 2;
  const int vectors = grid.group / book.columns;
  for (int variant = 0; variant < variants; ++variant) {
    prepare(t, book, variant);
    for (int first = 0; first < kSteps; first += 4) {  // as many as registers hold
      Nearest<4> best;
      look_at_all(t, book, steps + first, best);
      for (int i = 0; i < 4; ++i) {
        const int to = at + first + i;
        sums_of(t, best.low[i], best.high[i], out.a[variant][to], out.b[variant][to]);
      }
    }
  }
  for (int i = 0; i < kSteps; ++i) {
    Lanes a = out.a[0][at + i], b = out.b[0][at + i];
    if (variants == 2) {
      const Lanes a1 = out.a[1][at + i], b1 = out.b[1][at + i], s = steps[i];
      const IntLanes second =
          second_variant(grid, t.is_odd, s * (s * b - a - a), s * (s * b1 - a1 - a1));
      a = select(second, a1, a);
      b = select(second, b1, b);
    }
    a = block_sum(a, vectors);
    const Lanes inv = inverse(block_sum(b, vectors)), explained = a * a * inv;
    const IntLanes better = select(splat(0) < a, gain + noise, splat(1e30f)) < explained;
    gain = select(better, explained, gain);
    out.step = select(better, a * inv, out.step);
  }
}

template <int kSteps, int kFine>
inline void find_candidates(VectorTile& t, const Grid& grid, const VectorSearch& search,
                            VectorCandidates& out) {
  const CodeBook& book = grid.book;
  const int vectors = grid.group / book.columns;
  Lanes square = splat(0), sum_w = splat(0), largest = splat(0);
  for (int k = 0; k < book.columns; ++k) {
    square = square + t.w[k] * t.x[k] * t.x[k];
    sum_w = sum_w + t.w[k];
    largest = max(largest, abs(t.x[k]));
  }
  square = block_sum(square, vectors);
  const Lanes root = sqrt(square * inverse(block_sum(sum_w, vectors)));
  const Lanes noise = square * splat(1e-6f);
  Lanes steps[kSteps], gain = splat(0);
  float factor = search.first;
  for (Lanes& step : steps) {
    step = root * splat(factor);
    factor *= search.ratio;
  }
  // Where all are alike they are best stored with one level, which all books have an entry of.
  const int level = book.signs == Signs::kOfLevels ? grid.max_code : book.levels.front();
  steps[kSteps - 1] = root * splat(1 / static_cast<float>(level));
  if (search.top != 0) {
    const Lanes by_largest = block_max(largest, vectors) * splat(1 / search.top);
    Lanes& last = steps[kSteps - 2];
    const IntLanes below = by_largest < splat(0.9f) * steps[0];
    const IntLanes above = splat(search.ratio) * last < by_largest;
    last = select(below, by_largest, select(above, by_largest, last));
  }
  out.count = 0;
  out.step = splat(0);
  out.is_odd = t.is_odd;
  try_steps<kSteps>(t, grid, steps, noise, out, gain);
  const Lanes middle = out.step;
  for (int i = 0; i < kFine; ++i) {
    const float away = static_cast<float>(i) - 0.5f * (kFine - 1);
    steps[i] = middle * splat(1 + search.fine * away);
  }
  try_steps<kFine>(t, grid, steps, noise, out, gain);
}

// Short vectors take more steps: what is left of the error is less, and more of it the step's.
inline void find_candidates(VectorTile& t, const Grid& grid, const VectorSearch& search,
                            VectorCandidates& out) {
  if (grid.book.columns == 4) return find_candidates<8, 4>(t, grid, search, out);
  find_candidates<4, 4>(t, grid, search, out);
}

// The best of the candidates under a step of each group: their error less sum w x^2, and sums.
struct VectorChoice {
  Lanes error, a, b;
};

inline VectorChoice choose_under(const Grid& grid, const VectorCandidates& c, const Lanes& step) {
  const int variants = variants_of(grid) == Variants::kOne ? 1 : 2;
  VectorChoice best[2];
  for (int variant = 0; variant < variants; ++variant) {
    VectorChoice& v = best[variant];
    v = {splat(1e30f), splat(0), splat(0)};
    for (int i = 0; i < c.count; ++i) {
      const Lanes &a = c.a[variant][i], &b = c.b[variant][i];
      const Lanes error = step * b - a - a;
      const IntLanes better = error < v.error;
      v.error = select(better, error, v.error);
      v.a = select(better, a, v.a);
      v.b = select(better, b, v.b);
    }
    v.error = v.error * step;
  }
  if (variants == 1) return best[0];
  const IntLanes second = second_variant(grid, c.is_odd, best[0].error, best[1].error);
  return {select(second, best[1].error, best[0].error), select(second, best[1].a, best[0].a),
          select(second, best[1].b, best[0].b)};
}

inline float sum_of_lanes(const Lanes& v) {
  float sum = 0;
  for (int lane = 0; lane < kLanes; ++lane) sum += lane_of(v, lane);
  return sum;
}

// A block's scales under some d.
struct VectorScales {
  static constexpr int kMaxTiles = 4;
  float d = 0;
  float error = 0;  // less sum w x^2, so that of zeros is 0
  Lanes scale[kMaxTiles] = {splat(1), splat(1), splat(1), splat(1)};
  float refitted = 0;  // least squares for d under the codes of these scales
};

struct VectorFit {
  const Grid& grid;
  const VectorBlock& block;
  const VectorCandidates* candidates;
  int tiles;

  // The nearest d that can be stored, not 0.
  float stored(float d) const {
    const float to_half = block.unit * (1 / grid.unit);
    float half = lane_of(to_f16(splat(d * to_half)), 0);
    half = half < 0x1p-24f ? 0x1p-24f : half;
    return half * grid.unit * block.inv_unit;
  }

  VectorScales under(float d) const {
    VectorScales out;
    out.d = d;
    const int vectors = grid.group / grid.book.columns;
    float sa = 0, ssb = 0;
    for (int i = 0; i < tiles; ++i) {
      const VectorCandidates& c = candidates[i];
      const Lanes ideal = (c.step * splat(1 / d) - splat(1)) * splat(0.5f);
      const Lanes start = to_code(ideal, 0, grid.max_scale / 2);
      Lanes least = splat(1e30f), a = splat(0), b = splat(0);
      for (const int away : {0, -1, 1}) {
        const Lanes number = clamp(start + splat(static_cast<float>(away)), 0, grid.max_scale / 2);
        const Lanes scale = number + number + splat(1);
        const VectorChoice choice = choose_under(grid, c, splat(d) * scale);
        const Lanes error = block_sum(choice.error, vectors);
        const IntLanes better = error < least;
        least = select(better, error, least);
        a = select(better, choice.a, a);
        b = select(better, choice.b, b);
        out.scale[i] = select(better, scale, away == 0 ? scale : out.scale[i]);
      }
      out.error += sum_of_lanes(least);
      sa += sum_of_lanes(out.scale[i] * a);
      ssb += sum_of_lanes(out.scale[i] * out.scale[i] * b);
    }
    out.refitted = 0 < sa && 0 < ssb ? sa / ssb : d;
    return out;
  }
};

inline void fit_vectors(const Format& format, const float* weights, const float* importance,
                        FittedBlock& out) {
  const Grid& grid = format.grid;
  const VectorSearch& search = format.effort.vectors;
  out.d = 0;
  out.m = 0;
  for (int g = 0; g < grid.groups(); ++g) out.scales[g] = 1;
  VectorBlock block;
  if (!set_block(weights, importance, block)) return;
  VectorTile tile;
  VectorCandidates candidates[VectorScales::kMaxTiles];
  const int tiles = grid.block / grid.book.columns / kLanes;
  float most = 0;
  for (int i = 0; i < tiles; ++i) {
    load_tile(block, grid.book, i, tile);
    find_candidates(tile, grid, search, candidates[i]);
    for (int lane = 0; lane < kLanes; ++lane) {
      const float step = lane_of(candidates[i].step, lane);
      most = most < step ? step : most;
    }
  }
  const VectorFit fit{grid, block, candidates, tiles};
  VectorScales best;
  for (int i = -search.below; i <= search.above; ++i) {
    const float factor = 1 + search.spread * static_cast<float>(i);
    const float d = fit.stored(most / static_cast<float>(grid.max_scale) * factor);
    const VectorScales now = fit.under(d);
    if (now.error < best.error) best = now;
  }
  for (int round = 0; round < 2; ++round) {
    const VectorScales now = fit.under(fit.stored(best.refitted));
    if (now.error < best.error) best = now;
  }
  const int vectors = grid.group / grid.book.columns;
  out.d = best.d * block.unit;
  for (int g = 0; g < grid.groups(); ++g) {
    const int vector = g * vectors;
    out.scales[g] = static_cast<std::int8_t>(lane_of(best.scale[vector / kLanes], vector % kLanes));
  }
}

// Of sixteen vectors, for one variant.
struct NearestEntry {
  Lanes low, high;  // numbers of halves
  Lanes error;      // what goes by it
};

inline unsigned half_bits(const CodeBook& book, const Lanes& number, int lane) {
  return book.halves->bits[number_of(number, lane)];
}

// The codes of sixteen vectors whose entries and variants are given; `x` has the weights' signs.
inline void write_codes(const VectorTile& t, const CodeBook& book, const NearestEntry* entries,
                        const IntLanes& second, const float* x, float* codes) {
  alignas(64) float down[kLanes];
  store(down, select(second, splat(1), splat(0)));
  for (int lane = 0; lane < kLanes; ++lane) {
    const int variant = down[lane] != 0 ? 1 : 0;
    const NearestEntry& entry = entries[variant];
    const unsigned bits = half_bits(book, entry.low, lane) | half_bits(book, entry.high, lane)
                                                                 << (book.columns / 2 * book.bits);
    const float wrong = book.columns == 8 ? lane_of(t.is_odd, lane) : static_cast<float>(variant);
    int flipped = -1;
    float least = 1e30f;
    for (int k = 0; k < book.columns; ++k) {
      const auto level = static_cast<float>(book.level_of(bits, k));
      if (book.signs == Signs::kOfLevels) {
        codes[k * kLanes + lane] = level + (variant == 0 ? 1.0f : -1.0f);
        continue;
      }
      codes[k * kLanes + lane] = x[k * kLanes + lane] < 0 ? -level : level;
      const float cost = lane_of(t.x[k], lane) * (lane_of(t.w[k], lane) * level);
      if (cost < least) flipped = k;
      least = cost < least ? cost : least;
    }
    if (book.signs == Signs::kEven && wrong != 0) {
      codes[flipped * kLanes + lane] = -codes[flipped * kLanes + lane];
    }
  }
}

// The nearest entry of each variant; returns how many variants.
inline int nearest_entries(VectorTile& t, const Grid& grid, const Lanes& step,
                           NearestEntry* entries) {
  const int variants = variants_of(grid) == Variants::kOne ? 1 : 2;
  for (int variant = 0; variant < variants; ++variant) {
    Nearest<1> best;
    prepare(t, grid.book, variant);
    look_at_all(t, grid.book, &step, best);
    entries[variant] = {best.low[0], best.high[0], best.error[0]};
  }
  return variants;
}

// The nearest codes for sixteen vectors, [column][lane], under the steps of their groups, which are
// not negative.
inline void round_tile_of_vectors(VectorTile& t, const Grid& grid, const float* x, const float* w,
                                  const Lanes& step, float* codes) {
  const CodeBook& book = grid.book;
  set_neighbours(t, book, x, w);
  NearestEntry entries[2];
  const int variants = nearest_entries(t, grid, step, entries);
  IntLanes second = splat(1) < splat(0);
  if (variants == 2) second = second_variant(grid, t.is_odd, entries[0].error, entries[1].error);
  write_codes(t, book, entries, second, x, codes);
}

inline void round_vectors(const Grid& grid, const float* weights, const float* importance,
                          FittedBlock& out) {
  const CodeBook& book = grid.book;
  VectorBlock block;
  if (!set_block(weights, importance, block)) block.inv_unit = 1;
  const int vectors = grid.group / book.columns;
  VectorTile tile;
  for (int i = 0; i < grid.block / book.columns / kLanes; ++i) {
    const int first = i * kLanes * book.columns;
    const auto stride = static_cast<std::size_t>(book.columns);
    alignas(64) float x[VectorTile::kMaxColumns * kLanes], w[VectorTile::kMaxColumns * kLanes];
    alignas(64) float codes[VectorTile::kMaxColumns * kLanes], step[kLanes];
    transpose_in(block.x + first, stride, book.columns, x);
    transpose_in(block.w + first, stride, book.columns, w);
    for (int lane = 0; lane < kLanes; ++lane) {
      step[lane] = out.step((i * kLanes + lane) / vectors) * block.inv_unit;
    }
    // Codes of a negative step are those of the positive one, of weights with the other sign.
    const bool negative = out.d < 0;
    if (negative) {
      for (float& value : x) value = -value;
      for (float& value : step) value = -value;
    }
    round_tile_of_vectors(tile, grid, x, w, load(step), codes);
    for (int lane = 0; lane < kLanes; ++lane) {
      for (int k = 0; k < book.columns; ++k) {
        out.codes[first + lane * book.columns + k] = to_short(codes[k * kLanes + lane]);
      }
    }
  }
}
