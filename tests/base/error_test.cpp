#include "base/error.h"

#include <gtest/gtest.h>

namespace pajamas {
namespace {

TEST(Error, ReadsWhatWhereTry) {
  const Error error = Error(ErrorCode::kNotFound, "no such key", "add it").at("key").at("file");
  EXPECT_STREQ(error.what(), "no such key (file: key); add it");
  EXPECT_EQ(error.problem(), "no such key");
  EXPECT_EQ(error.place(), "file: key");
  EXPECT_EQ(error.hint(), "add it");
  EXPECT_STREQ(Error(ErrorCode::kIo, "bad").what(), "bad");
  EXPECT_STREQ(Error(ErrorCode::kIo, "bad", "try").what(), "bad; try");
}

TEST(Error, StaysOnOneLineWhateverItQuotes) {
  EXPECT_STREQ(Error(ErrorCode::kIo, "a\nb").at("\x1b[31m").what(), "a\\x0ab (\\x1b[31m)");
}

TEST(Error, ContextIsAddedFromTheInsideOut) {
  try {
    with_context("outer", [] {
      with_context("inner", [] { throw Error(ErrorCode::kCorruptFile, "bad"); });
    });
    FAIL();
  } catch (const Error& error) {
    EXPECT_STREQ(error.what(), "bad (outer: inner)");
  }
  EXPECT_EQ(with_context("x", [] { return 7; }), 7);
}

TEST(Error, BrokenInvariantsAreInternal) {
  try {
    PJ_CHECK(1 > 2);
    FAIL();
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), ErrorCode::kInternal);
    EXPECT_NE(std::string(error.what()).find("1 > 2"), std::string::npos);
  }
}

TEST(Printable, EscapesControlsAndBrokenUtf8) {
  EXPECT_EQ(printable("plain \u00e9 \u4e2d \U0001f999"), "plain \u00e9 \u4e2d \U0001f999");
  EXPECT_EQ(printable(std::string_view("\0\n\r\x1b\x7f", 5)), "\\x00\\x0a\\x0d\\x1b\\x7f");
  EXPECT_EQ(printable("\xc2\x85"), "\\xc2\\x85");           // a C1 control
  EXPECT_EQ(printable("\xc0\xaf"), "\\xc0\\xaf");           // overlong
  EXPECT_EQ(printable("\xed\xa0\x80"), "\\xed\\xa0\\x80");  // surrogate
  EXPECT_EQ(printable("\xf4\x90\x80\x80"), "\\xf4\\x90\\x80\\x80");
  EXPECT_EQ(printable("a\xe4\xb8"), "a\\xe4\\xb8");  // cut
  EXPECT_EQ(printable("\xff"
                      "a"),
            "\\xffa");
}

TEST(Printable, CutsWhatIsLong) {
  EXPECT_EQ(printable("abcdef", 3), "abc...");
  EXPECT_EQ(printable("abc", 3), "abc");
  EXPECT_EQ(printable("\u4e2d\u4e2d", 2), "\u4e2d...");  // never within a character
}

}  // namespace
}  // namespace pajamas
