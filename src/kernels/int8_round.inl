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

template <Int8Order kOrder>
struct Places {
  std::uint32_t word[kInt8Group];     // of column c
  std::uint32_t columns[kInt8Group];  // at place i
  constexpr Places() noexcept : word(), columns() {
    for (std::size_t c = 0; c < kInt8Group; ++c) {
      word[c] = static_cast<std::uint32_t>(place_of<kOrder>(c) / 4);
      columns[place_of<kOrder>(c)] = static_cast<std::uint32_t>(c);
    }
  }
};
template <Int8Order kOrder>
inline constexpr Places<kOrder> kPlaces;

inline float float_of(std::uint32_t bits) noexcept {
  float value;
  __builtin_memcpy(&value, &bits, sizeof(value));
  return value;
}

// A number of up to 2^22 to a whole one, ties to even.
inline float to_whole(float value) noexcept {
  constexpr float kRound = 12582912.0f;  // 1.5 * 2^23: what is added has no room for fractions
  return (value + kRound) - kRound;
}

// The largest |x| of a group as bits, which are in the order of the numbers; the word in which it
// stands first; the largest outside that word.
struct Largest {
  std::uint32_t first = 0;
  std::uint32_t word = 0;
  std::uint32_t second = 0;
};
template <Int8Order kOrder>
inline Largest largest_of(const float* x) noexcept {
  std::uint32_t bits[kInt8Group];
  __builtin_memcpy(bits, x, sizeof(bits));
  Largest out;
  for (std::size_t i = 0; i < kInt8Group; ++i) {
    bits[i] &= 0x7FFFFFFFu;
    out.first = bits[i] > out.first ? bits[i] : out.first;
  }
  std::uint32_t word = 8;
  for (std::size_t i = 0; i < kInt8Group; ++i) {
    const std::uint32_t here = bits[i] == out.first ? kPlaces<kOrder>.word[i] : 8u;
    word = here < word ? here : word;
  }
  for (std::size_t i = 0; i < kInt8Group; ++i) {
    const std::uint32_t other = kPlaces<kOrder>.word[i] != word ? bits[i] : 0u;
    out.second = other > out.second ? other : out.second;
  }
  out.word = word;
  return out;
}

// Below, the inverse of a scale would not be a finite number.
inline constexpr float kTiny = 1e-30f;

// Bounds the word's numbers and rounds what they leave of x; returns the sum of the second four.
template <Int8Order kOrder>
inline std::int32_t round_rest(const float* x, std::uint32_t word, float scale, std::int32_t* q,
                               Int8Extra& extra) noexcept {
  float rest[4];
  float widest = 0;
  for (std::size_t i = 0; i < 4; ++i) {
    const std::size_t c = kPlaces<kOrder>.columns[4 * word + i];
    q[c] = q[c] > 127 ? 127 : q[c] < -127 ? -127 : q[c];
    rest[i] = x[c] - scale * static_cast<float>(q[c]);
    const float size = rest[i] < 0 ? -rest[i] : rest[i];
    widest = size > widest ? size : widest;
  }
  const float inverse = 127.0f / widest;
  std::int32_t sum = 0;
  for (std::size_t i = 0; i < 4; ++i) {
    const auto whole = static_cast<std::int32_t>(to_whole(rest[i] * inverse));
    extra.q[i] = static_cast<std::int8_t>(whole);
    sum += whole;
  }
  extra.word = word;
  extra.scale = widest / 127.0f;
  return sum;
}

template <Int8Order kOrder>
inline void round_row(const float* row, std::size_t cols, const Int8Form& form, std::size_t m,
                      const Int8TileOut& tile) noexcept {
  const std::size_t rows = tile.rows, parts = kInt8Group / form.group;
  Int8Extra* extra = tile.extras + m * (cols / kInt8Group);
  std::uint32_t extras = 0;
  for (std::size_t g = 0; g < cols / kInt8Group; ++g) {
    const float* x = row + g * kInt8Group;
    const Largest largest = largest_of<kOrder>(x);
    const float first = float_of(largest.first), second = float_of(largest.second);
    const bool finite = largest.first < 0x7F800000u, usable = finite && first > kTiny;
    const bool has_extra = usable && second > kTiny && second * kInt8ExtraFrom <= first;
    const float most = has_extra ? second : first;
    const float inverse = usable ? 127.0f / most : 0.0f;
    const float scale = usable ? most / 127.0f : finite ? 0.0f : __builtin_nanf("");
    std::int32_t q[kInt8Group];
    for (std::size_t i = 0; i < kInt8Group; ++i) {
      float value = finite ? x[i] * inverse : 0.0f;
      value = value < 4096.0f ? value : 4096.0f;  // outliers: bounded again below
      value = value > -4096.0f ? value : -4096.0f;
      q[i] = static_cast<std::int32_t>(to_whole(value));
    }
    std::int32_t extra_sum = 0;
    if (has_extra) {
      extra_sum = round_rest<kOrder>(x, largest.word, scale, q, *extra);
      extra->group = static_cast<std::uint32_t>(g);
      extra->base = -form.bias * extra_sum;
    }
    alignas(32) std::int8_t bytes[kInt8Group];
    for (std::size_t i = 0; i < kInt8Group; ++i) {
      bytes[i] = static_cast<std::int8_t>(q[kPlaces<kOrder>.columns[i]]);
    }
    for (std::size_t k = 0; k < kInt8Group / 4; ++k) {
      __builtin_memcpy(tile.q + ((g * kInt8Group / 4 + k) * rows + m) * 4, bytes + 4 * k, 4);
    }
    tile.scales[g * rows + m] = scale;
    std::int32_t sums[2] = {0, 0};
    for (std::size_t i = 0; i < 16; ++i) sums[0] += q[i];
    for (std::size_t i = 16; i < 32; ++i) sums[1] += q[i];
    if (parts == 1) sums[0] += sums[1];
    for (std::size_t p = 0; p < parts; ++p) {
      const std::size_t at = (g * parts + p) * rows + m;
      if (form.bias != 0) tile.base[at] = -form.bias * sums[p];
      if (form.has_offset) tile.sums[at] = scale * static_cast<float>(sums[p]);
    }
    if (!has_extra) continue;
    if (form.has_offset) {
      tile.sums[(g * parts + 4 * largest.word / form.group) * rows + m] +=
          extra->scale * static_cast<float>(extra_sum);
    }
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
