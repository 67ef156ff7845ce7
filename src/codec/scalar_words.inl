// codec/words.inl for words that are integers.
#pragma once

using Word = std::uint32_t;
[[gnu::always_inline]] inline Word words(unsigned value) noexcept { return value; }
[[gnu::always_inline]] inline Word and_words(Word a, Word b) noexcept { return a & b; }
[[gnu::always_inline]] inline Word or_words(Word a, Word b) noexcept { return a | b; }
[[gnu::always_inline]] inline Word subtract_words(Word a, Word b) noexcept { return a - b; }
[[gnu::always_inline]] inline Word equal_or(Word a, Word b, Word equal, Word other) noexcept {
  return a == b ? equal : other;
}
template <int kBits>
[[gnu::always_inline]] inline Word left(Word a) noexcept {
  return a << kBits;
}
template <int kBits>
[[gnu::always_inline]] inline Word right(Word a) noexcept {
  return a >> kBits;
}
#include "codec/words.inl"
