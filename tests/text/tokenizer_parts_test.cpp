// The parts of the tokenizer, each against something obvious.
#include <gtest/gtest.h>

#include <map>
#include <random>

#include "base/error.h"
#include "text/bpe.h"
#include "text/byte_alphabet.h"
#include "text/code_points.h"
#include "text/nfc.h"
#include "text/pattern.h"
#include "text/utf8.h"

namespace pajamas::text {
namespace {

std::size_t count_of(const CodePointSet& set) {
  std::size_t count = 0;
  for (const auto& [first, last] : set.ranges()) count += last - first + 1;
  return count;
}

std::string encoded(std::initializer_list<std::uint32_t> points) {
  std::string out;
  for (const std::uint32_t c : points) append_utf8(out, c);
  return out;
}

// The sizes that the Unicode Character Database 16.0 publishes for its general categories.
TEST(UnicodeTables, CategoriesHaveThePublishedSizes) {
  const std::map<std::string, std::size_t> sizes = {
      {"Lu", 1858}, {"Ll", 2258}, {"Lt", 31},  {"Lm", 404},   {"Mn", 2020}, {"Mc", 468},
      {"Nd", 760},  {"Nl", 236},  {"No", 915}, {"Zs", 17},    {"Cc", 65},   {"Cs", 2048},
      {"Sm", 950},  {"So", 7376}, {"Pd", 27},  {"L", 141028}, {"M", 2501},  {"N", 1911}};
  for (const auto& [name, size] : sizes) EXPECT_EQ(count_of(*property(name)), size) << name;
  EXPECT_EQ(count_of(CodePointSet(tables::kSpace)), 25U);
  EXPECT_EQ(count_of(property("L")->complement()), 0x110000U - 141028U);
  EXPECT_FALSE(property("Xx"));
  EXPECT_FALSE(property(""));
}

TEST(UnicodeTables, ANewLetterIsALetter) {
  // U+1C89 is of Unicode 16, which PCRE2 10.42 does not know.
  EXPECT_TRUE(contains(property("Lu")->ranges(), 0x1C89));
  std::vector<std::string> pieces;
  Pattern("\\p{L}+").split("1" + encoded({0x1C89, 0x1C8A}) + "2",
                           [&](std::string_view piece, bool) { pieces.emplace_back(piece); });
  EXPECT_EQ(pieces, (std::vector<std::string>{"1", encoded({0x1C89, 0x1C8A}), "2"}));
}

TEST(CodePointSets, MergeAndComplement) {
  CodePointSet set;
  set.add(10, 20);
  set.add(5, 9);
  set.add(15, 30);
  EXPECT_EQ(set.ranges(), (std::vector<CodePointRange>{{5, 30}}));
  EXPECT_EQ(set.complement().ranges(), (std::vector<CodePointRange>{{0, 4}, {31, 0x10FFFF}}));
}

TEST(Nfc, ComposesAndOrders) {
  EXPECT_EQ(normalize_nfc(encoded({'e', 0x301})), encoded({0xE9}));
  EXPECT_EQ(normalize_nfc(encoded({'a', 0x301, 0x323})), encoded({0x1EA1, 0x301}));
  EXPECT_EQ(normalize_nfc(encoded({0x1100, 0x1161, 0x11A8})), encoded({0xAC01}));
  EXPECT_EQ(normalize_nfc(encoded({0x212B})), encoded({0xC5}));
  EXPECT_EQ(normalize_nfc(encoded({0x958})), encoded({0x915, 0x93C}));  // never composed
  EXPECT_EQ(normalize_nfc(encoded({0x344})), encoded({0x308, 0x301}));
  EXPECT_EQ(normalize_nfc(std::string("a\0b", 3)), std::string("a\0b", 3));
  EXPECT_EQ(normalize_nfc(""), "");
}

// Newer than the reference's normalizer: it leaves them where they stand.
TEST(Nfc, KeepsTheReferencesVersion) {
  const std::string newer = encoded({0x11935, 0x11930});
  EXPECT_EQ(normalize_nfc(newer), newer);
  const std::string mark = encoded({'a', 0x1DF6, 0x301});
  EXPECT_EQ(normalize_nfc(mark), mark);
}

TEST(Nfc, AMillionMarksAreOrderedQuickly) {
  std::string text = "e";
  for (int i = 0; i < 250000; ++i) text += encoded({0x301, 0x323});
  const std::string done = normalize_nfc(text);
  EXPECT_EQ(done.size(), text.size());
  EXPECT_TRUE(done.starts_with(encoded({0x1EB9, 0x323})));
  EXPECT_TRUE(done.ends_with(encoded({0x301, 0x301})));
}

TEST(Utf8, FindsTheFirstBadByte) {
  const auto npos = std::string_view::npos;
  EXPECT_EQ(find_invalid_utf8("plain text, long enough for blocks"), npos);
  EXPECT_EQ(find_invalid_utf8(encoded({0x7FF, 0x800, 0xFFFF, 0x10000, 0x10FFFF})), npos);
  EXPECT_EQ(find_invalid_utf8("12345678\x80"), 8U);
  EXPECT_EQ(find_invalid_utf8("\xC0\x80"), 0U);          // overlong
  EXPECT_EQ(find_invalid_utf8("a\xED\xA0\x80"), 1U);     // surrogate
  EXPECT_EQ(find_invalid_utf8("\xF4\x90\x80\x80"), 0U);  // beyond U+10FFFF
  EXPECT_EQ(find_invalid_utf8("\xE2\x82"), 0U);          // cut off
}

TEST(Utf8, LossyReplacesLikePython) {
  const std::string r = "\xEF\xBF\xBD";
  EXPECT_EQ(utf8_lossy("a\xE2\x82"), "a" + r);
  EXPECT_EQ(utf8_lossy("\xF0\x9F\x98z"), r + "z");
  EXPECT_EQ(utf8_lossy("\xED\xA0\x80"), r + r + r);
  EXPECT_EQ(utf8_lossy("\xFF\xC3\xA9"), r + "\xC3\xA9");
}

TEST(ByteAlphabet, IsABijection) {
  for (int byte = 0; byte < 256; ++byte) {
    const std::string one(1, static_cast<char>(byte));
    EXPECT_EQ(bytes_of_spelling(spelling_of_bytes(one)), one);
  }
  EXPECT_EQ(spelling_of_bytes(" "), "\xC4\xA0");
  EXPECT_FALSE(bytes_of_spelling("a b"));
}

// Byte pair encoding as one would explain it.
std::vector<std::int32_t> obvious_merge(const MergeTable& merges, std::vector<std::int32_t> word) {
  while (true) {
    std::size_t best = word.size();
    std::uint32_t rank = UINT32_MAX;
    std::int32_t token = 0;
    for (std::size_t i = 0; i + 1 < word.size(); ++i) {
      const auto* found = merges.find(word[i], word[i + 1]);
      if (found != nullptr && found->rank < rank) {
        best = i;
        rank = found->rank;
        token = found->token;
      }
    }
    if (best == word.size()) return word;
    word[best] = token;
    word.erase(word.begin() + static_cast<std::ptrdiff_t>(best) + 1);
  }
}

TEST(Bpe, EqualsTheObviousOneOnShortAndLongWords) {
  std::mt19937 random(1);
  for (int round = 0; round < 300; ++round) {
    const int letters = 2 + static_cast<int>(random() % 3);
    MergeTable merges(40);
    // Strings make the pairs consistent: a token is what its parts spell.
    std::map<std::string, std::int32_t> ids;
    std::vector<std::string> tokens;
    const auto id_of = [&](const std::string& token) {
      const auto [found, is_new] = ids.try_emplace(token, static_cast<std::int32_t>(tokens.size()));
      if (is_new) tokens.push_back(token);
      return found->second;
    };
    for (int i = 0; i < letters; ++i) id_of(std::string(1, static_cast<char>('a' + i)));
    for (std::uint32_t rank = 0; rank < 40; ++rank) {
      const std::string left = tokens[random() % tokens.size()];
      const std::string right = tokens[random() % tokens.size()];
      const auto left_id = id_of(left);
      const auto right_id = id_of(right);
      merges.insert(left_id, right_id, {rank, id_of(left + right)});
    }
    for (const std::size_t length : {1, 2, 7, 47, 48, 49, 300}) {
      std::vector<std::int32_t> word(length);
      for (auto& token : word)
        token = static_cast<std::int32_t>(random() % static_cast<unsigned>(letters));
      std::vector<std::int32_t> got;
      merge_word(merges, word, got);
      EXPECT_EQ(got, obvious_merge(merges, word));
    }
  }
}

std::vector<std::string> pieces_of(const char* pattern, std::string_view text) {
  std::vector<std::string> out;
  Pattern(pattern).split(text, [&](std::string_view piece, bool) { out.emplace_back(piece); });
  return out;
}

using Pieces = std::vector<std::string>;

// Expected values: tokenizers 0.23.3, pre_tokenizers.Split(Regex(pattern), "isolated").
TEST(Pattern, SplitsAsTheReferenceDoes) {
  EXPECT_EQ(pieces_of("a*", "baab"), (Pieces{"b", "aa", "b"}));
  EXPECT_EQ(pieces_of("x*(?=b)", "ab"), (Pieces{"a", "b"}));
  EXPECT_EQ(pieces_of("\\p{N}{,2}", "12345"), (Pieces{"12", "34", "5"}));
  EXPECT_EQ(pieces_of("^a", "a\na"), (Pieces{"a", "\n", "a"}));
  EXPECT_EQ(pieces_of("a$", "a\na"), (Pieces{"a", "\n", "a"}));
  EXPECT_EQ(pieces_of("\\x{41}|\\u0042", "AB"), (Pieces{"A", "B"}));
  EXPECT_EQ(pieces_of("\\p{Han}+", "\u6f22\u5b57a"), (Pieces{"\u6f22\u5b57", "a"}));
  EXPECT_EQ(pieces_of("(?i:'s)", "'\u017f"), (Pieces{"'\u017f"}));  // long s
  EXPECT_EQ(pieces_of("[^\\s\\P{L}]+", "ab1 c"), (Pieces{"ab", "1 ", "c"}));
  EXPECT_EQ(pieces_of("[^a[bc]d]+", "xyabcdz"), (Pieces{"xy", "abcd", "z"}));
  EXPECT_EQ(pieces_of("[ab[^c]]+", "xcab"), (Pieces{"x", "c", "ab"}));
  EXPECT_EQ(pieces_of("[\\p{L}&&[^a-f]x]+", "abxyz1"), (Pieces{"ab", "xyz", "1"}));
  EXPECT_EQ(pieces_of("[a-f&&c-z&&d]+", "abcdef"), (Pieces{"abc", "d", "ef"}));
  EXPECT_EQ(pieces_of("[a&&b]", "ab"), (Pieces{"ab"}));
  EXPECT_EQ(pieces_of("\\b\\w+\\b", "ab \u00e9!"), (Pieces{"ab", " ", "\u00e9", "!"}));
}

TEST(Pattern, RefusesWhatTheEnginesReadDifferently) {
  for (const char* pattern :
       {"[[:alpha:]]", "[&&b]", "[a&&]", "[[a]-z]", "(?m:.)", "(?<n>a)", "\\p{N}{1,3}+", "a{3}?",
        "\\R", "\\X", "\\K", "\\1", "\\Qa\\E", "(?#x)", "[\\w-z]", "[a-\\d]", "\\xff", "\\G"}) {
    EXPECT_THROW(Pattern{pattern}, Error) << pattern;
  }
  for (const char* pattern : {"a)", "*a", "[z-a]", "\\p{L", "\\pL", "\\x{110000}", "\\u12", "\\"}) {
    EXPECT_THROW(Pattern{pattern}, Error) << pattern;
  }
}

}  // namespace
}  // namespace pajamas::text
