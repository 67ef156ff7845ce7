// The entries of a codebook by their two halves: which first halves go with each second half.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>

#include "codec/codebook_tables.h"

namespace pajamas::codec {

// Halves are numbered by the numbers of their levels as digits, the first column's lowest: 3^4 or
// 8^2 of them. Bits of halves would have gaps, which whoever keeps a table of them has to pay for.
struct BookHalves {
  static constexpr int kMost = 81;
  // A second half, and where in `first` those that go with it are.
  struct Second {
    std::uint16_t number, begin, end;
    constexpr int entries() const noexcept { return end - begin; }
  };
  int count = 0, quarters = 0;  // of halves, and of their halves
  // Those with most entries first: a loop over the entries is as long as the one before it, mostly,
  // which processors predict.
  Second second[kMost] = {};
  // Numbers of first halves, an even number for each second one: the last one twice, maybe.
  std::uint8_t first[2048 + kMost] = {};
};

// Of entries of 2 * half_columns columns of `levels` levels, `bits` bits each.
template <std::size_t kEntries>
constexpr BookHalves halves_of(const std::uint16_t (&entries)[kEntries], int half_columns,
                               int levels, int bits) {
  const auto number_of = [&](unsigned half) {
    unsigned number = 0;
    for (int k = half_columns - 1; k >= 0; --k) {
      number = number * static_cast<unsigned>(levels) + (half >> (k * bits) & ((1u << bits) - 1));
    }
    return number;
  };
  const int width = half_columns * bits;
  BookHalves out;
  out.count = 1;
  for (int k = 0; k < half_columns; ++k) out.count *= levels;
  out.quarters = half_columns == 4 ? levels * levels : levels;
  for (int i = 0; i < out.count; ++i) out.second[i].number = static_cast<std::uint16_t>(i);
  std::size_t used = 0;
  for (std::size_t i = 0; i < kEntries;) {  // they ascend, so second halves do
    BookHalves::Second& its = out.second[number_of(entries[i] >> width)];
    its.begin = static_cast<std::uint16_t>(used);
    for (const int second = entries[i] >> width; i < kEntries && entries[i] >> width == second;
         ++i) {
      out.first[used++] = static_cast<std::uint8_t>(number_of(entries[i] & ((1u << width) - 1)));
    }
    if ((used - its.begin) % 2 != 0) {
      out.first[used] = out.first[used - 1];
      ++used;
    }
    its.end = static_cast<std::uint16_t>(used);
  }
  std::sort(out.second, out.second + out.count, [](const auto& a, const auto& b) {
    return a.entries() != b.entries() ? a.entries() > b.entries() : a.number < b.number;
  });
  return out;
}

inline constexpr BookHalves kIq2XxsHalves = halves_of(kIq2XxsBook, 4, 3, 2);
inline constexpr BookHalves kIq2XsHalves = halves_of(kIq2XsBook, 4, 3, 2);
inline constexpr BookHalves kIq2SHalves = halves_of(kIq2SBook, 4, 3, 2);
inline constexpr BookHalves kIq3XxsHalves = halves_of(kIq3XxsBook, 2, 8, 3);
inline constexpr BookHalves kIq3SHalves = halves_of(kIq3SBook, 2, 8, 3);
inline constexpr BookHalves kIq1Halves = halves_of(kIq1Book, 4, 3, 2);

}  // namespace pajamas::codec
