// What write_tokenizer_json writes means what it was given. That the reference library reads it
// alike is what tests/interop/test_tokenizer.py shows.
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "base/error.h"
#include "text/tokenizer.h"
#include "text/tokenizer_test_files.h"

namespace pajamas::text {
namespace {

using nlohmann::json;

TokenizerSpec tiny_spec() { return parse_tokenizer_json(tiny_tokenizer_json()); }

TokenizerSpec again(const TokenizerSpec& spec, const SurroundingTokens& around = {}) {
  return parse_tokenizer_json(write_tokenizer_json(spec, around));
}

TEST(TokenizerWriter, EveryKindTokenizesAsBefore) {
  for (const json& expected : golden_tokenizers()) {
    SCOPED_TRACE(expected.at("name"));
    json content = json::parse(tiny_tokenizer_json());
    content.update(expected.at("change"));
    content["model"]["ignore_merges"] = expected.at("ignore_merges");
    const TokenizerSpec spec = again(parse_tokenizer_json(content.dump()));
    EXPECT_EQ(spec.ignore_merges, expected.at("ignore_merges").get<bool>());
    const Tokenizer tokenizer(spec);
    for (const json& line : expected.at("lines")) {
      const std::string text = line.at("text");
      const std::vector<std::int32_t> ids = line.at("ids");
      EXPECT_EQ(tokenizer.encode(text, {.parse_special = true}), ids) << line.at("text");
      const std::vector<std::int32_t> as_text = line.value("ids_as_text", ids);
      EXPECT_EQ(tokenizer.encode(text), as_text) << line.at("text");
    }
  }
}

TEST(TokenizerWriter, KeepsEveryField) {
  TokenizerSpec spec = tiny_spec();
  spec.added_tokens[0].lstrip = true;
  spec.added_tokens[1].rstrip = true;
  spec.added_tokens[1].special = false;
  spec.added_tokens[2].single_word = true;
  spec.added_tokens[2].normalized = true;
  const TokenizerSpec back = again(spec);
  EXPECT_EQ(back.tokens, spec.tokens);
  EXPECT_EQ(back.patterns, spec.patterns);
  EXPECT_EQ(back.nfc, spec.nfc);
  ASSERT_EQ(back.merges.size(), spec.merges.size());
  for (std::size_t i = 0; i < spec.merges.size(); ++i) {
    EXPECT_EQ(back.merges[i].text, spec.merges[i].text);
    EXPECT_EQ(back.merges[i].left_size, spec.merges[i].left_size);
  }
  ASSERT_EQ(back.added_tokens.size(), spec.added_tokens.size());
  for (std::size_t i = 0; i < spec.added_tokens.size(); ++i) {
    const AddedToken& a = back.added_tokens[i];
    const AddedToken& b = spec.added_tokens[i];
    EXPECT_EQ(a.content, b.content);
    EXPECT_EQ(a.id, b.id);
    EXPECT_EQ(std::tuple(a.special, a.single_word, a.lstrip, a.rstrip, a.normalized),
              std::tuple(b.special, b.single_word, b.lstrip, b.rstrip, b.normalized));
  }
  EXPECT_FALSE(back.adds_bos.value_or(false));
}

// The reference library counts added tokens from the size of the vocabulary, holes left out.
TEST(TokenizerWriter, NamesAddedTokensInTheVocabularyWhereCountingWouldMoveThem) {
  const auto vocabulary = [](const TokenizerSpec& spec) {
    return json::parse(write_tokenizer_json(spec))["model"]["vocab"];
  };
  TokenizerSpec spec = tiny_spec();
  EXPECT_FALSE(vocabulary(spec).contains("<|im_end|>"));
  TokenizerSpec padded = spec;
  padded.tokens.resize(padded.tokens.size() + 30);  // a model's padding moves nothing
  EXPECT_FALSE(vocabulary(padded).contains("<|im_end|>"));
  EXPECT_EQ(again(padded).tokens, spec.tokens);

  TokenizerSpec gap = spec;
  gap.tokens.insert(gap.tokens.begin() + 2017, 3, "");
  for (AddedToken& token : gap.added_tokens) token.id += token.id >= 2017 ? 3 : 0;
  EXPECT_EQ(vocabulary(gap)["<|im_end|>"], 2021);
  EXPECT_EQ(again(gap).tokens, gap.tokens);
  TokenizerSpec behind = spec;
  behind.tokens.push_back("zzzzzz");
  EXPECT_EQ(vocabulary(behind)["<|im_end|>"], 2018);
  EXPECT_EQ(again(behind).tokens, behind.tokens);
}

TEST(TokenizerWriter, MergesThatAStringWouldBlurBecomePairs) {
  TokenizerSpec spec = tiny_spec();
  EXPECT_TRUE(json::parse(write_tokenizer_json(spec))["model"]["merges"][0].is_string());
  const std::size_t count = spec.merges.size();
  spec.merges.push_back({"a b c", 3});
  const json merges = json::parse(write_tokenizer_json(spec))["model"]["merges"];
  EXPECT_EQ(merges[count], json::array({"a b", "c"}));
  EXPECT_EQ(again(spec).merges.back().left(), "a b");
  spec.merges.back() = {"#version x", 8};  // the reference library would skip this string
  EXPECT_EQ(json::parse(write_tokenizer_json(spec))["model"]["merges"][count],
            json::array({"#version", "x"}));
}

TEST(TokenizerWriter, WritesWhatSurroundsATextAndEscapes) {
  TokenizerSpec spec = tiny_spec();
  const auto id = static_cast<std::int32_t>(spec.tokens.size());
  spec.tokens.emplace_back("<\"\\\n\x01>");
  spec.added_tokens.push_back({.id = id, .content = spec.tokens.back(), .special = true});
  const TokenizerSpec back = again(spec, {.bos = 2016, .eos = id});
  EXPECT_EQ(back.tokens, spec.tokens);
  EXPECT_EQ(back.adds_bos, true);
  EXPECT_EQ(back.adds_eos, true);
}

TEST(TokenizerWriter, RefusesWhatIsNotText) {
  TokenizerSpec ordinary = tiny_spec();
  ordinary.tokens[5] = "\xff";
  EXPECT_THROW(write_tokenizer_json(ordinary), Error);
  TokenizerSpec added = tiny_spec();
  added.tokens[2017] = added.added_tokens[1].content = "\xC3";
  EXPECT_THROW(write_tokenizer_json(added), Error);
}

}  // namespace
}  // namespace pajamas::text
