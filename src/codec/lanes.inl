// Sixteen independent lanes of float. A fit runs one group of weights a lane, so every sum is a
// chain in the order of the columns whatever the register width, and the bytes are equal on every
// machine. Nothing here reduces across lanes, fuses or reorders. Included by codec/rows.inl.
#pragma once

#ifndef PJ_VECTOR_BYTES
#define PJ_VECTOR_BYTES 16
#endif

constexpr int kLanes = 16;
constexpr int kPieces = kLanes * 4 / PJ_VECTOR_BYTES;

typedef float FloatVector __attribute__((vector_size(PJ_VECTOR_BYTES)));
typedef float UnalignedVector __attribute__((vector_size(PJ_VECTOR_BYTES), aligned(4), may_alias));
typedef std::int32_t IntVector __attribute__((vector_size(PJ_VECTOR_BYTES)));
typedef std::uint32_t UnsignedVector __attribute__((vector_size(PJ_VECTOR_BYTES)));

#define PJ_EACH_PIECE for (int i = 0; i < kPieces; ++i)

struct Lanes {
  FloatVector p[kPieces];
};
struct IntLanes {  // as a mask: all bits set where true
  IntVector p[kPieces];
};

inline Lanes splat(float value) {
  Lanes r;
  PJ_EACH_PIECE r.p[i] = value - FloatVector{};
  return r;
}

inline Lanes load(const float* from) {
  Lanes r;
  PJ_EACH_PIECE r.p[i] = *reinterpret_cast<const UnalignedVector*>(from + i * kLanes / kPieces);
  return r;
}

inline void store(float* to, const Lanes& v) {
  PJ_EACH_PIECE* reinterpret_cast<UnalignedVector*>(to + i * kLanes / kPieces) = v.p[i];
}

inline Lanes operator+(const Lanes& a, const Lanes& b) {
  Lanes r;
  PJ_EACH_PIECE r.p[i] = a.p[i] + b.p[i];
  return r;
}

inline Lanes operator-(const Lanes& a, const Lanes& b) {
  Lanes r;
  PJ_EACH_PIECE r.p[i] = a.p[i] - b.p[i];
  return r;
}

inline Lanes operator*(const Lanes& a, const Lanes& b) {
  Lanes r;
  PJ_EACH_PIECE r.p[i] = a.p[i] * b.p[i];
  return r;
}

inline Lanes operator/(const Lanes& a, const Lanes& b) {
  Lanes r;
  PJ_EACH_PIECE r.p[i] = a.p[i] / b.p[i];
  return r;
}

inline IntLanes operator<(const Lanes& a, const Lanes& b) {
  IntLanes r;
  PJ_EACH_PIECE r.p[i] = a.p[i] < b.p[i];
  return r;
}

inline Lanes select(const IntLanes& mask, const Lanes& yes, const Lanes& no) {
  Lanes r;
  PJ_EACH_PIECE r.p[i] = mask.p[i] ? yes.p[i] : no.p[i];
  return r;
}

inline bool any(const IntLanes& mask) {
  IntVector all{};
  PJ_EACH_PIECE all |= mask.p[i];
  std::int32_t found = 0;
  for (std::size_t k = 0; k < sizeof(IntVector) / 4; ++k) found |= all[k];
  return found != 0;
}

inline Lanes min(const Lanes& a, const Lanes& b) {
  Lanes r;
  PJ_EACH_PIECE r.p[i] = a.p[i] < b.p[i] ? a.p[i] : b.p[i];
  return r;
}

inline Lanes max(const Lanes& a, const Lanes& b) {
  Lanes r;
  PJ_EACH_PIECE r.p[i] = b.p[i] < a.p[i] ? a.p[i] : b.p[i];
  return r;
}

inline Lanes abs(const Lanes& a) {
  Lanes r;
  PJ_EACH_PIECE r.p[i] = (FloatVector)((IntVector)a.p[i] & 0x7FFFFFFF);
  return r;
}

// To the nearest integer, ties to even; for magnitudes below 2^22.
inline Lanes nearest(const Lanes& a) {
  const Lanes magic = splat(12582912.0f);
  return (a + magic) - magic;
}

// Lane i holds what lane i - i % kGroups + kAt of v does: the one at kAt of its kGroups neighbours.
template <int kGroups, int kAt, std::size_t... kLane>
inline Lanes lane_of_each(const Lanes& v, std::index_sequence<kLane...>) {
  constexpr int kPer = kLanes / kPieces;
  Lanes r;
  PJ_EACH_PIECE {
    const FloatVector from =
        v.p[kGroups <= kPer ? i : (i * kPer - i * kPer % kGroups + kAt) / kPer];
    if constexpr (kGroups <= kPer) {
      r.p[i] = __builtin_shufflevector(
          from, from, (static_cast<int>(kLane) - static_cast<int>(kLane) % kGroups + kAt)...);
    } else {
      r.p[i] = __builtin_shufflevector(from, from, (static_cast<int>(kLane * 0) + kAt % kPer)...);
    }
  }
  return r;
}
template <int kGroups, int kAt>
inline Lanes lane_of_each(const Lanes& v) {
  return lane_of_each<kGroups, kAt>(v, std::make_index_sequence<kLanes / kPieces>{});
}

// Apply a function of one block's lanes, in order, to the lanes of each block of the tile.
template <std::size_t... kAt>
inline Lanes block_sum(const Lanes& v, std::index_sequence<kAt...>) {
  Lanes sum = splat(0);
  ((sum = sum + lane_of_each<sizeof...(kAt), kAt>(v)), ...);
  return sum;
}
template <std::size_t... kAt>
inline Lanes block_max(const Lanes& v, std::index_sequence<kAt...>) {
  Lanes most = lane_of_each<sizeof...(kAt), 0>(v);
  ((most = max(most, lane_of_each<sizeof...(kAt), kAt>(v))), ...);
  return most;
}

// Calls `action` with the numbers of a block's lanes, a power of two of them.
template <class Action>
inline Lanes of_blocks(int groups, const Action& action) {
  if (groups == 2) return action(std::make_index_sequence<2>{});
  if (groups == 4) return action(std::make_index_sequence<4>{});
  if (groups == 8) return action(std::make_index_sequence<8>{});
  if (groups == 16) return action(std::make_index_sequence<16>{});
  return action(std::make_index_sequence<1>{});
}
inline Lanes block_sum(const Lanes& v, int groups) {
  return of_blocks(groups, [&](auto lanes) { return block_sum(v, lanes); });
}
inline Lanes block_max(const Lanes& v, int groups) {
  return of_blocks(groups, [&](auto lanes) { return block_max(v, lanes); });
}

inline IntLanes as_bits(const Lanes& a) {
  IntLanes r;
  PJ_EACH_PIECE r.p[i] = (IntVector)a.p[i];
  return r;
}

inline Lanes from_bits(const IntLanes& a) {
  Lanes r;
  PJ_EACH_PIECE r.p[i] = (FloatVector)a.p[i];
  return r;
}

inline Lanes to_floats(const IntLanes& a) {
  Lanes r;
  PJ_EACH_PIECE r.p[i] = __builtin_convertvector(a.p[i], FloatVector);
  return r;
}

// Codes: floats rounded to whole numbers and clamped to low..high. A float plus 1.5 * 2^23 has the
// rounded number in its low bits, and its bits are in order as integers, which any instruction set
// can clamp in two instructions; so a ratio of any size (infinity too) ends at its side's limit.
struct CodeRange {
  std::int32_t low, high;
};

inline CodeRange code_range(float low, float high) {
  return {std::bit_cast<std::int32_t>(12582912.0f + low),
          std::bit_cast<std::int32_t>(12582912.0f + high)};
}

inline Lanes nearest_codes(const Lanes& ratio, const CodeRange& range) {
  const Lanes magic = splat(12582912.0f);
  IntLanes bits = as_bits(ratio + magic);
  const IntVector low = range.low - IntVector{}, high = range.high - IntVector{};
  PJ_EACH_PIECE {
    bits.p[i] = bits.p[i] < low ? low : bits.p[i];
    bits.p[i] = bits.p[i] > high ? high : bits.p[i];
  }
  return from_bits(bits) - magic;
}

// 1 / a, and 0 where a is 0 or so small that its inverse is not finite.
inline Lanes inverse(const Lanes& a) {
  return select(splat(2.4e-38f) < abs(a), splat(1.0f) / a, splat(0.0f));
}

// The nearest value that F16 can store, saturating at the largest finite one.
inline Lanes to_f16(const Lanes& a) {
  const Lanes limited = min(max(a, splat(-65504.0f)), splat(65504.0f));
  const IntLanes bits = as_bits(limited);
  IntLanes rounded, sign;
  PJ_EACH_PIECE {
    rounded.p[i] = (bits.p[i] + 0xFFF + ((bits.p[i] >> 13) & 1)) & ~0x1FFF;
    sign.p[i] = bits.p[i] & static_cast<std::int32_t>(0x80000000u);
  }
  // Below 2^-14 the values are the multiples of 2^-24: adding 0.5 rounds to one.
  const Lanes magnitude = abs(limited);
  IntLanes small = as_bits((magnitude + splat(0.5f)) - splat(0.5f));
  PJ_EACH_PIECE small.p[i] |= sign.p[i];
  return select(magnitude < splat(0x1p-14f), from_bits(small), from_bits(rounded));
}

// The nearest value that BF16 can store, saturating likewise.
inline Lanes to_bf16(const Lanes& a) {
  const Lanes limit = splat(0x1.FEp127f);
  IntLanes bits = as_bits(min(max(a, splat(-0x1.FEp127f)), limit));
  PJ_EACH_PIECE bits.p[i] = (bits.p[i] + 0x7FFF + ((bits.p[i] >> 16) & 1)) & ~0xFFFF;
  return from_bits(bits);
}

// The nearest value that E4M3 can store, saturating likewise.
inline Lanes to_e4m3(const Lanes& a) {
  const Lanes limited = min(max(a, splat(-448.0f)), splat(448.0f));
  IntLanes rounded = as_bits(limited);
  PJ_EACH_PIECE rounded.p[i] = (rounded.p[i] + 0x7FFFF + ((rounded.p[i] >> 20) & 1)) & ~0xFFFFF;
  // Below 2^-6 the values are the multiples of 2^-9.
  const Lanes magic = splat(0x1.8p14f);
  const Lanes small = (limited + magic) - magic;
  return select(abs(limited) < splat(0x1p-6f), small, from_bits(rounded));
}

__attribute__((always_inline)) inline Lanes to_stored(DType type, const Lanes& a) {
  if (type == DType::kF16) return to_f16(a);
  if (type == DType::kBF16) return to_bf16(a);
  if (type == DType::kF8E4M3) return to_e4m3(a);
  const Lanes limit = splat(0x1.FFFFFEp127f);
  return min(max(a, splat(0.0f) - limit), limit);
}

// The smallest positive value of a type.
inline float smallest_stored(DType type) {
  switch (type) {
    case DType::kF16:
      return 0x1p-24f;
    case DType::kBF16:
      return 0x1p-133f;
    case DType::kF8E4M3:
      return 0x1p-9f;
    default:
      return 0x1p-149f;
  }
}

// The storable value `away` places further from zero than a storable one, or nearer to it.
inline Lanes stored_neighbour(DType type, const Lanes& a, int away) {
  const int ulp = type == DType::kF8E4M3 ? 0x100000
                  : type == DType::kBF16 ? 0x10000
                  : type == DType::kF16  ? 0x2000
                                         : 1;
  IntLanes bits = as_bits(abs(a));
  PJ_EACH_PIECE bits.p[i] += ulp * away;
  // Subnormals of F16 and E4M3 are normal floats here, further apart than their bits say.
  const float distance = smallest_stored(type) * static_cast<float>(away);
  const Lanes next = from_bits(bits), least = max(abs(a) + splat(distance), splat(0));
  const Lanes moved = to_stored(type, away > 0 ? max(next, least) : min(next, least));
  return select(a < splat(0), splat(0) - moved, moved);
}

// Two whole numbers of 16 bits a lane. They wrap, as phases do.
struct PairLanes {
  UnsignedVector p[kPieces];
};
typedef std::uint16_t UnsignedShorts __attribute__((vector_size(PJ_VECTOR_BYTES)));
typedef std::int16_t SignedShorts __attribute__((vector_size(PJ_VECTOR_BYTES)));

// The low 16 bits of the whole numbers nearest to a and b; for magnitudes below 2^22.
inline PairLanes to_pairs(const Lanes& a, const Lanes& b) {
  const Lanes magic = splat(12582912.0f);
  const IntLanes low = as_bits(a + magic), high = as_bits(b + magic);
  PairLanes r;
  PJ_EACH_PIECE r.p[i] = ((UnsignedVector)low.p[i] & 0xFFFFu) | ((UnsignedVector)high.p[i] << 16);
  return r;
}

inline PairLanes load_pairs(const std::uint32_t* from) {
  PairLanes r;
  __builtin_memcpy(&r, from, sizeof(r));
  return r;
}

inline void store_pairs(std::uint32_t* to, const PairLanes& v) {
  __builtin_memcpy(to, &v, sizeof(v));
}

inline PairLanes operator*(const PairLanes& a, const PairLanes& b) {
  PairLanes r;
  PJ_EACH_PIECE r.p[i] = (UnsignedVector)((UnsignedShorts)a.p[i] * (UnsignedShorts)b.p[i]);
  return r;
}

inline PairLanes less(const PairLanes& a, std::uint16_t b) {
  PairLanes r;
  PJ_EACH_PIECE r.p[i] = (UnsignedVector)((UnsignedShorts)a.p[i] - b);
  return r;
}

// How far from zero either way: 0 to 32767, as a for -a - 1.
inline PairLanes distance(const PairLanes& a) {
  PairLanes r;
  PJ_EACH_PIECE r.p[i] = (UnsignedVector)((SignedShorts)a.p[i] ^ ((SignedShorts)a.p[i] >> 15));
  return r;
}

// Adds both products of a lane's signed pairs.
#ifndef PJ_MULTIPLY_PAIRS
inline IntVector multiply_pairs(const UnsignedVector& a, const UnsignedVector& b) {
  const auto x = (IntVector)a, y = (IntVector)b;
  return ((IntVector)(a << 16) >> 16) * ((IntVector)(b << 16) >> 16) + (x >> 16) * (y >> 16);
}
#define PJ_MULTIPLY_PAIRS multiply_pairs
#endif

inline void add_products(IntLanes& sum, const PairLanes& a, const PairLanes& b) {
  PJ_EACH_PIECE sum.p[i] += (IntVector)PJ_MULTIPLY_PAIRS(a.p[i], b.p[i]);
}

// 16 runs of `count` floats (a multiple of 4), one a lane and `stride` apart: to[k] holds element k
// of every run.
inline void transpose_in(const float* from, std::size_t stride, int count, float* to) {
  typedef float Four __attribute__((vector_size(16)));
  for (int lane = 0; lane < kLanes; lane += 4) {
    const float* row = from + static_cast<std::size_t>(lane) * stride;
    for (int k = 0; k < count; k += 4) {
      Four a, b, c, d;
      __builtin_memcpy(&a, row + k, 16);
      __builtin_memcpy(&b, row + stride + k, 16);
      __builtin_memcpy(&c, row + 2 * stride + k, 16);
      __builtin_memcpy(&d, row + 3 * stride + k, 16);
      const Four ab_low = __builtin_shufflevector(a, b, 0, 4, 1, 5);
      const Four ab_high = __builtin_shufflevector(a, b, 2, 6, 3, 7);
      const Four cd_low = __builtin_shufflevector(c, d, 0, 4, 1, 5);
      const Four cd_high = __builtin_shufflevector(c, d, 2, 6, 3, 7);
      const Four out[4] = {__builtin_shufflevector(ab_low, cd_low, 0, 1, 4, 5),
                           __builtin_shufflevector(ab_low, cd_low, 2, 3, 6, 7),
                           __builtin_shufflevector(ab_high, cd_high, 0, 1, 4, 5),
                           __builtin_shufflevector(ab_high, cd_high, 2, 3, 6, 7)};
      for (int j = 0; j < 4; ++j) {
        __builtin_memcpy(to + (k + j) * kLanes + lane, &out[j], 16);
      }
    }
  }
}

inline std::int16_t to_short(float code) {
  return static_cast<std::int16_t>(static_cast<std::int32_t>(code));
}
