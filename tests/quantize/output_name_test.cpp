#include "quantize/output_name.h"

#include <gtest/gtest.h>

#include "io/temp.h"

namespace pajamas::quantize {
namespace {

using test::expect_error;

std::string name(std::string_view pattern, Format format = Format::kGguf) {
  const std::string method = format == Format::kGguf ? "Q4_K_M" : "4bit";
  return OutputName::parse(pattern).of({"Qwen2.5-7B", method, format, "7.6B"});
}

TEST(OutputName, IsWhatHubsWrite) {
  EXPECT_EQ(name("{name}-{method}.gguf"), "Qwen2.5-7B-Q4_K_M.gguf");
  EXPECT_EQ(name("{name:lower}-{method:lower}.gguf"), "qwen2.5-7b-q4_k_m.gguf");
  EXPECT_EQ(name("{name:upper} {format}_{size}"), "QWEN2.5-7B gguf_7.6B.gguf");
  EXPECT_EQ(name("plain.GGUF"), "plain.gguf");
  // One pattern for both formats.
  EXPECT_EQ(name("{name}-{method}.gguf", Format::kMlx), "Qwen2.5-7B-4bit");
  EXPECT_EQ(name("{name}-{method}", Format::kMlx), "Qwen2.5-7B-4bit");
}

TEST(OutputName, KnowsWhetherMethodsGetDifferentNames) {
  EXPECT_TRUE(OutputName::parse("a{method:lower}").tells_methods());
  EXPECT_FALSE(OutputName::parse("{name}-{format}").tells_methods());
}

TEST(OutputName, ErrorsSayWhatThereIs) {
  expect_error(ErrorCode::kUsage, "did you mean name? there are {name}", [] { name("{nmae}"); });
  expect_error(ErrorCode::kUsage, "{name:big}", [] { name("{name:big}"); });
  expect_error(ErrorCode::kUsage, "{}", [] { name("{}"); });
  for (const char* pattern : {"{name", "name}", "{na{me}}", "{", "}"}) {
    expect_error(ErrorCode::kUsage, "no partner", [&] { name(pattern); });
  }
  expect_error(ErrorCode::kUsage, "--output", [] { name("gguf/{name}"); });
  expect_error(ErrorCode::kUsage, "--output", [] { name("../{name}"); });
  for (const char* pattern : {"", ".gguf", "..", ".hidden", "{name:lower"}) {
    EXPECT_THROW(name(pattern), Error) << pattern;
  }
}

}  // namespace
}  // namespace pajamas::quantize
