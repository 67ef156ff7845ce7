#include "cli/log.h"

#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

namespace pajamas::cli {
namespace {

using nlohmann::ordered_json;

TEST(JsonLine, HoldsAllOfAnError) {
  const Error error = Error(ErrorCode::kNotFound, "no such \"file\"\n", "look").at("a/b");
  const std::string line = json_line(error);
  EXPECT_EQ(line.find('\n'), std::string::npos);
  EXPECT_EQ(ordered_json::parse(line), (ordered_json{{"level", "error"},
                                                     {"message", "no such \"file\"\n"},
                                                     {"code", "not_found"},
                                                     {"place", "a/b"},
                                                     {"hint", "look"},
                                                     {"status", 3}}));
}

TEST(JsonLine, TakesFieldsAndAnyBytes) {
  const std::string line = json_line("info", "caf\xc3\xa9 \xff\x01", {{"tokens", 3}});
  const auto parsed = ordered_json::parse(line);
  EXPECT_EQ(parsed["message"], "caf\xc3\xa9 \xef\xbf\xbd\x01");
  EXPECT_EQ(parsed["tokens"], 3);
}

}  // namespace
}  // namespace pajamas::cli
