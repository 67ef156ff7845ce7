// splitmix64 (Steele, Lea and Flood 2014): numbers that look random and are the same everywhere.
#pragma once

#include <cstdint>

namespace pajamas {

// By how much the state grows from number to number: 2^64 / golden ratio.
inline constexpr std::uint64_t kSplitMixStep = 0x9e3779b97f4a7c15u;

// The number of a state.
constexpr std::uint64_t split_mix(std::uint64_t state) noexcept {
  state = (state ^ (state >> 30)) * 0xbf58476d1ce4e5b9u;
  state = (state ^ (state >> 27)) * 0x94d049bb133111ebu;
  return state ^ (state >> 31);
}

// The next number of the sequence that began with a seed as its state.
constexpr std::uint64_t next_split_mix(std::uint64_t& state) noexcept {
  return split_mix(state += kSplitMixStep);
}

// The upper 53 bits as a number in [0, 1).
constexpr double unit_interval(std::uint64_t bits) noexcept {
  return static_cast<double>(bits >> 11) * 0x1p-53;
}

}  // namespace pajamas
