// The nearest entries of a codebook for sixteen vectors at once, a vector a lane: every entry is
// looked at, so the nearest one is found whatever the importance of the columns. The weighted error
// of entry e under step s is sum w x^2 + s (s b - 2 a), where a = sum w x e and b = sum w e^2 do
// not depend on the step: they are added up from two tables, of what the entry's first half of
// columns can be and of the other half, and serve several steps at a time. Included by
// codec/rows.inl.
#pragma once

#include "codec/fit_block.inl"

// Sums over half the columns of a vector, by the numbers of their levels as digits, the first
// column's lowest: 3^4 or 8^2 of them. Tables of all bits of half an entry would have gaps, which
// the cache has to pay for.
struct HalfSums {
  static constexpr int kMost = 81;
  Lanes a[kMost], b[kMost];
  Lanes least[kMost];  // of w x e, where signs are even
};

// From the bits of half an entry to the number in HalfSums: of levels of two bits, of which there
// are three, and of three bits.
constexpr std::array<std::array<std::uint8_t, 256>, 2> kHalfNumbers = [] {
  std::array<std::array<std::uint8_t, 256>, 2> out{};
  for (unsigned bits = 0; bits < 256; ++bits) {
    unsigned number = 0;
    for (int k = 3; k >= 0; --k) number = 3 * number + (bits >> (2 * k) & 3u);
    out[0][bits] = static_cast<std::uint8_t>(number);
    out[1][bits] = static_cast<std::uint8_t>(bits);
  }
  return out;
}();

// The two halves of an entry.
struct Halves {
  const std::uint8_t* number;
  unsigned mask;
  int bits;

  explicit Halves(const CodeBook& book)
      : number(kHalfNumbers[book.bits == 2 ? 0 : 1].data()),
        mask((1u << (book.columns / 2 * book.bits)) - 1),
        bits(book.columns / 2 * book.bits) {}
  std::size_t low(std::uint16_t entry) const { return number[entry & mask]; }
  std::size_t high(std::uint16_t entry) const { return number[entry >> bits]; }
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
  if (book.signs != Signs::kEven) return;
  t.wrong = book.columns == 8 ? t.is_odd + t.is_odd : splat(variant == 0 ? 0.0f : 2.0f);
}

// The best entries so far under each of several steps.
template <int kSteps>
struct Nearest {
  Lanes half_step[kSteps];
  Lanes error[kSteps];  // half of s b - 2 a
  Lanes entry[kSteps];
};

template <bool kEven, int kSteps>
inline void look_at_all_of(const VectorTile& t, const CodeBook& book, Nearest<kSteps>& out) {
  const Halves halves(book);
  const HalfSums &low = t.low, &high = t.high;
  const Lanes wrong = t.wrong;
  Lanes entry = splat(0);
  Nearest<kSteps> best = out;  // a copy, which can stay in registers
  for (const std::uint16_t bits : book.entries) {
    const std::size_t l = halves.low(bits), h = halves.high(bits);
    Lanes a = low.a[l] + high.a[h];
    const Lanes b = low.b[l] + high.b[h];
    // The wrong sign is that of the column where it costs least.
    if constexpr (kEven) a = a - wrong * min(low.least[l], high.least[h]);
#pragma GCC unroll 8
    for (int i = 0; i < kSteps; ++i) {
      const Lanes error = best.half_step[i] * b - a;
      const IntLanes better = error < best.error[i];
      best.error[i] = select(better, error, best.error[i]);
      best.entry[i] = select(better, entry, best.entry[i]);
    }
    entry = entry + splat(1);
  }
  out = best;
}

// The best entry under each step for the variant that was prepared.
template <int kSteps>
inline void look_at_all(const VectorTile& t, const CodeBook& book, const Lanes* steps,
                        Nearest<kSteps>& best) {
  for (int i = 0; i < kSteps; ++i) {
    best.half_step[i] = steps[i] * splat(0.5f);
    best.error[i] = splat(1e30f);
    best.entry[i] = splat(0);
  }
  if (book.signs == Signs::kEven) return look_at_all_of<true>(t, book, best);
  look_at_all_of<false>(t, book, best);
}

inline float lane_of(const Lanes& v, int lane) {
  float value;
  __builtin_memcpy(&value, reinterpret_cast<const char*>(&v) + lane * 4, 4);
  return value;
}

// a and b of an entry in each lane, of the variant that was prepared.
inline void sums_of(const VectorTile& t, const CodeBook& book, const Lanes& entry, Lanes& a,
                    Lanes& b) {
  alignas(64) float out_a[kLanes], out_b[kLanes];
  const Halves halves(book);
  for (int lane = 0; lane < kLanes; ++lane) {
    const auto at = static_cast<std::int32_t>(lane_of(entry, lane));
    const std::uint16_t bits = book.entries[static_cast<std::size_t>(at)];
    const std::size_t l = halves.low(bits), h = halves.high(bits);
    out_a[lane] = lane_of(t.low.a[l], lane) + lane_of(t.high.a[h], lane);
    out_b[lane] = lane_of(t.low.b[l], lane) + lane_of(t.high.b[h], lane);
    if (book.signs != Signs::kEven) continue;
    const float low = lane_of(t.low.least[l], lane), high = lane_of(t.high.least[h], lane);
    out_a[lane] -= lane_of(t.wrong, lane) * (low < high ? low : high);
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
