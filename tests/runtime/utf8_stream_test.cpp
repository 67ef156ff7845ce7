#include "runtime/utf8_stream.h"

#include <gtest/gtest.h>

namespace pajamas::runtime {
namespace {

std::string streamed(std::string_view bytes, std::size_t piece) {
  Utf8Stream stream;
  std::string out;
  for (std::size_t i = 0; i < bytes.size(); i += piece) out += stream.push(bytes.substr(i, piece));
  return out + stream.finish();
}

TEST(Utf8Stream, HoldsBackUntilACharacterIsWhole) {
  Utf8Stream stream;
  EXPECT_EQ(stream.push("a\xF0\x9F"), "a");
  EXPECT_EQ(stream.push("\x98"), "");
  EXPECT_EQ(stream.push("\x80z"), "\xF0\x9F\x98\x80z");
  EXPECT_EQ(stream.finish(), "");
}

TEST(Utf8Stream, WholeTextsPassWhateverThePieces) {
  const std::string text = "plain \xC3\xA9 \xE2\x82\xAC \xF4\x8F\xBF\xBF \xED\x9F\xBF end";
  for (std::size_t piece = 1; piece < 6; ++piece) EXPECT_EQ(streamed(text, piece), text);
}

// Expected: Python 3.11's bytes.decode("utf-8", "replace").
TEST(Utf8Stream, ReplacesWhatCanNeverBecomeACharacter) {
  const std::string r = "\xEF\xBF\xBD";
  for (std::size_t piece = 1; piece < 4; ++piece) {
    EXPECT_EQ(streamed("\xFF"
                       "a\x80",
                       piece),
              r + "a" + r);
    EXPECT_EQ(streamed("\xE2\x82", piece), r);
    EXPECT_EQ(streamed("\xE2\x82X", piece), r + "X");
    EXPECT_EQ(streamed("\xC0\xAF", piece), r + r);
    EXPECT_EQ(streamed("\xED\xA0\x80", piece), r + r + r);
    EXPECT_EQ(streamed("\xF4\x90\x80\x80", piece), r + r + r + r);
    EXPECT_EQ(streamed("\xF0\x9F\x98\xE2\x82\xAC", piece), r + "\xE2\x82\xAC");
  }
}

}  // namespace
}  // namespace pajamas::runtime
