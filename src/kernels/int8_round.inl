// Rounding of activations. Plain loops over one group of 32, which every compiler turns into the
// registers of the instruction set chosen; the same floats and bytes from all.
#pragma once

// Where column c of a group of 32 goes.
template <Int8Order kOrder>
constexpr std::size_t place_of(std::size_t c) noexcept {
  if constexpr (kOrder == Int8Order::kByTwo) return c / 8 * 8 + c % 2 * 4 + c % 8 / 2;
  if constexpr (kOrder == Int8Order::kByFour) return c / 16 * 16 + c % 4 * 4 + c % 16 / 4;
  return c;
}

// x * inverse to whole numbers from -127 to 127, ties to even.
inline float to_whole(float scaled) noexcept {
  // Adding and taking off 1.5 * 2^23 rounds to a whole number, to even at ties.
  constexpr float kRound = 12582912.0f;
  const float whole = (scaled + kRound) - kRound;
  const float bounded = whole < 127.0f ? whole : 127.0f;
  return bounded > -127.0f ? bounded : -127.0f;
}

inline float largest_of(const float* x, std::size_t count) noexcept {
  std::uint32_t most = 0;  // the bits of what is not negative are in the order of the numbers
  for (std::size_t i = 0; i < count; ++i) {
    std::uint32_t bits;
    __builtin_memcpy(&bits, x + i, sizeof(bits));
    bits &= 0x7FFFFFFFu;
    most = bits > most ? bits : most;
  }
  float largest;
  __builtin_memcpy(&largest, &most, sizeof(largest));
  return largest;
}

// A group in the form's order, rounded.
struct RoundedGroup {
  float scale;
  float q[kInt8Group];
  bool has_extra;
  std::size_t word;  // of the extra
  float extra_scale;
  float extra[4];
};

// Below, the inverse of a scale would not be a finite number.
inline constexpr float kTiny = 1e-30f;

inline void round_group(const float* x, RoundedGroup& out) noexcept {
  float words[8];
  for (std::size_t w = 0; w < 8; ++w) words[w] = largest_of(x + 4 * w, 4);
  std::size_t top = 0;
  for (std::size_t w = 1; w < 8; ++w) top = words[top] < words[w] ? w : top;
  float first = words[top], second = 0;
  for (std::size_t w = 0; w < 8; ++w) {
    if (w != top) second = words[w] > second ? words[w] : second;
  }
  const float all = largest_of(x, kInt8Group);
  out.has_extra = false;
  if (!(all > kTiny && all <= 3.4028235e38f)) {
    for (float& q : out.q) q = 0;
    out.scale = all <= kTiny ? 0.0f : __builtin_nanf("");
    return;
  }
  out.has_extra = second > kTiny && second * kInt8ExtraFrom <= first;
  const float most = out.has_extra ? second : first;
  const float inverse = 127.0f / most;
  out.scale = most / 127.0f;
  for (std::size_t i = 0; i < kInt8Group; ++i) out.q[i] = to_whole(x[i] * inverse);
  if (!out.has_extra) return;
  out.word = top;
  float rest[4];
  for (std::size_t i = 0; i < 4; ++i) rest[i] = x[4 * top + i] - out.scale * out.q[4 * top + i];
  const float widest = largest_of(rest, 4);
  out.extra_scale = widest / 127.0f;
  for (std::size_t i = 0; i < 4; ++i) out.extra[i] = to_whole(rest[i] * (127.0f / widest));
}

// Sum of `count` whole numbers, exact.
inline std::int32_t whole_sum(const float* q, std::size_t count) noexcept {
  std::int32_t sum = 0;
  for (std::size_t i = 0; i < count; ++i) sum += static_cast<std::int32_t>(q[i]);
  return sum;
}

inline void store_four(const float* q, std::int8_t* to) noexcept {
  std::int8_t bytes[4];
  for (std::size_t i = 0; i < 4; ++i) bytes[i] = static_cast<std::int8_t>(q[i]);
  __builtin_memcpy(to, bytes, 4);
}

template <Int8Order kOrder>
inline void round_row(const float* x, std::size_t cols, const Int8Form& form, std::size_t m,
                      const Int8TileOut& tile) noexcept {
  const std::size_t rows = tile.rows, parts = kInt8Group / form.group;
  Int8Extra* extra = tile.extras + m * (cols / kInt8Group);
  std::uint32_t extras = 0;
  for (std::size_t g = 0; g < cols / kInt8Group; ++g) {
    float placed[kInt8Group];
    for (std::size_t i = 0; i < kInt8Group; ++i) {
      placed[place_of<kOrder>(i)] = x[g * kInt8Group + i];
    }
    RoundedGroup group;
    round_group(placed, group);
    for (std::size_t k = 0; k < kInt8Group / 4; ++k) {
      store_four(group.q + 4 * k, tile.q + ((g * kInt8Group / 4 + k) * rows + m) * 4);
    }
    tile.scales[g * rows + m] = group.scale;
    for (std::size_t p = 0; p < parts; ++p) {
      const std::size_t at = (g * parts + p) * rows + m;
      const std::int32_t sum = whole_sum(group.q + p * form.group, form.group);
      if (form.bias != 0) tile.base[at] = -form.bias * sum;
      if (form.has_offset) tile.sums[at] = group.scale * static_cast<float>(sum);
    }
    if (!group.has_extra) continue;
    const std::int32_t sum = whole_sum(group.extra, 4);
    if (form.has_offset) {
      tile.sums[(g * parts + 4 * group.word / form.group) * rows + m] +=
          group.extra_scale * static_cast<float>(sum);
    }
    extra->group = static_cast<std::uint32_t>(g);
    extra->word = static_cast<std::uint32_t>(group.word);
    extra->scale = group.extra_scale;
    extra->base = -form.bias * sum;
    store_four(group.extra, extra->q);
    ++extra;
    ++extras;
  }
  tile.extra_counts[m] = extras;
}

inline void round_activations(const float* x, std::size_t cols, const Int8Form& form, std::size_t m,
                              const Int8TileOut& tile) noexcept {
  switch (form.order) {
    case Int8Order::kNatural:
      return round_row<Int8Order::kNatural>(x, cols, form, m, tile);
    case Int8Order::kByTwo:
      return round_row<Int8Order::kByTwo>(x, cols, form, m, tile);
    case Int8Order::kByFour:
      return round_row<Int8Order::kByFour>(x, cols, form, m, tile);
  }
}
