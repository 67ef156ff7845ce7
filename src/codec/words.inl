// Bytes four at a time, for any kind of word: the scales that K-quants pack into six bits, once for
// the codecs, the float products (a word is an integer) and the whole-number products (a register
// whose lanes are rows), and the small floats that are scales. The includer has defined Word,
// words(n) (n to every lane), and_words, or_words, subtract_words, equal_or(a, b, x, y) (x where a
// is b, else y), left<k> and right<k>.
#pragma once

[[gnu::always_inline]] inline Word each_byte(unsigned value) noexcept {
  return words(value * 0x01010101u);
}
[[gnu::always_inline]] inline Word low_nibbles(Word word) noexcept {
  return and_words(word, each_byte(15));
}
[[gnu::always_inline]] inline Word high_nibbles(Word word) noexcept {
  return low_nibbles(right<4>(word));
}

// Scales::kSixBitPairs, of the twelve bytes' three words. Groups 0..3: scale in bytes 0..3, minimum
// in bytes 4..7 (low six bits). Groups 4..7: low nibbles in bytes 8..11 (scale low, minimum high),
// their top bits above the others'.
[[gnu::always_inline]] inline Word low_pairs(Word word) noexcept {
  return and_words(word, each_byte(63));
}
[[gnu::always_inline]] inline Word high_pair_scales(Word a, Word c) noexcept {
  return or_words(low_nibbles(c), and_words(right<2>(a), each_byte(0x30)));
}
[[gnu::always_inline]] inline Word high_pair_mins(Word b, Word c) noexcept {
  return or_words(high_nibbles(c), and_words(right<2>(b), each_byte(0x30)));
}

// Scales::kSixBitsBiased, to the sixteen scales + 32. Scale j: low nibble in byte j % 8, of j < 8
// the lower one; its high bits in byte 8 + j % 4, at 2 * (j / 4).
[[gnu::always_inline]] inline void six_bits(Word a, Word b, Word c, Word (&scales)[4]) noexcept {
  const Word top = each_byte(0x30);
  scales[0] = or_words(low_nibbles(a), and_words(left<4>(c), top));
  scales[1] = or_words(low_nibbles(b), and_words(left<2>(c), top));
  scales[2] = or_words(high_nibbles(a), and_words(c, top));
  scales[3] = or_words(high_nibbles(b), and_words(right<2>(c), top));
}

// Of a scale in E8M0 half its value, 2^(e - 128), as the bits of a float: levels of E2M1 are stored
// doubled. The two smallest are subnormal.
[[gnu::always_inline]] inline Word half_e8m0_bits(Word e) noexcept {
  const Word normal = left<23>(subtract_words(e, words(1)));
  return equal_or(e, words(0), words(0x00200000u),
                  equal_or(e, words(1), words(0x00400000u), normal));
}
// And its value, 2^(e - 127); infinite where e is 255, which stands for no number.
[[gnu::always_inline]] inline Word e8m0_bits(Word e) noexcept {
  return equal_or(e, words(0), words(0x00400000u), left<23>(e));
}

// Of a number in E4M3 its 256th part as the bits of an F16; of what is no number NaN.
[[gnu::always_inline]] inline Word e4m3_half_bits(Word e) noexcept {
  const Word magnitude = and_words(e, words(127));
  const Word half = or_words(left<7>(magnitude), left<8>(and_words(e, words(128))));
  return equal_or(magnitude, words(127), words(0x7E00u), half);
}
inline constexpr float kPerE4m3Half = 256;
