// Where a step's grid should lie, for all offsets in one pass, as an estimate that decides which
// pairs of step and offset are worth a pass of their own. Included by codec/rows.inl.
#pragma once

#include "codec/fit_group.inl"

// As the offset of an unclipped grid moves by a step, the squared error goes through one period of
// nearly a cosine around 1/12 a column.
struct Phase {
  Lanes at;     // the best offset, in steps, up to whole ones: -.5 to .5
  Lanes depth;  // how far the error there is below the mean, in squared steps
};

inline Lanes square_root_of_sum(const Lanes& a, const Lanes& b) {  // to .2 %
  const Lanes larger = max(abs(a), abs(b)), ratio = min(abs(a), abs(b)) * inverse(larger);
  const Lanes z = ratio * ratio;
  return larger * (splat(1) + z * (splat(0.4836f) - splat(0.0698f) * z));
}

// How far the error at offset 0, and at a quarter of a step, is below the error half a step on.
struct Quarters {
  Lanes none, one;
};

// The weights of a tile as whole numbers, two columns a lane, so that a step's phases are products
// of 16 bits that wrap where a phase does. Finer than what tells phases apart, coarse beside a
// float: good for this estimate only.
struct PhaseTile {
  Lanes unit;      // what 1 stands for
  Lanes per_turn;  // what the sum of all weights by half a turn comes out as
  alignas(64) std::uint32_t x[Tile::kMaxColumns / 2 * kLanes];
  alignas(64) std::uint32_t w[Tile::kMaxColumns / 2 * kLanes];  // not for uniform weights
};

// `spans`: the step whose codes span the range.
template <bool kWeighted>
inline void make_phase_tile(const Tile& t, const Lanes& spans, float max_code, PhaseTile& out) {
  // Finer numbers leave fewer bits to the steps' multipliers, which count times the codes' number.
  const float per_code = max_code > 128 ? 16.0f : max_code > 32 ? 32.0f : 64.0f;
  const Lanes scale = splat(per_code) * inverse(spans);
  out.unit = spans * splat(1 / per_code);
  // All weights together stay below 2^15, so that no sum overflows.
  const Lanes scale_w = splat(32767.0f - static_cast<float>(t.n)) * inverse(t.sum_w);
  out.per_turn = kWeighted ? inverse(scale_w) : splat(1);
  for (int k = 0; k < t.n; k += 2) {
    const int at = k * kLanes;
    store_pairs(out.x + at / 2, to_pairs(load(t.x + at) * scale, load(t.x + at + kLanes) * scale));
    if constexpr (kWeighted) {
      store_pairs(out.w + at / 2,
                  to_pairs(load(t.w + at) * scale_w, load(t.w + at + kLanes) * scale_w));
    }
  }
}

template <bool kWeighted>
inline Quarters quarters_at(const Tile& t, const PhaseTile& tile, const Lanes& inv) {
  const Lanes turns = inv * tile.unit * splat(65536.0f);
  const PairLanes factor = to_pairs(turns, turns), ones = to_pairs(splat(1), splat(1));
  IntLanes none{}, one{};
  for (int k = 0; k < t.n / 2; ++k) {
    const PairLanes at = load_pairs(tile.x + k * kLanes) * factor;
    const PairLanes w = kWeighted ? load_pairs(tile.w + k * kLanes) : ones;
    add_products(none, distance(at), w);
    add_products(one, distance(less(at, 0x4000)), w);
  }
  const Lanes mean = splat(0.25f) * t.sum_w, unit = splat(0x1p-16f) * tile.per_turn;
  return {mean - to_floats(none) * unit, mean - to_floats(one) * unit};
}

inline Phase best_phase(const Quarters& by) {
  const Lanes sum = abs(by.none) + abs(by.one);
  const Lanes angle = splat(0.25f) * by.one * inverse(sum);  // a diamond for the circle: to .01
  const Lanes beyond = select(by.one < splat(0), splat(-0.5f), splat(0.5f)) - angle;
  return {select(by.none < splat(0), beyond, angle),
          splat(0.5f) * square_root_of_sum(by.none, by.one)};
}

struct Candidate {
  Lanes score, step, offset;
};

// The candidates of smallest score, up to `size`.
struct Shortlist {
  static constexpr int kMost = 8;

  int size;
  Candidate at[kMost];

  explicit Shortlist(int count) : size(count) {
    for (int i = 0; i < size; ++i) at[i] = {splat(1e30f), splat(0), splat(0)};
  }
  void offer(Candidate now) {
    for (int i = 0; i < size; ++i) {
      Candidate& c = at[i];
      const IntLanes better = now.score < c.score;
      const Candidate was = c;
      c = {select(better, now.score, was.score), select(better, now.step, was.step),
           select(better, now.offset, was.offset)};
      now = {select(better, was.score, now.score), select(better, was.step, now.step),
             select(better, was.offset, now.offset)};
    }
  }
};

// Least and largest of the (centred) weights of a group.
struct Range {
  Lanes low, high;
};

inline Range range_of(const Tile& t) {
  Range r{splat(4), splat(-4)};
  for (int k = 0; k < t.n; ++k) {
    const Lanes x = load(t.x + k * kLanes);
    r.low = min(r.low, x);
    r.high = max(r.high, x);
  }
  return r;
}

// What an end of the range costs more than the estimate knows, in squared steps, where it lies
// `over` steps beyond the last code: it is over^2, taken for the distance to a code that is not
// there.
inline Lanes clipped(const Lanes& over) {
  const Lanes half = max(over - splat(0.5f), splat(0)), whole = max(over - splat(1), splat(0));
  return half + half + whole * whole;
}

constexpr int kMostPhases = 26;

// Offers the best offset of each of up to kMostPhases ascending steps to the list: of those with
// the best phase the turns(i) on both sides of the one that centres the codes, each as
// snap(offset) will store it. Steps that are 0 or equal are left out.
template <bool kWeighted, class Turns, class Snap>
inline void offer_steps(const Tile& t, const Range& range, float max_code, const Lanes* steps,
                        int count, const Turns& turns, const Snap& snap, Shortlist& list) {
  // In loops of their own, so that the steps' chains of dependent operations overlap.
  Lanes inv[kMostPhases];
  Quarters by[kMostPhases];
  for (int i = 0; i < count; ++i) inv[i] = inverse(steps[i]);
  PhaseTile tile;
  make_phase_tile<kWeighted>(t, (range.high - range.low) * splat(1 / max_code), max_code, tile);
  for (int i = 0; i < count; ++i) by[i] = quarters_at<kWeighted>(t, tile, inv[i]);
  const Lanes mean_w = t.sum_w * splat(1 / static_cast<float>(t.n));
  for (int i = 0; i < count; ++i) {
    const Phase phase = best_phase(by[i]);
    const Lanes low = range.low * inv[i], high = range.high * inv[i] - splat(max_code);
    const Lanes first = nearest(splat(0.5f) * (low + high) - phase.at) + phase.at;
    Candidate best{splat(1e30f), steps[i], splat(0)};
    for (int turn = -turns(i); turn <= turns(i); ++turn) {
      const Lanes wanted = first + splat(static_cast<float>(turn));
      const Lanes offset = snap(wanted * steps[i]);
      const Lanes got = offset * inv[i], away = got - wanted;
      const Lanes cosine = max(splat(1) - splat(16) * away * away, splat(-1));
      const Lanes ends = clipped(max(got - low, high - got));
      const Lanes score = splat(1.0f / 12) * t.sum_w - phase.depth * cosine + mean_w * ends;
      const IntLanes better = score < best.score;
      best.score = select(better, score, best.score);
      best.offset = select(better, offset, best.offset);
    }
    const IntLanes is_new = (i == 0 ? splat(0) : steps[i - 1]) < steps[i];
    best.score = select(is_new, best.score * steps[i] * steps[i], splat(1e30f));
    list.offer(best);
  }
}
