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

// Keeps the step that explains more of sum w x^2, given a and b of its groups.
inline void keep_step(const Lanes& a, const Lanes& b, const Lanes& noise, Lanes& gain,
                      Lanes& step) {
  const Lanes inv = inverse(b), explained = a * a * inv;
  const IntLanes better = select(splat(0) < a, gain + noise, splat(1e30f)) < explained;
  gain = select(better, explained, gain);
  step = select(better, a * inv, step);
}

// Tries steps (4, or 2 of two variants) and keeps what they give as candidates behind those there
// are; `gain`: how much of sum w x^2 the best step explains. Groups that are fitted exactly keep
// the first such step (what is gained beyond `noise` counts), so that a block's groups agree on it.
template <int kSteps>
inline void try_steps(const VectorTile& t, const Grid& grid, const Lanes* steps, const Lanes& noise,
                      VectorCandidates& out, Lanes& gain) {
  const int at = out.count;
  out.count += kSteps;
  const CodeBook& book = grid.book;
  const int variants = variant_count(grid);
  const int vectors = grid.group / book.columns;
  constexpr int kTogether = kSteps < 4 ? 2 : 1;  // variants
  for (int first = 0; first < variants; first += kTogether) {
    VectorJob jobs[4];
    NearestEntry entries[4];
    for (int i = 0; i < 4; ++i) jobs[i] = {&t, first + i / kSteps, steps[i % kSteps]};
    find_nearest(jobs, book, entries);
    for (int i = 0; i < 4; ++i) {
      const int variant = first + i / kSteps, to = at + i % kSteps;
      sums_of(jobs[i], book, entries[i], out.a[variant][to], out.b[variant][to]);
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
    keep_step(block_sum(a, vectors), block_sum(b, vectors), noise, gain, out.step);
  }
}

// The step that suits vectors best where any three-level vector may be stored, in the book or not:
// a dozen steps cost about as much as one does with the codebook.
inline void try_levels(const VectorTile& t, const Grid& grid, const Lanes* steps, int count,
                       const Lanes& noise, Lanes& gain, Lanes& best) {
  const CodeBook& book = grid.book;
  const int vectors = grid.group / book.columns;
  const auto distance = static_cast<float>(book.levels.back());  // -distance, 0, distance
  for (int i = 0; i < count; ++i) {
    const Lanes s = steps[i];
    Lanes a[2], b[2];
    for (int variant = 0; variant < 2; ++variant) {
      const float shift = shift_of(book, variant);
      const Lanes down = s * splat(shift - 0.5f * distance),
                  up = s * splat(shift + 0.5f * distance);
      a[variant] = b[variant] = splat(0);
      for (int k = 0; k < book.columns; ++k) {
        Lanes level = select(down < t.x[k], splat(shift), splat(shift - distance));
        level = select(up < t.x[k], splat(shift + distance), level);
        const Lanes we = t.w[k] * level;
        a[variant] = a[variant] + t.x[k] * we;
        b[variant] = b[variant] + level * we;
      }
    }
    const IntLanes second =
        second_variant(grid, t.is_odd, s * b[0] - a[0] - a[0], s * b[1] - a[1] - a[1]);
    keep_step(block_sum(select(second, a[1], a[0]), vectors),
              block_sum(select(second, b[1], b[0]), vectors), noise, gain, best);
  }
}

// `kFine` steps with the codebook at the end: 2 of two variants that are looked at together, or 4.
template <int kFine>
inline void find_candidates(const VectorTile& t, const Grid& grid, const VectorSearch& search,
                            VectorCandidates& out) {
  constexpr int kMost = 16;
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
  Lanes steps[kMost], gain = splat(0);
  float factor = search.first;
  for (int i = 0; i < search.steps; ++i) {
    steps[i] = root * splat(factor);
    factor *= search.ratio;
  }
  // Where all are alike they are best stored with one level, which all books have an entry of.
  const int level = book.signs == Signs::kOfLevels ? grid.max_code : book.levels.front();
  steps[search.steps - 1] = root * splat(1 / static_cast<float>(level));
  if (search.top != 0) {
    const Lanes by_largest = block_max(largest, vectors) * splat(1 / search.top);
    Lanes& last = steps[search.steps - 2];
    const IntLanes below = by_largest < splat(0.9f) * steps[0];
    const IntLanes above = splat(search.ratio) * last < by_largest;
    last = select(below, by_largest, select(above, by_largest, last));
  }
  out.count = 0;
  out.step = splat(0);
  out.is_odd = t.is_odd;
  if (book.signs == Signs::kOfLevels) {
    try_levels(t, grid, steps, search.steps, noise, gain, out.step);
    gain = splat(0);
  } else {
    for (int i = 0; i < search.steps; i += 4) try_steps<4>(t, grid, steps + i, noise, out, gain);
  }
  const Lanes middle = out.step;
  for (int i = 0; i < kFine; ++i) {
    const float away = static_cast<float>(i) - 0.5f * (kFine - 1);
    steps[i] = middle * splat(1 + search.fine * away);
  }
  try_steps<kFine>(t, grid, steps, noise, out, gain);
}

inline void find_candidates(const VectorTile& t, const Grid& grid, const VectorSearch& search,
                            VectorCandidates& out) {
  if (grid.book.shifted != 0) return find_candidates<2>(t, grid, search, out);
  find_candidates<4>(t, grid, search, out);
}

// The best of the candidates under a step of each group: their error less sum w x^2, and sums.
struct VectorChoice {
  Lanes error, a, b;
};

inline VectorChoice choose_under(const Grid& grid, const VectorCandidates& c, const Lanes& step) {
  const int variants = variant_count(grid);
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

// The codes of sixteen vectors whose entries and variants are given; `x` has the weights' signs.
inline void write_codes(const VectorTile& t, const CodeBook& book, const NearestEntry& first,
                        const NearestEntry& other, const IntLanes& second, const float* x,
                        float* codes) {
  Lanes levels[VectorTile::kMaxColumns];
  levels_of(book, select(second, other.low, first.low), select(second, other.high, first.high),
            levels);
  if (book.signs == Signs::kOfLevels) {
    const Lanes shift = select(second, splat(shift_of(book, 1)), splat(shift_of(book, 0)));
    for (int k = 0; k < book.columns; ++k) store(codes + k * kLanes, levels[k] + shift);
    return;
  }
  Lanes flipped = splat(-1), least = splat(1e30f);
  for (int k = 0; k < book.columns; ++k) {
    const Lanes cost = t.x[k] * (t.w[k] * levels[k]);
    flipped = select(cost < least, splat(static_cast<float>(k)), flipped);
    least = min(cost, least);
  }
  const Lanes is_wrong = book.signs != Signs::kEven ? splat(0)
                         : book.columns == 8        ? t.is_odd
                                                    : select(second, splat(1), splat(0));
  for (int k = 0; k < book.columns; ++k) {
    const Lanes sign = select(load(x + k * kLanes) < splat(0), splat(-1), splat(1));
    const IntLanes here = abs(flipped - splat(static_cast<float>(k))) < is_wrong * splat(0.5f);
    store(codes + k * kLanes, levels[k] * select(here, splat(0) - sign, sign));
  }
}

// The nearest entries of `kTiles` tiles in each variant, [variant][tile].
template <int kTiles>
inline void nearest_entries(const VectorTile* tiles, const Grid& grid, const Lanes* steps,
                            NearestEntry (&out)[2][kTiles]) {
  const int variants = variant_count(grid);
  if (kTiles <= 2 && variants == 2 && grid.book.shifted != 0) {
    VectorJob jobs[2 * kTiles];
    NearestEntry found[2 * kTiles];
    for (int i = 0; i < 2 * kTiles; ++i) {
      jobs[i] = {tiles + i % kTiles, i / kTiles, steps[i % kTiles]};
    }
    find_nearest(jobs, grid.book, found);
    for (int i = 0; i < 2 * kTiles; ++i) out[i / kTiles][i % kTiles] = found[i];
    return;
  }
  for (int variant = 0; variant < variants; ++variant) {
    VectorJob jobs[kTiles];
    for (int i = 0; i < kTiles; ++i) jobs[i] = {tiles + i, variant, steps[i]};
    find_nearest(jobs, grid.book, out[variant]);
  }
}

template <int kTiles>
inline void round_tiles(const Grid& grid, const VectorBlock& block, FittedBlock& out) {
  const CodeBook& book = grid.book;
  const int vectors = grid.group / book.columns;
  constexpr int kTile = VectorBlock::kColumns / kTiles;
  // Codes of a negative step are those of the positive one, of weights with the other sign.
  const float sign = out.d < 0 ? -1.0f : 1.0f;
  alignas(64) float x[VectorBlock::kColumns], w[VectorBlock::kColumns], codes[kTile], step[kLanes];
  VectorTile tiles[kTiles];
  Lanes steps[kTiles];
  for (int i = 0; i < kTiles; ++i) {
    transpose_in(block.x + i * kTile, static_cast<std::size_t>(book.columns), book.columns,
                 x + i * kTile);
    transpose_in(block.w + i * kTile, static_cast<std::size_t>(book.columns), book.columns,
                 w + i * kTile);
    for (int lane = 0; lane < kLanes; ++lane) {
      step[lane] = out.step((i * kLanes + lane) / vectors) * block.inv_unit * sign;
    }
    steps[i] = load(step);
    for (int at = i * kTile; at < (i + 1) * kTile; ++at) x[at] *= sign;
    set_neighbours(tiles[i], book, x + i * kTile, w + i * kTile);
  }
  NearestEntry entries[2][kTiles];
  nearest_entries(tiles, grid, steps, entries);
  for (int i = 0; i < kTiles; ++i) {
    const IntLanes second =
        second_variant(grid, tiles[i].is_odd, entries[0][i].error, entries[1][i].error);
    write_codes(tiles[i], book, entries[0][i], entries[1][i], second, x + i * kTile, codes);
    for (int lane = 0; lane < kLanes; ++lane) {
      for (int k = 0; k < book.columns; ++k) {
        out.codes[i * kTile + lane * book.columns + k] = to_short(codes[k * kLanes + lane]);
      }
    }
  }
}

inline void round_vectors(const Grid& grid, const float* weights, const float* importance,
                          FittedBlock& out) {
  VectorBlock block;
  if (!set_block(weights, importance, block)) block.inv_unit = 1;
  if (grid.book.columns == 4) return round_tiles<4>(grid, block, out);
  round_tiles<2>(grid, block, out);
}
