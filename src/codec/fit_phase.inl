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

template <bool kWeighted>
inline Quarters quarters_at(const Tile& t, const Lanes& inv) {
  // The bits below the point become the upper ones of an integer, which wraps as a phase does.
  const Lanes magic = splat(768.0f);
  Lanes none = splat(0), one = splat(0);
  for (int k = 0; k < t.n; ++k) {
    IntLanes turns = as_bits(load(t.x + k * kLanes) * inv + magic), quarter;
    PJ_EACH_PIECE turns.p[i] = (IntVector)((UnsignedVector)turns.p[i] << 18);
    PJ_EACH_PIECE quarter.p[i] = (IntVector)((UnsignedVector)turns.p[i] - 0x40000000u);
    none = none + weighted<kWeighted>(t, k, abs(to_floats(turns)));
    one = one + weighted<kWeighted>(t, k, abs(to_floats(quarter)));
  }
  const Lanes mean = splat(0.25f) * t.sum_w;
  return {mean - none * splat(0x1p-32f), mean - one * splat(0x1p-32f)};
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

// The candidates of smallest score.
template <int kSize>
struct Shortlist {
  Candidate at[kSize];

  Shortlist() {
    for (Candidate& c : at) c = {splat(1e30f), splat(0), splat(0)};
  }
  void offer(Candidate now) {
    for (Candidate& c : at) {
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

constexpr int kMostPhases = 24;

// Offers the best offset of each of up to kMostPhases ascending steps to the list: of those with
// the best phase the turns(i) on both sides of the one that centres the codes, each as
// snap(offset) will store it. Steps that are 0 or equal are left out.
template <bool kWeighted, class List, class Turns, class Snap>
inline void offer_steps(const Tile& t, const Range& range, float max_code, const Lanes* steps,
                        int count, const Turns& turns, const Snap& snap, List& list) {
  // In loops of their own, so that the steps' chains of dependent operations overlap.
  Lanes inv[kMostPhases];
  Quarters by[kMostPhases];
  for (int i = 0; i < count; ++i) inv[i] = inverse(steps[i]);
  for (int i = 0; i < count; ++i) by[i] = quarters_at<kWeighted>(t, inv[i]);
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
