// From ideal scales to the ones a block can store, searched against the stored values themselves.
// Included by codec/rows.inl.
#pragma once

#include "codec/fit_phase.inl"

// What a tile's fit decides, a lane a group; d and m are equal in the lanes of one block and, like
// the weights, in units of t.unit.
struct StoredFit {
  Lanes d, m, scale, min, error;
};

inline void keep_where(const IntLanes& mask, const StoredFit& from, StoredFit& to) {
  to.d = select(mask, from.d, to.d);
  to.m = select(mask, from.m, to.m);
  to.scale = select(mask, from.scale, to.scale);
  to.min = select(mask, from.min, to.min);
  to.error = select(mask, from.error, to.error);
}

// ---- one group a block: the step (and offset) is stored as it is ----

// The ideal step, rounded, and its storable neighbours: they matter where it is so small that they
// are far apart.
template <bool kWeighted, class Codes>
inline StoredFit store_symmetric(const Tile& t, const Grid& grid, const Codes& codes,
                                 const SymmetricFit& ideal) {
  const Lanes exact = to_stored(grid.scale_type, ideal.step * t.unit);
  StoredFit best{splat(0), splat(0), splat(1), splat(1), splat(1e30f)};
  for (const int away : {0, 1, -1}) {
    StoredFit now = best;
    now.d = away == 0 ? exact : stored_neighbour(grid.scale_type, exact, away);
    now.d = now.d * t.inv_unit;
    now.error = error_at<kWeighted>(t, now.d, splat(0), codes);
    keep_where(now.error < best.error, now, best);
  }
  return best;
}

// Everything at the offset, as stored.
template <bool kWeighted>
inline StoredFit store_offset(const Tile& t, const Grid& grid) {
  StoredFit fit{splat(0), stored(t, grid.scale_type, t.mean), splat(1), splat(1), splat(0)};
  fit.error = error_at<kWeighted>(t, fit.d, fit.m - t.mean, 0, 0);
  return fit;
}

// Steps that are not 0 and under which every code stays finite.
struct StepLimits {
  Lanes least, most;

  StepLimits(const Tile& t, const Grid& grid)
      : least(splat(smallest_stored(grid.scale_type)) * t.inv_unit),
        most(splat(0x1.8p127f / static_cast<float>(grid.max_code)) * t.inv_unit) {}
  Lanes operator()(const Lanes& step) const { return max(min(step, most), least); }
};

// Where the step that spans the range is a few of the type's smallest values, hardly any steps can
// be chosen from, and what is clipped at which end decides: both steps around it are tried, at nine
// places between the ends of the range. Weights that small are rare, so only tiles that have some
// pay for it, and in them only the lanes concerned change.
template <bool kWeighted, class ConsiderStep>
inline void search_coarse(const Tile& t, const Grid& grid, const ConsiderStep& consider_step) {
  const auto high = static_cast<float>(grid.max_code);
  const Lanes least = splat(smallest_stored(grid.scale_type)) * t.inv_unit;
  const Range range = range_of(t);
  const Lanes spans = (range.high - range.low) * splat(1 / high);
  const IntLanes coarse = spans < splat(4) * least;
  if (!any(coarse)) return;
  const Lanes below = max(nearest(spans * inverse(least) - splat(0.5f)), splat(1));
  for (int i = 0; i < 18; ++i) {
    const Lanes step = (below + splat(i < 9 ? 0 : 1)) * least;
    const Lanes over = range.high - range.low - step * splat(high);
    const Lanes offset = range.low + over * splat(static_cast<float>(i % 9) / 8);
    consider_step(sums_at<kWeighted>(t, inverse(step), offset, 0, high),
                  select(coarse, step, splat(0)));
  }
}

// The step and offset, as stored, that fit best under the codes that the search comes across.
template <bool kWeighted>
inline StoredFit store_affine(const Tile& t, const Grid& grid, const PhaseSearch& phases,
                              const AffineSearch& search) {
  const DType type = grid.scale_type;
  const auto high = static_cast<float>(grid.max_code);
  const Lanes inv_w = inverse(t.sum_w);
  const StepLimits limited(t, grid);
  StoredFit best = store_offset<kWeighted>(t, grid);
  Lanes from = best.m - t.mean;  // of the centred weights
  const auto consider_step = [&](const Sums& s, const Lanes& step) {
    StoredFit now{step, splat(0), splat(1), splat(1), splat(0)};
    now.m = stored(t, type, t.mean - step * s.q * inv_w);
    const Lanes offset = now.m - t.mean;
    now.error = error_under(t, s, step, offset);
    now.error = select(splat(0) < step, now.error, splat(1e30f));
    const IntLanes better = now.error < best.error;
    keep_where(better, now, best);
    from = select(better, offset, from);
  };
  const auto consider = [&](const Sums& s) {
    const Lanes var = s.qq - s.q * s.q * inv_w;
    const Lanes inv = select(splat(1e-6f) * s.qq < var, inverse(var), splat(0));
    consider_step(s, stored(t, type, limited(s.xq * inv)));
  };
  const auto snap = [&](const Lanes& step) { return stored(t, type, limited(step)); };
  if (phases.steps > 0) {
    const Range range = range_of(t);
    const Lanes spans = (range.high - range.low) * splat(1 / high);
    consider(sums_at<kWeighted>(t, inverse(snap(spans)), range.low, 0, high));
    Shortlist list(phases.tries);
    const auto snap_offset = [&](const Lanes& offset) {
      return stored(t, type, offset + t.mean) - t.mean;
    };
    Lanes steps[kMostPhases];
    for (int i = 0; i < phases.steps; ++i) {
      const float part = phases.narrowest + (phases.widest - phases.narrowest) *
                                                static_cast<float>(i) /
                                                static_cast<float>(phases.steps - 1);
      steps[i] = snap(spans * splat(part));
    }
    offer_steps<kWeighted>(
        t, range, high, steps, phases.steps, [&](int) { return phases.turns; }, snap_offset, list);
    for (int i = 0; i < phases.tries; ++i) {
      const Candidate& c = list.at[i];
      const Sums s = sums_at<kWeighted>(t, inverse(c.step), c.offset, 0, high);
      consider(s);
    }
  }
  search_affine<kWeighted>(t, high, search, best.d, from, snap, consider);
  consider(sums_at<kWeighted>(t, inverse(best.d), from, 0, high));
  search_coarse<kWeighted>(t, grid, consider_step);
  for (int i = 1; i <= 2 * search.neighbours; ++i) {
    const int away = i % 2 == 0 ? i / 2 : -(i + 1) / 2;  // -1, 1, -2, 2
    const Lanes step = limited(stored_neighbour(type, best.d * t.unit, away) * t.inv_unit);
    const Lanes start = from + splat(0.5f * high) * (best.d - step);  // the middle stays
    consider_step(sums_at<kWeighted>(t, inverse(step), start, 0, high), step);
  }
  return best;
}

// For grids so fine that a BF16 step is coarse beside a code: every BF16 step (of a finer type
// those as far apart) from the one that spans the range upward.
template <bool kWeighted>
inline StoredFit store_pairs(const Tile& t, const Grid& grid, const PairSearch& search) {
  const DType type = grid.scale_type;
  const auto high = static_cast<float>(grid.max_code);
  const int places = type == DType::kBF16 ? 1 : type == DType::kF16 ? 8 : 0x10000;
  const StepLimits limited(t, grid);
  const Range range = range_of(t);
  const Lanes spans = to_stored(type, limited((range.high - range.low) * splat(1 / high)) * t.unit);
  StoredFit best = store_offset<kWeighted>(t, grid);
  Shortlist list(search.tries);
  const auto snap = [&](const Lanes& offset) { return stored(t, type, offset + t.mean) - t.mean; };
  Lanes steps[kMostPhases];
  for (int i = 0; i < search.steps; ++i) {
    const int away = i - search.below;
    const Lanes moved = away == 0 ? spans : stored_neighbour(type, spans, away * places);
    steps[i] = limited(moved * t.inv_unit);
  }
  // A step wider by a place leaves room for the codes to move by one or two.
  const auto turns = [&](int i) {
    const int room = 1 + 3 * i / 4;
    return room < search.turns ? room : search.turns;
  };
  offer_steps<kWeighted>(t, range, high, steps, search.steps, turns, snap, list);
  const auto consider = [&](const Lanes& step, const Lanes& offset, const IntLanes& wanted) {
    StoredFit now{step, offset + t.mean, splat(1), splat(1), splat(0)};
    now.error = select(wanted, error_at<kWeighted>(t, step, offset, 0, high), splat(1e30f));
    keep_where(now.error < best.error, now, best);
  };
  const IntLanes all = splat(0) < splat(1);
  for (int i = 0; i < search.tries; ++i) consider(list.at[i].step, list.at[i].offset, all);
  // Mostly zeros: what counts is that a code lies on 0, which few pairs of step and offset manage,
  // and the error is no cosine.
  Lanes zeros = splat(0);
  for (int k = 0; k < t.n; ++k) {
    const Lanes x = load(t.x + k * kLanes) + t.mean;
    zeros = zeros + select(abs(x) < splat(1e-6f), splat(1), splat(0));
  }
  const IntLanes sparse = splat(0.6f * static_cast<float>(t.n)) < zeros;
  if (!any(sparse)) return best;
  for (int i = 0; i < search.sparse_steps; ++i) {
    const Lanes code = nearest((splat(0) - t.mean - range.low) * inverse(steps[i]));
    for (int away = -search.sparse_codes; away <= search.sparse_codes; ++away) {
      const Lanes q = code + splat(static_cast<float>(away));
      consider(steps[i], snap(splat(0) - t.mean - q * steps[i]), sparse);
    }
  }
  return best;
}

// ---- E2M1: one power of two a block, or one E4M3 ----

// The code nearest to a ratio: between the powers of two the codes are 1, 2 or 4 apart.
inline Lanes nearest_e2m1(const Lanes& magnitude) {
  const Lanes magic = splat(12582912.0f);
  Lanes coarse = select(magnitude < splat(8), magic + magic, splat(4) * magic);
  coarse = select(magnitude < splat(4), magic, coarse);
  return min((magnitude + coarse) - coarse, splat(12));
}

// Keeps a step where its error is the smaller one.
template <bool kWeighted>
inline void consider_e2m1(const Tile& t, const Lanes& step, StoredFit& best) {
  StoredFit now = best;
  now.d = step;
  now.error = splat(0);
  const Lanes inv = inverse(step);
  for (int k = 0; k < t.n; ++k) {
    const Lanes x = abs(load(t.x + k * kLanes));
    const Lanes r = x - step * nearest_e2m1(x * inv);
    now.error = now.error + weighted<kWeighted>(t, k, r * r);
  }
  keep_where(now.error < best.error, now, best);
}

// Powers of two from the one that puts the extreme weight among the two largest codes, which is
// the stock choice: twice it, so that nothing is clipped, then smaller ones.
constexpr int kPowersTried[] = {0, 1, -1, -2, -3};

template <bool kWeighted>
inline StoredFit store_power_of_two(const Tile& t) {
  // Below 2^-128 E8M0 ends; above 2^124 the largest code would be infinite.
  const Lanes least = splat(0x1p-128f) * t.inv_unit, most = splat(0x1p124f) * t.inv_unit;
  StoredFit best{splat(0), splat(0), splat(1), splat(1), splat(1e30f)};
  for (const int power : kPowersTried) {
    const float d = power < 0 ? 0.125f / static_cast<float>(1 << -power)
                              : 0.125f * static_cast<float>(1 << power);
    consider_e2m1<kWeighted>(t, min(max(splat(d), least), most), best);
  }
  return best;
}

// Numbers of E4M3 beside the one that puts the extreme weight on the largest code, which is the
// stock choice. A factor of 2 above, which is eight numbers, the values are those of half the scale
// again; but of the smallest scales not every half is a number.
constexpr int kE4m3Below = 4, kE4m3Above = 12;

template <bool kWeighted>
inline StoredFit store_e4m3(const Tile& t, const Grid& grid) {
  const Lanes largest = abs(signed_extreme(t)) * t.unit;
  const Lanes first = to_e4m3(largest * splat(1 / (grid.unit * static_cast<float>(grid.max_code))));
  StoredFit best{splat(0), splat(0), splat(1), splat(1), splat(1e30f)};
  for (int away = -kE4m3Below; away <= kE4m3Above; ++away) {
    const Lanes scale = away == 0 ? first : stored_neighbour(DType::kF8E4M3, first, away);
    consider_e2m1<kWeighted>(t, scale * splat(grid.unit) * t.inv_unit, best);
  }
  return best;
}

// ---- several groups a block ----

inline Lanes clamp(const Lanes& v, int low, int high) {
  return min(max(v, splat(static_cast<float>(low))), splat(static_cast<float>(high)));
}

inline Lanes to_code(const Lanes& v, int low, int high) { return nearest(clamp(v, low, high)); }

// For given d: the best stored scale of each group, near the ideal one.
template <bool kWeighted, class Codes>
inline StoredFit search_scales(const Tile& t, const Grid& grid, const Codes& codes, const Lanes& d,
                               const Lanes& ideal_step, int reach) {
  const Lanes start = to_code(ideal_step * inverse(d), grid.min_scale, grid.max_scale);
  StoredFit best{d, splat(0), start, splat(0), splat(1e30f)};
  for (int away = -reach; away <= reach; ++away) {
    StoredFit now = best;
    now.scale = clamp(start + splat(static_cast<float>(away)), grid.min_scale, grid.max_scale);
    now.error = error_at<kWeighted>(t, d * now.scale, splat(0), codes);
    keep_where(now.error < best.error, now, best);
  }
  return best;
}

// The d that fits best under the codes of the present scales.
template <bool kWeighted, class Codes>
inline Lanes refit_d(const Tile& t, const Grid& grid, const Codes& codes, const StoredFit& fit) {
  const Sums s = symmetric_sums_at<kWeighted>(t, inverse(fit.d * fit.scale), codes);
  const Lanes xu = block_sum(fit.scale * s.xq, grid.groups());
  const Lanes uu = block_sum(fit.scale * fit.scale * s.qq, grid.groups());
  return stored(t, grid.scale_type, xu * inverse(uu));
}

inline void keep_better_blocks(const StoredFit& now, int groups, StoredFit& best) {
  keep_where(block_sum(now.error, groups) < block_sum(best.error, groups), now, best);
}

template <bool kWeighted, class Codes>
inline StoredFit store_scales(const Tile& t, const Grid& grid, const Codes& codes,
                              const SymmetricFit& ideal, const BlockSearch& search) {
  const int groups = grid.groups();
  // The largest step takes the end of the range that reaches further, min_scale.
  const Lanes high = block_max(ideal.step, groups);
  const Lanes low = splat(0) - block_max(splat(0) - ideal.step, groups);
  const Lanes largest = select(high < splat(0) - low, low, high);
  const Lanes end = splat(static_cast<float>(grid.min_scale));
  StoredFit best{splat(0), splat(0), splat(0), splat(0), splat(1e30f)};
  for (int i = 0; i < search.starts; ++i) {
    const int away = (i + 1) / 2;  // 0, 1, 1, 2, 2: in turn to both sides
    const float factor = 1 + search.spread * static_cast<float>(away) * (i % 2 ? 1 : -1);
    Lanes d = stored(t, grid.scale_type, largest / end * splat(factor));
    for (int round = 0; round <= search.rounds; ++round) {
      const StoredFit now = search_scales<kWeighted>(t, grid, codes, d, ideal.step, search.reach);
      keep_better_blocks(now, groups, best);
      if (round < search.rounds) d = refit_d<kWeighted>(t, grid, codes, now);
    }
  }
  return best;
}

// For given d and m: the best stored scale and minimum of each group.
template <bool kWeighted>
inline StoredFit search_scales_and_mins(const Tile& t, const Grid& grid, const Lanes& d,
                                        const Lanes& m, const AffineFit& ideal, int reach) {
  const auto high = static_cast<float>(grid.max_code);
  const Lanes inv_m = inverse(m), inv_w = inverse(t.sum_w);
  const Lanes scale0 = to_code(ideal.step * inverse(d), grid.min_scale, grid.max_scale);
  const Lanes min0 = to_code((ideal.offset + t.mean) * inv_m, 0, grid.max_min);
  const Lanes from = m * min0 - t.mean;
  StoredFit best{d, m, scale0, min0, splat(1e30f)};
  for (int away = -reach; away <= reach; ++away) {
    StoredFit now{d, m, scale0 + splat(static_cast<float>(away)), min0, splat(0)};
    now.scale = clamp(now.scale, grid.min_scale, grid.max_scale);
    const Lanes step = d * now.scale;
    // The offset that suits this step best under the codes it would get.
    const Sums s = sums_at<kWeighted>(t, inverse(step), from, 0, high);
    now.min = to_code((t.mean - step * s.q * inv_w) * inv_m, 0, grid.max_min);
    now.error = error_under(t, s, step, m * now.min - t.mean);
    keep_where(now.error < best.error, now, best);
  }
  return best;
}

// Least squares for d and m together under the codes of the present scales and minimums; keeps
// them where the system has no good solution.
template <bool kWeighted>
inline void refit_d_and_m(const Tile& t, const Grid& grid, const StoredFit& fit, Lanes& d,
                          Lanes& m) {
  const auto high = static_cast<float>(grid.max_code);
  const Sums s =
      sums_at<kWeighted>(t, inverse(fit.d * fit.scale), fit.m * fit.min - t.mean, 0, high);
  const int groups = grid.groups();
  const Lanes xq = s.xq + t.mean * s.q;  // of the weights before centring
  const Lanes uu = block_sum(fit.scale * fit.scale * s.qq, groups);
  const Lanes uv = block_sum(fit.scale * fit.min * s.q, groups);
  const Lanes vv = block_sum(fit.min * fit.min * t.sum_w, groups);
  const Lanes xu = block_sum(fit.scale * xq, groups);
  const Lanes xv = block_sum(fit.min * t.mean * t.sum_w, groups);
  const Lanes det = uu * vv - uv * uv;
  const Lanes inv_det = select(splat(1e-5f) * uu * vv < det, inverse(det), splat(0));
  const Lanes new_d = stored(t, grid.scale_type, (xu * vv - xv * uv) * inv_det);
  const Lanes new_m = stored(t, grid.scale_type, (xv * uu - xu * uv) * inv_det);
  // Minimums are subtracted: m stays negative, d positive.
  const IntLanes good = splat(0) < min(new_d, splat(0) - new_m);
  d = select(good, new_d, fit.d);
  m = select(good, new_m, fit.m);
}

// Under given d and m every group has a few dozen pairs of scale and minimum that are nearly as
// good as the best: looks at the phases of the scales next to the present ones, and tries the most
// promising pairs.
template <bool kWeighted>
inline void search_pairs(const Tile& t, const Grid& grid, const PairSearch& search,
                         StoredFit& best) {
  const auto high = static_cast<float>(grid.max_code);
  const Lanes inv_d = inverse(best.d), inv_m = inverse(best.m), inv_w = inverse(t.sum_w);
  Range range = range_of(t);
  range.low = min(range.low, splat(0) - t.mean);
  const auto to_min = [&](const Lanes& offset) {
    return to_code((offset + t.mean) * inv_m, 0, grid.max_min);
  };
  const auto snap = [&](const Lanes& offset) { return best.m * to_min(offset) - t.mean; };
  Shortlist list(search.tries);
  Lanes steps[kMostPhases];
  const Lanes start = best.scale - splat(static_cast<float>(search.below));
  for (int i = 0; i < search.steps; ++i) {
    const Lanes scale = clamp(start + splat(static_cast<float>(i)), grid.min_scale, grid.max_scale);
    steps[i] = best.d * scale;
  }
  offer_steps<kWeighted>(
      t, range, high, steps, search.steps, [&](int) { return search.turns; }, snap, list);
  const auto consider = [&](const Sums& s, const Lanes& scale, const Lanes& min_code) {
    StoredFit now{best.d, best.m, scale, min_code, splat(0)};
    now.error = error_under(t, s, now.d * scale, now.m * min_code - t.mean);
    keep_where(now.error < best.error, now, best);
  };
  for (int i = 0; i < search.tries; ++i) {
    const Candidate& c = list.at[i];
    const Sums s = sums_at<kWeighted>(t, inverse(c.step), c.offset, 0, high);
    const Lanes scale = to_code(c.step * inv_d, grid.min_scale, grid.max_scale);
    consider(s, scale, to_min(c.offset));
    consider(s, scale, to_min(splat(0) - c.step * s.q * inv_w));
    // Least squares under these codes.
    const Lanes var = s.qq - s.q * s.q * inv_w;
    const Lanes free = s.xq * select(splat(1e-6f) * s.qq < var, inverse(var), splat(0));
    const Lanes near = to_code(free * inv_d, grid.min_scale, grid.max_scale);
    consider(s, near, to_min(splat(0) - best.d * near * s.q * inv_w));
  }
}

template <bool kWeighted>
inline StoredFit store_scales_and_mins(const Tile& t, const Grid& grid, const AffineFit& ideal,
                                       const BlockSearch& search, const PairSearch& pairs) {
  const int groups = grid.groups();
  const Lanes zero = splat(0);
  const Lanes most_step = block_max(ideal.step, groups);
  const Lanes most_min = block_max(max(zero - (ideal.offset + t.mean), zero), groups);
  const Lanes d0 = most_step / splat(static_cast<float>(grid.max_scale));
  const Lanes m0 = zero - most_min / splat(static_cast<float>(grid.max_min));
  const Lanes least = splat(smallest_stored(grid.scale_type)) * t.inv_unit;
  StoredFit best{zero, zero, zero, zero, splat(1e30f)};
  for (int i = 0; i < search.starts; ++i) {
    const int away = (i + 1) / 2;  // 0, 1, 1, 2, 2: in turn to both sides
    const float factor = 1 + search.spread * static_cast<float>(away) * (i % 2 ? 1 : -1);
    // Not 0 where F16's smallest is too large: it may still serve.
    Lanes d = max(stored(t, grid.scale_type, d0 * splat(factor)), least);
    Lanes m = min(stored(t, grid.scale_type, m0 * splat(factor)), zero - least);
    d = select(zero < d0, d, zero);
    m = select(m0 < zero, m, zero);
    for (int round = 0; round <= search.rounds; ++round) {
      const StoredFit now = search_scales_and_mins<kWeighted>(t, grid, d, m, ideal, search.reach);
      keep_better_blocks(now, groups, best);
      if (round < search.rounds) refit_d_and_m<kWeighted>(t, grid, now, d, m);
    }
  }
  search_pairs<kWeighted>(t, grid, pairs, best);
  StoredFit now = best;
  refit_d_and_m<kWeighted>(t, grid, best, now.d, now.m);
  now.error = error_at<kWeighted>(t, now.d * now.scale, now.m * now.min - t.mean, 0,
                                  static_cast<float>(grid.max_code));
  keep_better_blocks(now, groups, best);
  return best;
}
