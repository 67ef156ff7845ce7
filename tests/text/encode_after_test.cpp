// Tokens that a text keeps while it grows and changes.
#include "text/encode_after.h"

#include <gtest/gtest.h>

#include "base/error.h"
#include "text/tokenizer_test_files.h"

namespace pajamas::text {
namespace {

using Ids = std::vector<std::int32_t>;

const Tokenizer& tokenizer() {
  static const Tokenizer made(parse_tokenizer_json(tiny_tokenizer_json()));
  return made;
}

Ids encode(std::string_view text) { return tokenizer().encode(text, {.parse_special = true}); }

// Byte by byte, as no encoder writes it.
Ids spelt(std::string_view text) {
  Ids ids;
  for (const char c : text) {
    for (std::int32_t id = 0; id < 2048; ++id) {
      if (tokenizer().token_bytes(id) == std::string_view(&c, 1)) {
        ids.push_back(id);
        break;
      }
    }
  }
  EXPECT_EQ(ids.size(), text.size());
  return ids;
}

Ids joined(Ids a, const Ids& b) {
  a.insert(a.end(), b.begin(), b.end());
  return a;
}

const std::string kAsk = "<|im_start|>user\nWho?<|im_end|>\n<|im_start|>assistant\n";
const std::string kNext = "<|im_end|>\n<|im_start|>user\nWhy?<|im_end|>\n";

TEST(EncodeAfter, IsTheEncodersOwnWithoutAPast) {
  EXPECT_EQ(encode_after(tokenizer(), {}, kAsk), encode(kAsk));
}

TEST(EncodeAfter, KeepsAnAnswerAsItWasGenerated) {
  const Ids known = joined(encode(kAsk), spelt("The people"));
  ASSERT_NE(known, encode(kAsk + "The people"));
  EXPECT_EQ(encode_after(tokenizer(), known, kAsk + "The people" + kNext),
            joined(known, encode(kNext)));
}

TEST(EncodeAfter, GoesBackToAnAddedTokenWhereTheTextChanges) {
  const Ids known = joined(encode(kAsk), spelt("The people"));
  EXPECT_EQ(encode_after(tokenizer(), known, kAsk + "The person" + kNext),
            encode(kAsk + "The person" + kNext));
  // What is said before stays as it was said.
  const Ids longer = joined(known, encode(kNext + "<|im_start|>assistant\nNo"));
  const std::string changed = kNext + "<|im_start|>assistant\nYes<|im_end|>\n";
  EXPECT_EQ(encode_after(tokenizer(), longer, kAsk + "The people" + changed),
            joined(known, encode(changed)));
}

TEST(EncodeAfter, AWordThatGrowsIsEncodedAgain) {
  EXPECT_EQ(encode_after(tokenizer(), encode("The peo"), "The people"), encode("The people"));
  EXPECT_EQ(encode_after(tokenizer(), encode("The peo"), "The people", true),
            joined(encode("The peo"), encode("ple")));
  // Not inside of a character, and not where a part only was known.
  EXPECT_EQ(encode_after(tokenizer(), spelt("a\xC3"), "aé", true), joined(spelt("a"), encode("é")));
  EXPECT_EQ(encode_after(tokenizer(), spelt("The people"), "The peak", true), encode("The peak"));
}

TEST(EncodeAfter, AnEarlierTextIsABeginning) {
  const Ids known = joined(spelt("The people"), encode(kNext));
  EXPECT_EQ(encode_after(tokenizer(), known, "The people"), spelt("The people"));
  EXPECT_EQ(encode_after(tokenizer(), known, ""), Ids());
}

TEST(EncodeAfter, RefusesIdsOutOfRange) {
  const Ids known{1 << 20};
  EXPECT_THROW((void)encode_after(tokenizer(), known, "x"), Error);
}

}  // namespace
}  // namespace pajamas::text
