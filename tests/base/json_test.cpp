// What is said of text that is no JSON. Lines and columns were counted by hand, as editors do.
#include "base/json.h"

#include <gtest/gtest.h>

#include <nlohmann/json.hpp>
#include <string>

#include "io/temp.h"

namespace pajamas {
namespace {

using test::expect_error;

// Both parsers say `said`, and nothing of the library.
void expect_fault(const std::string& text, const std::string& said) {
  for (const bool ordered : {false, true}) {
    try {
      if (ordered) {
        parse_ordered_json(text);
      } else {
        parse_json(text);
      }
      ADD_FAILURE() << text;
    } catch (const Error& error) {
      EXPECT_EQ(error.code(), ErrorCode::kCorruptFile);
      const std::string what = error.what();
      EXPECT_EQ(what.rfind("is not JSON: " + said, 0), 0u) << what;
      EXPECT_EQ(what.find("json"), std::string::npos) << what;
      EXPECT_EQ(what.find("exception"), std::string::npos) << what;
      EXPECT_EQ(what.find("parse"), std::string::npos) << what;
    }
  }
}

TEST(ParseJson, SaysWhereAndWhat) {
  expect_fault("", "line 1, column 1: unexpected end of input");
  expect_fault("{\"a\": 1", "line 1, column 8: unexpected end of input");
  expect_fault("{\n  \"a\": 1,\n  }\n", "line 3, column 3: unexpected '}'");
  expect_fault("[1, 2] x", "line 1, column 8: invalid literal");
  expect_fault("{\n\"\u00e9\u00e9\": nul}", "line 2, column 10: invalid literal");
  expect_fault("[\n\n  1e999]", "line 3, column 7: number overflow");
  expect_fault("\"a\nb\"", "line 1, column 3: invalid string");
  expect_fault("[\"\xff\"]", "line 1, column 3: invalid string: ill-formed UTF-8");
}

TEST(ParseJson, ReadsWhatIsRight) {
  EXPECT_EQ(parse_json("{\"b\": [1, null]}").dump(), "{\"b\":[1,null]}");
  EXPECT_EQ(parse_ordered_json("{\"b\": 1, \"a\": 2}").dump(), "{\"b\":1,\"a\":2}");
  EXPECT_EQ(parse_ordered_json("[[1]]", 2).dump(), "[[1]]");
  expect_error(ErrorCode::kCorruptFile, "more than 2 levels",
               [] { parse_ordered_json("[[[1]]]", 2); });
}

}  // namespace
}  // namespace pajamas
