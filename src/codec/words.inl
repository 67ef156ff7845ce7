// Bytes four at a time, for any kind of word: the scales that K-quants pack into six bits, once for
// the codecs, the float products (a word is an integer) and the whole-number products (a register
// whose lanes are rows). The includer has defined Word, words(n) (n to every lane), and_words,
// or_words, left<k> and right<k>.
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
