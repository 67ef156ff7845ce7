// The nearest entries of a codebook for sixteen vectors at once, a vector a lane: every entry is
// looked at, so the nearest one is found whatever the importance of the columns. The weighted error
// of entry e under step s is sum w x^2 + s (s b - 2 a), where a = sum w x e and b = sum w e^2 do
// not depend on the step: they are sums of what the entry's first half of columns gives and of what
// the other half does, two tables that serve several steps. Included by
// codec/rows.inl.
#pragma once

#include "codec/book_halves.h"
#include "codec/fit_block.inl"

// Sums over half the columns of a vector, by the half's number (BookHalves).
struct HalfSums {
  static constexpr int kMost = BookHalves::kMost;
  Lanes a[kMost], b[kMost];
  Lanes least[kMost];  // of w x e, where signs are even
};

// Vectors that can be coded in two ways, apart from their entries: with all codes one up or one
// down, or with the sign of one column wrong.
enum class Variants : std::uint8_t {
  kOne,
  kAnyVector,   // each vector as it likes
  kWholeGroup,  // all vectors of a group alike
  kOneOfPair,   // of two neighbours with an odd number of minuses one, of others none
};

inline Variants variants_of(const Grid& grid) {
  const CodeBook& book = grid.book;
  if (book.shifted != 0) {
    return book.shifted == book.columns ? Variants::kAnyVector : Variants::kWholeGroup;
  }
  const bool pairs = book.signs == Signs::kEven && book.columns == 4;
  return pairs ? Variants::kOneOfPair : Variants::kOne;
}

struct VectorTile {
  static constexpr int kMaxColumns = 8;
  Lanes x[kMaxColumns], w[kMaxColumns];  // x: without its sign where that is stored apart
  Lanes is_odd;  // 1 where the eight columns of the signs have an odd number of minuses, or 0
  Lanes wrong;   // 2 where one column gets the wrong sign, or 0; as all below of one variant
  bool any_wrong;
  HalfSums low, high;
};

// x[k], w[k]: column k of the sixteen vectors. Returns how many are negative where signs are stored
// apart.
inline Lanes set_columns(VectorTile& t, const CodeBook& book, const float* x, const float* w) {
  Lanes minuses = splat(0);
  for (int k = 0; k < book.columns; ++k) {
    t.x[k] = load(x + k * kLanes);
    t.w[k] = load(w + k * kLanes);
    if (book.signs == Signs::kOfLevels) continue;
    minuses = minuses + select(t.x[k] < splat(0), splat(1), splat(0));
    t.x[k] = abs(t.x[k]);
  }
  return minuses;
}

// 1 where a whole number is odd, else 0.
inline Lanes odd(const Lanes& number) {
  const Lanes half = number * splat(0.5f);
  return select(abs(half - nearest(half)) < splat(0.25f), splat(0), splat(1));
}

// Of vectors that are neighbours in a block.
inline void set_neighbours(VectorTile& t, const CodeBook& book, const float* x, const float* w) {
  const Lanes minuses = set_columns(t, book, x, w);
  t.is_odd = odd(book.columns == 4 ? block_sum(minuses, 2) : minuses);
}

// `shift` is added to every level.
inline void fill_half(const VectorTile& t, const CodeBook& book, int first, float shift,
                      HalfSums& out) {
  const auto levels = static_cast<int>(book.levels.size());
  int count = 1;
  out.a[0] = out.b[0] = splat(0);
  out.least[0] = splat(1e30f);
  for (int k = first; k < first + book.columns / 2; ++k) {
    const Lanes x = t.x[k], w = t.w[k];
    for (int i = levels - 1; i >= 0; --i) {  // the sums of before are where level 0 goes
      const Lanes level =
          splat(static_cast<float>(book.levels[static_cast<std::size_t>(i)]) + shift);
      const Lanes we = w * level, a = x * we, b = we * level;
      for (int n = 0; n < count; ++n) {
        const int at = i * count + n;
        out.a[at] = out.a[n] + a;
        out.b[at] = out.b[n] + b;
        if (book.signs == Signs::kEven) out.least[at] = min(out.least[n], a);
      }
    }
    count *= levels;
  }
}

inline void prepare(VectorTile& t, const CodeBook& book, int variant) {
  const float shift = book.shifted == 0 ? 0.0f : variant == 0 ? 1.0f : -1.0f;
  if (variant == 0 || book.shifted != 0) {
    fill_half(t, book, 0, shift, t.low);
    fill_half(t, book, book.columns / 2, shift, t.high);
  }
  t.wrong = splat(0);
  t.any_wrong = book.signs == Signs::kEven && (book.columns == 8 || variant != 0);
  if (!t.any_wrong) return;
  t.wrong = book.columns == 8 ? t.is_odd + t.is_odd : splat(variant == 0 ? 0.0f : 2.0f);
}

// The best entries under each of several steps, as the numbers of their halves.
template <int kSteps>
struct Nearest {
  Lanes low[kSteps], high[kSteps];
  Lanes error[kSteps];  // half of s b - 2 a
};

// The number in the last bits of v, where it costs 2^-16 of v at most.
inline Lanes with_number(const Lanes& v, int number) {
  IntLanes bits = as_bits(v);
  PJ_EACH_PIECE bits.p[i] = (bits.p[i] & ~127) | number;
  return from_bits(bits);
}
inline Lanes number_in(const Lanes& v) {
  IntLanes bits = as_bits(v);
  PJ_EACH_PIECE bits.p[i] &= 127;
  return to_floats(bits);
}

// What is half of s b - 2 a is that of the one half and of the other, so that under a step every
// second half asks for the least among the first halves that go with it: one comparison an entry,
// and whose the least is stands in its last bits. A wrong sign is in either half, in the column
// where it costs least. Of entries that are nearly as good any one is taken.
template <bool kAnyWrong, int kSteps>
inline void look_at_all_of(const VectorTile& t, const CodeBook& book, const Lanes* steps,
                           Nearest<kSteps>& out) {
  const BookHalves& halves = *book.halves;
  Lanes half_step[kSteps], low[HalfSums::kMost][kSteps];
  Lanes low_wrong[kAnyWrong ? HalfSums::kMost : 1][kSteps];
  for (int i = 0; i < kSteps; ++i) half_step[i] = steps[i] * splat(0.5f);
  for (int l = 0; l < halves.count; ++l) {
    for (int i = 0; i < kSteps; ++i) {
      const Lanes error = half_step[i] * t.low.b[l] - t.low.a[l];
      low[l][i] = with_number(error, l);
      if constexpr (kAnyWrong) low_wrong[l][i] = with_number(error + t.wrong * t.low.least[l], l);
    }
  }
  const Lanes far = splat(1e30f), zero = splat(0);
  Lanes best[kSteps], best_low[kSteps], best_high[kSteps];
  for (int i = 0; i < kSteps; ++i) {
    best[i] = far;
    best_low[i] = best_high[i] = zero;
  }
  for (int place = 0; place < halves.count; ++place) {
    const BookHalves::Second second = halves.second[place];
    if (second.entries() == 0) break;
    Lanes right[kSteps], wrong[kSteps];
#pragma GCC unroll 4
    for (int i = 0; i < kSteps; ++i) right[i] = wrong[i] = far;
    for (int e = second.begin; e < second.end; ++e) {
      const int l = halves.first[e];
#pragma GCC unroll 4
      for (int i = 0; i < kSteps; ++i) {
        right[i] = min(low[l][i], right[i]);
        if constexpr (kAnyWrong) wrong[i] = min(low_wrong[l][i], wrong[i]);
      }
    }
    const int h = second.number;
    const Lanes number = splat(static_cast<float>(h));
#pragma GCC unroll 4
    for (int i = 0; i < kSteps; ++i) {
      const Lanes high = half_step[i] * t.high.b[h] - t.high.a[h];
      Lanes error = high + right[i], its_low = right[i];
      if constexpr (kAnyWrong) {
        const Lanes in_low = high + wrong[i];
        error = error + t.wrong * t.high.least[h];
        its_low = select(in_low < error, wrong[i], its_low);
        error = min(in_low, error);
      }
      const IntLanes better = error < best[i];
      best[i] = min(error, best[i]);
      best_low[i] = select(better, its_low, best_low[i]);
      best_high[i] = select(better, number, best_high[i]);
    }
  }
  for (int i = 0; i < kSteps; ++i) {
    out.low[i] = number_in(best_low[i]);
    out.high[i] = best_high[i];
    out.error[i] = best[i];
  }
}

// The best entry under each step for the variant that was prepared.
template <int kSteps>
inline void look_at_all(const VectorTile& t, const CodeBook& book, const Lanes* steps,
                        Nearest<kSteps>& best) {
  if (t.any_wrong) return look_at_all_of<true>(t, book, steps, best);
  look_at_all_of<false>(t, book, steps, best);
}

inline float lane_of(const Lanes& v, int lane) {
  float value;
  __builtin_memcpy(&value, reinterpret_cast<const char*>(&v) + lane * 4, 4);
  return value;
}

inline std::size_t number_of(const Lanes& numbers, int lane) {
  return static_cast<std::size_t>(static_cast<std::int32_t>(lane_of(numbers, lane)));
}

// a and b of an entry in each lane, of the variant that was prepared.
inline void sums_of(const VectorTile& t, const Lanes& low, const Lanes& high, Lanes& a, Lanes& b) {
  alignas(64) float out_a[kLanes], out_b[kLanes];
  for (int lane = 0; lane < kLanes; ++lane) {
    const std::size_t l = number_of(low, lane), h = number_of(high, lane);
    out_a[lane] = lane_of(t.low.a[l], lane) + lane_of(t.high.a[h], lane);
    out_b[lane] = lane_of(t.low.b[l], lane) + lane_of(t.high.b[h], lane);
    if (!t.any_wrong) continue;
    const float of_low = lane_of(t.low.least[l], lane), of_high = lane_of(t.high.least[h], lane);
    out_a[lane] -= lane_of(t.wrong, lane) * (of_low < of_high ? of_low : of_high);
  }
  a = load(out_a);
  b = load(out_b);
}

// Where the second variant is taken, given the errors with both.
inline IntLanes second_variant(const Grid& grid, const Lanes& is_odd, const Lanes& first,
                               const Lanes& second) {
  switch (variants_of(grid)) {
    case Variants::kAnyVector:
      return second < first;
    case Variants::kWholeGroup: {
      const int vectors = grid.group / grid.book.columns;
      return block_sum(second, vectors) < block_sum(first, vectors);
    }
    case Variants::kOneOfPair: {
      // What the wrong sign costs, against what it costs the neighbour; the left one where equal.
      alignas(64) float cost[kLanes], taken[kLanes];
      store(cost, second - first);
      for (int i = 0; i < kLanes; i += 2) {
        const bool right = cost[i + 1] < cost[i];
        taken[i] = right ? 0.0f : 1.0f;
        taken[i + 1] = right ? 1.0f : 0.0f;
      }
      return splat(0.5f) < load(taken) * is_odd;
    }
    case Variants::kOne:
      break;
  }
  return splat(1) < splat(0);
}
