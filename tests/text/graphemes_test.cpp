#include "text/graphemes.h"

#include <gtest/gtest.h>

#include <fstream>
#include <sstream>
#include <string>
#include <vector>

#include "paths.h"
#include "text/utf8.h"

namespace pajamas::text {
namespace {

// A line of Unicode's own test: the text, and where its clusters end.
struct BreakCase {
  std::string line;
  std::string text;
  std::vector<std::size_t> ends;
};

std::vector<BreakCase> unicode_cases() {
  std::ifstream file(source_dir() + "/tests/text/data/grapheme_breaks.txt");
  std::vector<BreakCase> cases;
  for (std::string line; std::getline(file, line);) {
    if (line.starts_with('#')) continue;
    BreakCase each{line, {}, {}};
    std::istringstream words(line);
    for (std::string word; words >> word;) {
      if (word == "|") {
        each.ends.push_back(each.text.size());
      } else if (word != "+") {
        append_utf8(each.text, static_cast<std::uint32_t>(std::stoul(word, nullptr, 16)));
      }
    }
    each.ends.push_back(each.text.size());
    cases.push_back(each);
  }
  return cases;
}

TEST(Graphemes, EndWhereUnicodeSays) {
  const std::vector<BreakCase> cases = unicode_cases();
  ASSERT_GT(cases.size(), 500u);
  for (const BreakCase& each : cases) {
    std::vector<std::size_t> ends;
    for (std::size_t at = 0; at < each.text.size();) {
      at = next_grapheme(each.text, at);
      ends.push_back(at);
    }
    EXPECT_EQ(ends, each.ends) << each.line;
  }
}

TEST(Graphemes, AreFoundFromAnyPlace) {
  std::string all;  // the cases behind each other, which joins some of them
  for (const BreakCase& each : unicode_cases()) all += each.text;
  std::size_t begin = 0;
  while (begin < all.size()) {
    const std::size_t end = next_grapheme(all, begin);
    for (std::size_t at = begin + 1; at <= end; ++at) {
      ASSERT_EQ(grapheme_boundary(all, at), end) << at;
    }
    ASSERT_EQ(previous_grapheme(all, end), begin);
    begin = end;
  }
  EXPECT_EQ(grapheme_boundary(all, 0), 0u);
}

TEST(Graphemes, AreFoundInALongTextAtOnce) {
  std::string text;
  for (int i = 0; i < 200000; ++i) text += "語";
  for (int i = 0; i < 20000; ++i) {  // from the beginning this would take minutes
    const std::size_t at = text.size() - 3 * static_cast<std::size_t>(i);
    ASSERT_EQ(previous_grapheme(text, at), at - 3);
    ASSERT_EQ(grapheme_boundary(text, at - 1), at);
  }
}

// What Python's package wcwidth says, for all but a flag's half.
TEST(Graphemes, HaveColumns) {
  const auto columns = [](std::string_view cluster) { return grapheme_columns(cluster).count; };
  for (const std::string_view one : {"a", "é", "e\u0301", "à\u0301\u0302", "ﾊ", "❤", "☃", "नि"}) {
    EXPECT_EQ(columns(one), 1u) << one;
  }
  for (const std::string_view two :
       {"日", "한", "\u1112\u1161\u11ab", "👍", "👍🏽", "👨‍👩‍👧‍👦", "🇩🇪",
        "❤️", "Ａ", "1️⃣", "⌚", "🏳️‍🌈"}) {
    EXPECT_EQ(columns(two), 2u) << two;
  }
  EXPECT_EQ(columns("\u200b"), 0u);
}

TEST(Graphemes, AreCertainWhereTerminalsAgree) {
  for (const std::string_view certain : {"a", "é", "e\u0301", "日", "한", "ﾊ", "-"}) {
    EXPECT_TRUE(grapheme_columns(certain).certain) << certain;
  }
  for (const std::string_view not_so :
       {"👍", "👍🏽", "👨‍👩‍👧‍👦", "🇩🇪", "❤️", "1️⃣", "\u200b", "\ue000",
        "\u1112\u1161\u11ab", "\u0378"}) {
    EXPECT_FALSE(grapheme_columns(not_so).certain) << not_so;
  }
}

TEST(Graphemes, MakeWords) {
  for (const std::string_view word : {"a", "Ä", "7", "_", "語", "e\u0301"}) {
    EXPECT_TRUE(is_word_grapheme(word)) << word;
  }
  for (const std::string_view other : {" ", "-", "\n", "👍", "。", ""}) {
    EXPECT_FALSE(is_word_grapheme(other)) << other;
  }
}

}  // namespace
}  // namespace pajamas::text
