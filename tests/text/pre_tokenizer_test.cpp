// The pre-tokenizers that GGUF names, against the reference library with the published files.
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "base/error.h"
#include "text/tokenizer.h"
#include "text/tokenizer_test_files.h"

namespace pajamas::text {
namespace {

using nlohmann::json;

const json& golden() {
  static const json cases = json::parse(read_source_file("tests/text/data/pre_tokenizers.json"));
  return cases;
}

// A tokenizer.json with the pre-tokenizer of a case as it is published.
std::string published(const json& expected) {
  const json model = {{"type", "BPE"},
                      {"vocab", golden().at("vocab")},
                      {"merges", golden().at("merges")},
                      {"ignore_merges", expected.value("ignore_merges", false)}};
  return json{{"normalizer", expected.value("normalizer", json())},
              {"pre_tokenizer", expected.at("pre")},
              {"model", model}}
      .dump();
}

// The same vocabulary with what GGUF's name says.
TokenizerSpec named(const json& expected) {
  TokenizerSpec spec = parse_tokenizer_json(published(expected));
  const auto known = pre_tokenizer(expected.at("name").get<std::string>());
  EXPECT_TRUE(known);
  spec.patterns = known->patterns;
  spec.patterns_on_letters = known->patterns_on_letters;
  spec.patterns_before_prefix = spec.patterns.size() - spec.patterns_on_letters;
  spec.nfc = known->nfc;
  spec.ignore_merges = known->ignore_merges;
  return spec;
}

void expect_ids(const TokenizerSpec& spec, const json& expected, const std::string& what) {
  const Tokenizer tokenizer(spec);
  const json& texts = golden().at("texts");
  for (std::size_t i = 0; i < texts.size(); ++i) {
    const std::vector<std::int32_t> ids = expected.at("ids").at(i);
    EXPECT_EQ(tokenizer.encode(texts[i].get<std::string>()), ids) << what << " " << texts[i];
  }
}

TEST(PreTokenizers, EqualTheReferenceInEveryForm) {
  std::size_t names = 0;
  for (const json& expected : golden().at("cases")) {
    const std::string name = expected.at("name");
    const TokenizerSpec read = parse_tokenizer_json(published(expected));
    EXPECT_EQ(pre_tokenizer_name(read), name);
    expect_ids(read, expected, name);
    if (expected.at("group") != "published") continue;
    ++names;
    const TokenizerSpec spec = named(expected);
    EXPECT_EQ(pre_tokenizer_name(spec), name);
    expect_ids(spec, expected, name + " by name");
    const TokenizerSpec back = parse_tokenizer_json(write_tokenizer_json(spec));
    EXPECT_EQ(pre_tokenizer_name(back), name);
    expect_ids(back, expected, name + " written");
  }
  // Every combination that has a name is among them.
  EXPECT_EQ(names, pre_tokenizer_names().size());
}

// llama.cpp: a name says whether a text begins with BOS and whether whole words win over merges.
TEST(PreTokenizers, WhatANameImplies) {
  for (const char* name : {"llama-bpe", "llama3", "llama-v3", "falcon3", "pixtral", "lfm2",
                           "midm-2.0", "falcon-h1", "tekken"}) {
    const auto known = pre_tokenizer(name);
    ASSERT_TRUE(known) << name;
    EXPECT_TRUE(known->adds_bos && known->ignore_merges) << name;
  }
  for (const char* name :
       {"qwen2",     "gpt-2",      "smollm",     "deepseek-llm", "deepseek-v3", "gpt-4o",
        "llama4",    "smaug-bpe",  "dbrx",       "glm4",         "chatglm-bpe", "starcoder",
        "refact",    "falcon",     "olmo",       "mpt",          "command-r",   "stablelm2",
        "jais",      "exaone",     "bailingmoe", "seed-coder",   "poro-chat",   "viking",
        "codeshell", "minerva-7b", "megrez",     "trillion",     "hunyuan",     "hunyuan-dense",
        "kimi-k2",   "mellum2"}) {
    const auto known = pre_tokenizer(name);
    ASSERT_TRUE(known) << name;
    EXPECT_FALSE(known->adds_bos || known->ignore_merges) << name;
  }
  EXPECT_FALSE(pre_tokenizer("default"));
  EXPECT_FALSE(pre_tokenizer(""));
}

TEST(PreTokenizers, APatternWithoutANameHasNone) {
  json expected = golden().at("cases").at(2);  // smollm
  expected["pre"]["pretokenizers"][0]["individual_digits"] = false;
  EXPECT_FALSE(pre_tokenizer_name(parse_tokenizer_json(published(expected))));
  TokenizerSpec spec = named(golden().at("cases").at(2));
  spec.add_prefix_space = true;
  EXPECT_FALSE(pre_tokenizer_name(spec));
}

// As some conversions of tiktoken's vocabularies have it: what does not match is removed.
TEST(PreTokenizers, NothingIsRemovedWhereEverythingMatches) {
  const auto removing = [](const char* name) {
    for (const json& expected : golden().at("cases")) {
      if (expected.at("name") != name) continue;
      json changed = expected;
      json& split = changed["pre"]["pretokenizers"][0];
      split["behavior"] = "Removed";
      split["invert"] = true;
      return changed;
    }
    return json();
  };
  for (const char* name : {"gpt-4o", "qwen2", "llama-bpe", "tekken"}) {
    const json expected = removing(name);
    expect_ids(parse_tokenizer_json(published(expected)), expected, name);
  }
  EXPECT_THROW(parse_tokenizer_json(published(removing("bloom"))), Error);
  json other = removing("gpt-4o");
  other["pre"]["pretokenizers"][0]["invert"] = false;
  EXPECT_THROW(parse_tokenizer_json(published(other)), Error);
}

TEST(PreTokenizers, PublishedVocabulariesAreKnownBySight) {
  std::vector<std::string> tokens(128256);
  EXPECT_FALSE(pre_tokenizer_of_vocabulary(tokens));
  EXPECT_FALSE(pre_tokenizer_of_vocabulary({}));
  tokens[0] = "!";
  tokens[128000] = "<|begin_of_text|>";
  EXPECT_FALSE(pre_tokenizer_of_vocabulary(tokens));
  tokens[128001] = "<|end_of_text|>";
  EXPECT_EQ(pre_tokenizer_of_vocabulary(tokens), "llama-bpe");
  std::vector<std::string> small{"<|endoftext|>", "<|im_start|>", "<|im_end|>", "<repo_name>"};
  EXPECT_EQ(pre_tokenizer_of_vocabulary(small), "smollm");
}

}  // namespace
}  // namespace pajamas::text
