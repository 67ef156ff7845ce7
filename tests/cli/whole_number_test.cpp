// What options of whole numbers take and refuse.
#include "cli/whole_number.h"

#include <gtest/gtest.h>

#include <cstdint>
#include <string>
#include <vector>

#include "cli/program.h"
#include "io/temp.h"

namespace pajamas::cli {
namespace {

using test::expect_error;

template <class Number>
Number parsed(const std::string& text, bool is_unsigned) {
  Program program("program", "1", "");
  const Command run = program.root().add_command("run", "");
  Number number = 0;
  run.add_option("--n", number, "").transform([is_unsigned](const std::string& typed) {
    return whole_number(typed, "--n", is_unsigned);
  });
  const std::string argument = "--n=" + text;
  const char* const arguments[] = {"program", "run", argument.c_str()};
  program.run(3, arguments, {});
  return number;
}

TEST(WholeNumber, IsTakenToItsLimits) {
  EXPECT_EQ(parsed<std::uint64_t>("18446744073709551615", true), UINT64_MAX);
  EXPECT_EQ(parsed<std::int64_t>("-9223372036854775808", false), INT64_MIN);
  EXPECT_EQ(parsed<std::int64_t>("010", false), 10);  // not 8
  EXPECT_EQ(parsed<int>("+5", false), 5);
}

TEST(WholeNumber, IsRefusedBeyondThem) {
  const auto refuse = [](const char* text, bool is_unsigned, const char* said) {
    expect_error(ErrorCode::kUsage, said, [&] { parsed<std::uint64_t>(text, is_unsigned); });
  };
  const char* const range = "(--n); give a whole number from 0 to 18446744073709551615";
  refuse("18446744073709551616", true, range);
  refuse("-1", true, range);
  refuse("9223372036854775808", false, "9223372036854775808 is out of range");
  for (const char* text : {"1.5", "1e3", "0x10", "x", "-", "+", "--1", " 1", "1 "}) {
    refuse(text, false, "is no whole number (--n); write it in digits");
    refuse(text, true, "is no whole number (--n); write it in digits");
  }
}

}  // namespace
}  // namespace pajamas::cli
