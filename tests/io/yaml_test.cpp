#include "io/yaml.h"

#include <gtest/gtest.h>

#include <nlohmann/json.hpp>
#include <string>

#include "io/temp.h"

namespace pajamas::io {
namespace {

using nlohmann::json;
using test::expect_error;

TEST(Yaml, ReadsWhatCardsAreWrittenIn) {
  const json card = parse_yaml(
      "license: apache-2.0  # why not\n"
      "language:\n- en\n- no\n"
      "tags: [a, 'b: c', \"d\\u00e9\"]\n"
      "version: 1.10\n"
      "empty:\n"
      "nothing: ~\n"
      "quoted: 'null'\n"
      "text: >-\n  folded\n  lines\n"
      "model-index:\n- name: x\n  results:\n  - metric: {value: 7}\n");
  EXPECT_EQ(card["license"], "apache-2.0");
  EXPECT_EQ(card["language"], json({"en", "no"}));  // a language, not false
  EXPECT_EQ(card["tags"], json({"a", "b: c", "d\u00e9"}));
  EXPECT_EQ(card["version"], "1.10");
  EXPECT_TRUE(card["empty"].is_null());
  EXPECT_TRUE(card["nothing"].is_null());
  EXPECT_EQ(card["quoted"], "null");
  EXPECT_EQ(card["text"], "folded lines");
  EXPECT_EQ(card["model-index"][0]["results"][0]["metric"]["value"], "7");
}

TEST(Yaml, TakesTheLastOfRepeatedKeysAndTheFirstDocument) {
  EXPECT_EQ(parse_yaml("a: 1\na: 2\n---\na: 3\n"), json({{"a", "2"}}));
  EXPECT_TRUE(parse_yaml("").is_null());
  EXPECT_TRUE(parse_yaml("# nothing\n").is_null());
  EXPECT_EQ(parse_yaml("just text"), "just text");
}

TEST(Yaml, TellsWhereItIsBroken) {
  expect_error(ErrorCode::kCorruptFile, "line 3", [] { parse_yaml("a: b\nc: [1, 2\n"); });
  expect_error(ErrorCode::kCorruptFile, "not YAML", [] { parse_yaml("a: \xff\xfe"); });
  expect_error(ErrorCode::kCorruptFile, "not YAML", [] { parse_yaml("a: 'open"); });
  expect_error(ErrorCode::kCorruptFile, "not YAML", [] { parse_yaml("a: \"\\ud800\""); });
}

TEST(Yaml, HostileTextCostsNoMoreThanItsBytes) {
  // Each level stands for ten of the one before.
  std::string laughs = "a0: &a0 [lol, lol]\n";
  for (int i = 1; i < 30; ++i) {
    const std::string before = "*a" + std::to_string(i - 1);
    laughs += "a" + std::to_string(i) + ": &a" + std::to_string(i) + " [" + before + ", " + before +
              ", " + before + "]\n";
  }
  expect_error(ErrorCode::kUnsupported, "alias", [&] { parse_yaml(laughs); });
  expect_error(ErrorCode::kUnsupported, "levels", [] { parse_yaml(std::string(100'000, '[')); });
  expect_error(ErrorCode::kUnsupported, "a key is no text", [] { parse_yaml("? [a, b]\n: c\n"); });
  std::string deep;
  for (std::size_t i = 0; i < 500; ++i) deep += std::string(i, ' ') + "a:\n";
  expect_error(ErrorCode::kUnsupported, "levels", [&] { parse_yaml(deep); });
}

}  // namespace
}  // namespace pajamas::io
