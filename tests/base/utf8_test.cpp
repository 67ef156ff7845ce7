// Against the code points themselves: every character that there is, and nothing else.
#include "base/utf8.h"

#include <gtest/gtest.h>

#include <set>
#include <string>

namespace pajamas {
namespace {

// As RFC 3629 says.
std::string encoded(std::uint32_t point) {
  const auto tail = [&](int shift) { return static_cast<char>(0x80 | (point >> shift & 0x3F)); };
  if (point < 0x80) return {static_cast<char>(point)};
  if (point < 0x800) return {static_cast<char>(0xC0 | point >> 6), tail(0)};
  if (point < 0x10000) return {static_cast<char>(0xE0 | point >> 12), tail(6), tail(0)};
  return {static_cast<char>(0xF0 | point >> 18), tail(12), tail(6), tail(0)};
}

bool is_character(std::uint32_t point) {
  return point < 0x110000 && (point < 0xD800 || point > 0xDFFF);
}

TEST(Utf8, EveryCharacterIsWholeAndItsBeginningsMayGoOn) {
  for (std::uint32_t point = 0; point < 0x110000; ++point) {
    if (!is_character(point)) continue;
    const std::string text = encoded(point) + "x";
    const std::size_t size = text.size() - 1;
    const Utf8Front front = utf8_front(text);
    ASSERT_TRUE(front.whole && front.bytes == size && !front.may_go_on) << point;
    for (std::size_t cut = 1; cut < size; ++cut) {
      const Utf8Front begun = utf8_front(std::string_view(text).substr(0, cut));
      ASSERT_TRUE(!begun.whole && begun.may_go_on && begun.bytes == cut) << point;
      const std::string broken = text.substr(0, cut) + "x";
      const Utf8Front other = utf8_front(broken);
      ASSERT_TRUE(!other.whole && !other.may_go_on && other.bytes == cut) << point;
    }
  }
}

// Of three bytes whatever is whole is one of those; and what is beyond them is not.
TEST(Utf8, NothingElseIsWhole) {
  std::set<std::string> two, three;
  for (std::uint32_t point = 0x80; point < 0x10000; ++point) {
    if (is_character(point)) (point < 0x800 ? two : three).insert(encoded(point));
  }
  std::size_t found_two = 0, found_three = 0;
  for (int a = 0x80; a < 0x100; ++a) {
    for (int b = 0; b < 0x100; ++b) {
      const std::string pair{static_cast<char>(a), static_cast<char>(b)};
      const Utf8Front front = utf8_front(pair);
      if (front.whole) {
        ++found_two;
        EXPECT_TRUE(two.contains(pair));
      }
      if (!front.may_go_on || front.bytes != 2) continue;
      for (int c = 0x60; c < 0x100; ++c) {
        const std::string triple = pair + static_cast<char>(c);
        if (!utf8_front(triple).whole) continue;
        ++found_three;
        EXPECT_TRUE(three.contains(triple));
      }
    }
  }
  EXPECT_EQ(found_two, two.size());
  EXPECT_EQ(found_three, three.size());
  for (const std::uint32_t point : {0x110000u, 0x13FFFFu, 0x1FFFFFu}) {
    EXPECT_FALSE(utf8_front(encoded(point)).whole);
    EXPECT_LT(utf8_front(encoded(point)).bytes, 3u);
  }
  for (const char* text :
       {"\x80", "\xBF", "\xC0\x80", "\xC1\xBF", "\xFE", "\xFF", "\xF0\x8F\xBF\xBF"}) {
    EXPECT_FALSE(utf8_front(text).whole);
    EXPECT_EQ(utf8_front(text).bytes, 1u);
  }
}

}  // namespace
}  // namespace pajamas
