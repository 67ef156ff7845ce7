// Files that lie: each must end in one Error, soon, and without a large allocation.
#include <gtest/gtest.h>

#include <functional>
#include <nlohmann/json.hpp>

#include "base/error.h"
#include "text/tokenizer.h"
#include "text/tokenizer_test_files.h"

namespace pajamas::text {
namespace {

using nlohmann::json;

void expect_refused(const std::string& text, ErrorCode code, const std::string& says) {
  try {
    const Tokenizer tokenizer(parse_tokenizer_json(text));
    FAIL() << "accepted: " << says;
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), code) << error.what();
    EXPECT_NE(std::string(error.what()).find(says), std::string::npos) << error.what();
  }
}

struct Case {
  std::string name;
  std::function<void(json&)> change;
  ErrorCode code;
  std::string says;
};

json& pattern_of(json& file) {
  return file["pre_tokenizer"]["pretokenizers"][0]["pattern"]["Regex"];
}

constexpr auto kCorrupt = ErrorCode::kCorruptFile;
constexpr auto kUnsupported = ErrorCode::kUnsupported;

std::vector<Case> cases() {
  return {
      {"no model", [](json& f) { f.erase("model"); }, kCorrupt, "model"},
      {"model is text", [](json& f) { f["model"] = "BPE"; }, kCorrupt, "model"},
      {"no vocabulary", [](json& f) { f["model"].erase("vocab"); }, kCorrupt, "model.vocab"},
      {"no merges", [](json& f) { f["model"].erase("merges"); }, kCorrupt, "model.merges"},
      {"vocabulary is a list", [](json& f) { f["model"]["vocab"] = json::array(); }, kCorrupt,
       "model.vocab"},
      {"empty vocabulary", [](json& f) { f["model"]["vocab"] = json::object(); }, kCorrupt,
       "model.vocab is empty"},
      {"merges are an object", [](json& f) { f["model"]["merges"] = json::object(); }, kCorrupt,
       "model.merges"},
      {"id is text", [](json& f) { f["model"]["vocab"]["a"] = "1"; }, kCorrupt, "'a'"},
      {"id is a list", [](json& f) { f["model"]["vocab"]["a"] = {1}; }, kCorrupt, "'a'"},
      {"id is a fraction", [](json& f) { f["model"]["vocab"]["a"] = 1.5; }, kCorrupt, "1.5"},
      {"negative id", [](json& f) { f["model"]["vocab"]["a"] = -1; }, kCorrupt, "-1"},
      {"id of 2^32 - 1", [](json& f) { f["model"]["vocab"]["a"] = 4294967295U; }, kCorrupt,
       "4294967295"},
      {"id of 2 thousand million", [](json& f) { f["model"]["vocab"]["a"] = 2000000000; }, kCorrupt,
       "far beyond"},
      {"two tokens with one id", [](json& f) { f["model"]["vocab"]["a"] = 7; }, kCorrupt, "id 7"},
      {"merge of unknown tokens", [](json& f) { f["model"]["merges"][3] = "qqqq zzzz"; }, kCorrupt,
       "qqqq"},
      {"merge to an unknown token", [](json& f) { f["model"]["merges"][3] = "< <"; }, kCorrupt,
       "<<"},
      {"merge of one word", [](json& f) { f["model"]["merges"][3] = "ab"; }, kCorrupt,
       "model.merges[3]"},
      {"merge of three words", [](json& f) { f["model"]["merges"][3] = "a b c"; }, kCorrupt,
       "model.merges[3]"},
      {"merge with nothing", [](json& f) { f["model"]["merges"][3] = " a"; }, kCorrupt,
       "model.merges[3]"},
      {"merge of nothing and a token",
       [](json& f) {
         f["model"]["merges"][3] = {"", "a"};
       },
       kCorrupt, "model.merges[3]"},
      {"merge of three",
       [](json& f) {
         f["model"]["merges"][3] = {"a", "b", "c"};
       },
       kCorrupt, "model.merges[3]"},
      {"merge of numbers",
       [](json& f) {
         f["model"]["merges"][3] = {1, 2};
       },
       kCorrupt, "model.merges[3]"},
      {"merge is a number", [](json& f) { f["model"]["merges"][3] = 5; }, kCorrupt,
       "model.merges[3]"},
      {"merge is an object", [](json& f) { f["model"]["merges"][3] = json::object(); }, kCorrupt,
       "model.merges[3]"},
      {"unigram", [](json& f) { f["model"]["type"] = "Unigram"; }, kUnsupported, "Unigram"},
      {"type is a number", [](json& f) { f["model"]["type"] = 1; }, kCorrupt, "model.type"},
      {"byte fallback", [](json& f) { f["model"]["byte_fallback"] = true; }, kUnsupported,
       "byte_fallback"},
      {"subword prefix", [](json& f) { f["model"]["continuing_subword_prefix"] = "##"; },
       kUnsupported, "continuing_subword_prefix"},
      {"added tokens are text", [](json& f) { f["added_tokens"] = "x"; }, kCorrupt, "added_tokens"},
      {"added token is text", [](json& f) { f["added_tokens"][1] = "x"; }, kCorrupt,
       "added_tokens[1]"},
      {"added token without content", [](json& f) { f["added_tokens"][1].erase("content"); },
       kCorrupt, "added_tokens[1].content"},
      {"added token with a negative id", [](json& f) { f["added_tokens"][1]["id"] = -5; }, kCorrupt,
       "added_tokens[1].id"},
      {"added token far away", [](json& f) { f["added_tokens"][1]["id"] = 4000000000U; }, kCorrupt,
       "far beyond"},
      {"added token in the place of another", [](json& f) { f["added_tokens"][1]["id"] = 7; },
       kCorrupt, "id 7"},
      {"added token twice",
       [](json& f) {
         f["added_tokens"].push_back(f["added_tokens"][1]);
         f["added_tokens"].back()["id"] = 2030;
       },
       kCorrupt, "<|im_start|>"},
      {"added token without end",
       [](json& f) { f["added_tokens"][1]["content"] = std::string(100000, '<'); }, kUnsupported,
       "100000"},
      {"flag is text", [](json& f) { f["added_tokens"][1]["special"] = "yes"; }, kCorrupt,
       "added_tokens[1].special"},
      {"normalizer of another kind",
       [](json& f) {
         f["normalizer"] = {{"type", "Lowercase"}};
       },
       kUnsupported, "Lowercase"},
      {"normalizer without type", [](json& f) { f["normalizer"] = json::object(); }, kCorrupt,
       "normalizer.type"},
      {"no pre-tokenizer", [](json& f) { f["pre_tokenizer"] = nullptr; }, kUnsupported,
       "pre_tokenizer"},
      {"metaspace",
       [](json& f) {
         f["pre_tokenizer"] = {{"type", "Metaspace"}};
       },
       kUnsupported, "Metaspace"},
      {"pattern is a number", [](json& f) { pattern_of(f) = 3; }, kCorrupt, "pattern.Regex"},
      {"pattern breaks off", [](json& f) { pattern_of(f) = "(a"; }, kCorrupt, "pattern"},
      {"pattern with a lone bracket", [](json& f) { pattern_of(f) = "[a"; }, kCorrupt, "pattern"},
      {"pattern of nothing but brackets", [](json& f) { pattern_of(f) = std::string(60000, '('); },
       kCorrupt, "pattern"},
      {"pattern of 100 KB", [](json& f) { pattern_of(f) = std::string(100000, 'a'); }, kUnsupported,
       "64 KiB"},
      {"pattern that grows", [](json& f) { pattern_of(f) = "((a{60000}){60000}){60000}"; },
       kCorrupt, "pattern"},
      {"pattern that calls itself", [](json& f) { pattern_of(f) = "(?R)"; }, kUnsupported, "(?R"},
      {"pattern with a verb", [](json& f) { pattern_of(f) = "(*LIMIT_MATCH=9)a"; }, kUnsupported,
       "(*"},
      {"unknown property", [](json& f) { pattern_of(f) = "\\p{Klingon}"; }, kUnsupported,
       "Klingon"},
      {"split that drops text",
       [](json& f) { f["pre_tokenizer"]["pretokenizers"][0]["behavior"] = "Removed"; },
       kUnsupported, "Removed"},
  };
}

TEST(TokenizerHostile, ChangedFilesAreRefusedByName) {
  const json good = json::parse(tiny_tokenizer_json());
  for (const Case& each : cases()) {
    SCOPED_TRACE(each.name);
    json file = good;
    each.change(file);
    expect_refused(file.dump(), each.code, each.says);
  }
}

TEST(TokenizerHostile, TextThatIsNoDocument) {
  expect_refused("", kCorrupt, "not valid JSON");
  expect_refused("[]", kCorrupt, "not a JSON object");
  expect_refused("7", kCorrupt, "not a JSON object");
  expect_refused("{\"model\": {", kCorrupt, "not valid JSON");
  expect_refused("{\"model\": \"\xff\xfe\"}", kCorrupt, "not valid JSON");
  expect_refused(std::string(100000, '['), kCorrupt, "nested");
  expect_refused("{\"a\":" + std::string(1000000, '['), kCorrupt, "nested");
  const std::string good = tiny_tokenizer_json();
  expect_refused(good.substr(0, good.size() / 2), kCorrupt, "not valid JSON");
}

TEST(TokenizerHostile, TablesThatStandThereTwice) {
  expect_refused(R"({"model": {"vocab": {"a": 0}, "vocab": {"b": 0}, "merges": []}})", kCorrupt,
                 "twice");
  expect_refused(R"({"model": {"vocab": {"a": 0, "a": 1}, "merges": []},
                  "pre_tokenizer": {"type": "ByteLevel"}})",
                 kCorrupt, "the same");
}

// Merges whose result would be one of their own parts cannot be written down, but chains that
// visit the same tokens again and again can.
TEST(TokenizerHostile, MergesInACircleEnd) {
  const Tokenizer tokenizer(parse_tokenizer_json(R"({
    "model": {"vocab": {"a": 0, "aa": 1, "aaa": 2, "aaaa": 3},
              "merges": ["a a", "aa a", "a aa", "aa aa", "aaa a", "a aaa", "a a"]},
    "pre_tokenizer": {"type": "ByteLevel", "use_regex": false, "add_prefix_space": false}})"));
  const std::string text(10001, 'a');
  EXPECT_EQ(tokenizer.decode(tokenizer.encode(text)), text);
  EXPECT_TRUE(
      tokenizer.encode("b").empty());  // of a byte that the vocabulary lacks nothing is left
}

TEST(TokenizerHostile, PatternsThatBacktrackWithoutEnd) {
  json file = json::parse(tiny_tokenizer_json());
  for (const char* pattern : {"(a+)+$", "(a|aa)+$", "(a+a+)+[yz]|b", "(?:a|a|a)*[cd]"}) {
    pattern_of(file) = pattern;
    const Tokenizer tokenizer(parse_tokenizer_json(file.dump()));
    for (const std::size_t length : {std::size_t{60}, std::size_t{5000}}) {
      try {
        tokenizer.encode(std::string(length, 'a') + "!");
        ADD_FAILURE() << pattern;
      } catch (const Error& error) {
        EXPECT_EQ(error.code(), kUnsupported);
        EXPECT_NE(std::string(error.what()).find("backtracks"), std::string::npos);
      }
    }
  }
}

// A group that repeats needs the matcher's stack; a legitimate text must not exhaust it.
TEST(TokenizerHostile, RepeatedGroupsOnLongTextsWork) {
  json file = json::parse(tiny_tokenizer_json());
  pattern_of(file) = "(?:\\p{L}\\p{M}*(?:-\\p{L}\\p{M}*)*)+";
  const Tokenizer tokenizer(parse_tokenizer_json(file.dump()));
  const std::string text(20000, 'a');
  EXPECT_EQ(tokenizer.decode(tokenizer.encode(text)), text);
}

TEST(TokenizerHostile, SpecsFromElsewhereAreChecked) {
  const TokenizerSpec good = parse_tokenizer_json(tiny_tokenizer_json());
  const auto refused = [&](const std::function<void(TokenizerSpec&)>& change) {
    TokenizerSpec spec = good;
    change(spec);
    EXPECT_THROW(Tokenizer(std::move(spec)), Error);
  };
  refused([](TokenizerSpec& s) { s.added_tokens[0].id = -1; });
  refused([](TokenizerSpec& s) { s.added_tokens[0].id = 1 << 30; });
  refused([](TokenizerSpec& s) { s.added_tokens[0].content = "other"; });
  refused([](TokenizerSpec& s) { s.tokens[5] = s.tokens[6]; });
  refused([](TokenizerSpec& s) { s.tokens[5] = "\xff"; });
  refused([](TokenizerSpec& s) { s.merges[0].left_size = 1000; });
  refused([](TokenizerSpec& s) { s.merges[0].text.clear(); });
  refused([](TokenizerSpec& s) { s.merges[0] = {"a ", 1}; });
  refused([](TokenizerSpec& s) { s.patterns[0] = "["; });
  EXPECT_THROW(parse_merge("a"), Error);
  EXPECT_THROW(parse_merge(""), Error);
  EXPECT_THROW(parse_merge(" "), Error);
}

}  // namespace
}  // namespace pajamas::text
