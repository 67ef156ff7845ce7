#include "base/json_numbers.h"

#include <gtest/gtest.h>

#include <cmath>
#include <nlohmann/json.hpp>

namespace pajamas {
namespace {

using nlohmann::json;

json read(std::string_view text) {
  const auto quoted = quote_non_finite(text);
  json document = json::parse(quoted ? *quoted : text);
  restore_non_finite(document, quoted.has_value());
  return document;
}

// The text is what Python's json.dumps writes of such a dictionary.
TEST(JsonNumbers, ReadsWhatPythonWrites) {
  const json document =
      read(R"({"a": NaN, "b": [Infinity, -Infinity, 1.5], "NaN": "NaN, Infinity", "c": "\" NaN"})");
  EXPECT_TRUE(std::isnan(document["a"].get<double>()));
  EXPECT_EQ(document["b"], json({INFINITY, -INFINITY, 1.5}));
  EXPECT_EQ(document["NaN"], "NaN, Infinity");
  EXPECT_EQ(document["c"], "\" NaN");
}

TEST(JsonNumbers, ReadsWhatTransformersWrites) {
  EXPECT_EQ(read(R"({"a": {"__float__": "-Infinity"}})")["a"], -INFINITY);
  EXPECT_TRUE(read(R"([{"__float__": "1"}])")[0].is_object());
}

TEST(JsonNumbers, LeavesOtherTextAndPlacesAlone) {
  EXPECT_FALSE(quote_non_finite(R"({"NaN": "Infinity \" NaN", "b": -1e5})"));
  EXPECT_FALSE(quote_non_finite("[NaNs, xInfinity, nan]"));
  EXPECT_FALSE(quote_non_finite("\"unfinished \\"));
  const std::string text = "[NaN, Infinity, -Infinity]";
  EXPECT_EQ(quote_non_finite(text)->size(), text.size());
  // A string that looks like a stand-in stays a string where there is none.
  EXPECT_EQ(read("[\"\x7f\"]")[0], "\x7f");
  EXPECT_THROW(read("[-NaN]"), json::exception);
}

TEST(JsonNumbers, WritesWhatPythonReads) {
  const json document = {{"a", NAN}, {"b", {INFINITY, -INFINITY, 0.5}}, {"c", "x\""}};
  EXPECT_EQ(dump_json(document, -1), R"({"a":NaN,"b":[Infinity,-Infinity,0.5],"c":"x\""})");
  EXPECT_EQ(dump_json({{"a", 1}}, 2), json({{"a", 1}}).dump(2));
}

TEST(JsonNumbers, DeepDocumentsNeedNoStack) {
  json document = read(std::string(200'000, '[') + "NaN" + std::string(200'000, ']'));
  const json* value = &document;
  while (value->is_array()) value = &value->front();
  EXPECT_TRUE(value->is_number_float());
}

}  // namespace
}  // namespace pajamas
