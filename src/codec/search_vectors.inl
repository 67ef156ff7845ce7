// The nearest entries of a codebook for sixteen vectors at once, a vector a lane: every entry is
// looked at, so the nearest one is found whatever the importance of the columns. The weighted error
// of entry e under step s is sum w x^2 + s (s b - 2 a), where a = sum w x e and b = sum w e^2:
// what the entry's first half of columns gives and what the other half does. Included by
// codec/rows.inl.
#pragma once

#include "codec/book_halves.h"
#include "codec/fit_block.inl"

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

inline int variant_count(const Grid& grid) { return variants_of(grid) == Variants::kOne ? 1 : 2; }

struct VectorTile {
  static constexpr int kMaxColumns = 8;
  Lanes x[kMaxColumns], w[kMaxColumns];  // x: without its sign where that is stored apart
  Lanes is_odd;  // 1 where the eight columns of the signs have an odd number of minuses, or 0
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

// What is added to every level.
inline float shift_of(const CodeBook& book, int variant) {
  return book.shifted == 0 ? 0.0f : variant == 0 ? 1.0f : -1.0f;
}

inline bool any_wrong(const CodeBook& book, int variant) {
  return book.signs == Signs::kEven && (book.columns == 8 || variant != 0);
}

// 2 where one column gets the wrong sign, else 0.
inline Lanes wrong_of(const VectorTile& t, const CodeBook& book, int variant) {
  if (!any_wrong(book, variant)) return splat(0);
  return book.columns == 8 ? t.is_odd + t.is_odd : splat(2);
}

// Vectors to find the nearest entries of, in some variant and under steps that are not negative.
struct VectorJob {
  const VectorTile* tile;
  int variant;
  Lanes step;
};

// The entries that are nearest, as the numbers of their halves.
struct NearestEntry {
  Lanes low, high;
  Lanes error;  // half of s b - 2 a
};

// What quarters of entries come to, by the numbers of their levels as digits. Of two quarters a
// half is the sum, and its number that of the second quarter times `count` and the first one's.
template <int kJobs>
struct Quarter {
  static constexpr int kMost = 9;
  Lanes error[kMost][kJobs];  // half of s b - 2 a
  Lanes least[kMost][kJobs];  // of w x e by the wrong sign, where signs are even
};

template <bool kAnyWrong, int kJobs>
inline void fill_quarter(const VectorJob (&jobs)[kJobs], const CodeBook& book, int quarter,
                         Quarter<kJobs>& out) {
  const auto levels = static_cast<int>(book.levels.size());
  const int columns = book.columns / 4;
  for (int j = 0; j < kJobs; ++j) {
    const VectorTile& t = *jobs[j].tile;
    const float shift = shift_of(book, jobs[j].variant);
    const Lanes half_step = jobs[j].step * splat(0.5f);
    const Lanes wrong = wrong_of(t, book, jobs[j].variant);
    const int first = quarter * columns;
    for (int i = 0; i < levels; ++i) {
      const Lanes level =
          splat(static_cast<float>(book.levels[static_cast<std::size_t>(i)]) + shift);
      const Lanes we = t.w[first] * level;
      out.error[i][j] = we * (half_step * level - t.x[first]);
      if constexpr (kAnyWrong) out.least[i][j] = wrong * (we * t.x[first]);
    }
    if (columns == 1) continue;
    const Lanes x = t.x[first + 1], w = t.w[first + 1];
    for (int i = levels - 1; i >= 0; --i) {  // what was before is where level 0 goes
      const Lanes level =
          splat(static_cast<float>(book.levels[static_cast<std::size_t>(i)]) + shift);
      const Lanes we = w * level, error = we * (half_step * level - x);
      for (int n = 0; n < levels; ++n) {
        out.error[i * levels + n][j] = out.error[n][j] + error;
        if constexpr (kAnyWrong) {
          out.least[i * levels + n][j] = min(out.least[n][j], wrong * (we * x));
        }
      }
    }
  }
}

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
template <bool kAnyWrong, int kJobs>
inline void find_nearest_of(const VectorJob (&jobs)[kJobs], const CodeBook& book,
                            NearestEntry (&out)[kJobs]) {
  const BookHalves& halves = *book.halves;
  const int count = halves.quarters;
  Quarter<kJobs> quarters[4];
  for (int i = 0; i < 4; ++i) fill_quarter<kAnyWrong>(jobs, book, i, quarters[i]);
  Lanes low[BookHalves::kMost][kJobs], low_wrong[kAnyWrong ? BookHalves::kMost : 1][kJobs];
  for (int second = 0; second < count; ++second) {
    for (int first = 0; first < count; ++first) {
      const int l = second * count + first;
#pragma GCC unroll 4
      for (int j = 0; j < kJobs; ++j) {
        const Lanes error = quarters[0].error[first][j] + quarters[1].error[second][j];
        low[l][j] = with_number(error, l);
        if constexpr (kAnyWrong) {
          const Lanes least = min(quarters[0].least[first][j], quarters[1].least[second][j]);
          low_wrong[l][j] = with_number(error + least, l);
        }
      }
    }
  }
  const Lanes far = splat(1e30f), zero = splat(0);
  Lanes best[kJobs], best_low[kJobs], best_high[kJobs];
  for (int j = 0; j < kJobs; ++j) {
    best[j] = far;
    best_low[j] = best_high[j] = zero;
  }
  for (int place = 0; place < halves.count; ++place) {
    const BookHalves::Second second = halves.second[place];
    if (second.entries() == 0) break;
    Lanes right[kJobs], wrong[kJobs];
#pragma GCC unroll 4
    for (int j = 0; j < kJobs; ++j) right[j] = wrong[j] = far;
    for (int e = second.begin; e < second.end; e += 2) {  // two, for shorter chains of minima
      const int l = halves.first[e], next = halves.first[e + 1];
#pragma GCC unroll 4
      for (int j = 0; j < kJobs; ++j) {
        right[j] = min(min(low[l][j], low[next][j]), right[j]);
        if constexpr (kAnyWrong) {
          wrong[j] = min(min(low_wrong[l][j], low_wrong[next][j]), wrong[j]);
        }
      }
    }
    const int first_quarter = second.number % count, second_quarter = second.number / count;
    const Lanes number = splat(static_cast<float>(second.number));
#pragma GCC unroll 4
    for (int j = 0; j < kJobs; ++j) {
      const Lanes high = quarters[2].error[first_quarter][j] + quarters[3].error[second_quarter][j];
      Lanes error = high + right[j], its_low = right[j];
      if constexpr (kAnyWrong) {
        const Lanes in_low = high + wrong[j];
        error =
            error + min(quarters[2].least[first_quarter][j], quarters[3].least[second_quarter][j]);
        its_low = select(in_low < error, wrong[j], its_low);
        error = min(in_low, error);
      }
      const IntLanes better = error < best[j];
      best[j] = min(error, best[j]);
      best_low[j] = select(better, its_low, best_low[j]);
      best_high[j] = select(better, number, best_high[j]);
    }
  }
  for (int j = 0; j < kJobs; ++j) out[j] = {number_in(best_low[j]), best_high[j], best[j]};
}

// All jobs are of variants that have a wrong sign somewhere, or none is.
template <int kJobs>
inline void find_nearest(const VectorJob (&jobs)[kJobs], const CodeBook& book,
                         NearestEntry (&out)[kJobs]) {
  if (any_wrong(book, jobs[0].variant)) return find_nearest_of<true>(jobs, book, out);
  find_nearest_of<false>(jobs, book, out);
}

inline float lane_of(const Lanes& v, int lane) {
  float value;
  __builtin_memcpy(&value, reinterpret_cast<const char*>(&v) + lane * 4, 4);
  return value;
}

// The levels of half the columns of entries, by the half's number.
inline void levels_of_half(const CodeBook& book, Lanes number, Lanes* out) {
  const auto levels = static_cast<int>(book.levels.size());
  const int columns = book.columns / 2;
  int place = 1;
  for (int k = 1; k < columns; ++k) place *= levels;
  for (int k = columns - 1; k >= 0; --k, place /= levels) {
    const float inv = 1 / static_cast<float>(place);
    const Lanes digit = nearest(number * splat(inv) - splat(0.5f - 0.5f * inv));
    number = number - digit * splat(static_cast<float>(place));
    Lanes level = splat(static_cast<float>(book.levels.front()));
    for (int i = 1; i < levels; ++i) {
      level = select(splat(static_cast<float>(i) - 0.5f) < digit,
                     splat(static_cast<float>(book.levels[static_cast<std::size_t>(i)])), level);
    }
    out[k] = level;
  }
}

inline void levels_of(const CodeBook& book, const Lanes& low, const Lanes& high, Lanes* out) {
  levels_of_half(book, low, out);
  levels_of_half(book, high, out + book.columns / 2);
}

// a and b of the entries that were found.
inline void sums_of(const VectorJob& job, const CodeBook& book, const NearestEntry& entry, Lanes& a,
                    Lanes& b) {
  const VectorTile& t = *job.tile;
  const Lanes shift = splat(shift_of(book, job.variant));
  Lanes levels[VectorTile::kMaxColumns], least = splat(1e30f);
  levels_of(book, entry.low, entry.high, levels);
  a = b = splat(0);
  for (int k = 0; k < book.columns; ++k) {
    const Lanes level = levels[k] + shift, we = t.w[k] * level, xwe = t.x[k] * we;
    a = a + xwe;
    b = b + level * we;
    least = min(xwe, least);
  }
  if (any_wrong(book, job.variant)) a = a - wrong_of(t, book, job.variant) * least;
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
      alignas(64) static constexpr float kRight[kLanes] = {0, 1, 0, 1, 0, 1, 0, 1,
                                                           0, 1, 0, 1, 0, 1, 0, 1};
      const Lanes cost = second - first, is_right = load(kRight);
      const IntLanes right = lane_of_each<2, 1>(cost) < lane_of_each<2, 0>(cost);
      return splat(0.5f) < select(right, is_right, splat(1) - is_right) * is_odd;
    }
    case Variants::kOne:
      break;
  }
  return splat(1) < splat(0);
}
