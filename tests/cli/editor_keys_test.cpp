#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "cli/editor/keys.h"

namespace pajamas::cli {
namespace {

using Code = Key::Code;

std::vector<Key> decode(std::string_view bytes) {
  KeyDecoder decoder;
  std::vector<Key> keys;
  for (const char byte : bytes) {  // as slowly as they may come
    decoder.push({&byte, 1});
    while (const auto key = decoder.next()) keys.push_back(*key);
  }
  return keys;
}

// "CA-left": modifiers (Control, Alt, Shift) and what the key is.
std::string name(const Key& key) {
  static constexpr const char* kNames[] = {"",       "paste ", "enter",  "tab",      "backspace",
                                           "delete", "left",   "right",  "up",       "down",
                                           "home",   "end",    "pageup", "pagedown", "unknown"};
  std::string text =
      std::string(key.control ? "C" : "") + (key.alt ? "A" : "") + (key.shift ? "S" : "");
  if (!text.empty()) text += '-';
  return text + kNames[static_cast<int>(key.code)] + key.text;
}

std::string names(std::string_view bytes) {
  std::string text;
  for (const Key& key : decode(bytes)) text += (text.empty() ? "" : " ") + name(key);
  return text;
}

TEST(KeyDecoder, KnowsWhatTerminalsSend) {
  const std::pair<const char*, const char*> cases[] = {
      {"a", "a"},
      {"é日👍", "é 日 👍"},
      {"\x01\x1a\x1f", "C-a C-z C-_"},
      {"\r\n\t\x7f\b", "enter enter tab backspace backspace"},
      // xterm, in both modes of its cursor keys
      {"\x1b[A\x1b[B\x1b[C\x1b[D", "up down right left"},
      {"\x1bOA\x1bOB\x1bOC\x1bOD\x1bOH\x1bOF", "up down right left home end"},
      {"\x1b[H\x1b[F\x1b[3~\x1b[5~\x1b[6~", "home end delete pageup pagedown"},
      {"\x1b[1;5C\x1b[1;5D\x1b[1;3C\x1b[1;3D\x1b[1;2A", "C-right C-left A-right A-left S-up"},
      {"\x1b[1;7D\x1b[3;5~\x1b[Z", "CA-left C-delete S-tab"},
      {"\x1b[2~\x1b[15~\x1bOP\x1b[I", "unknown unknown unknown unknown"},
      // the Linux console, rxvt, PuTTY, macOS
      {"\x1b[1~\x1b[4~\x1b[[A\x1b[7~\x1b[8~", "home end unknown home end"},
      {"\x1bOc\x1bOd\x1b[3^\x1b[7^", "C-right C-left C-delete C-home"},
      {"\x1b[5D\x1b\x1b[D\x1b\x1b[C", "C-left A-left A-right"},
      {"\x1b"
       "b\x1b"
       "f\x1b\x7f\x1b\r",
       "A-b A-f A-backspace A-enter"},
      // xterm's modifyOtherKeys and CSI u
      {"\x1b[27;2;13~\x1b[13;2u\x1b[97;5u\x1b[228u", "S-enter S-enter C-a ä"},
      {"\x1b[27;5;9~\x1b[127;3u", "C-tab A-backspace"},
      // an Escape that somebody pressed before
      {"\x1b\x1b\x1b"
       "b",
       "A-b"},
  };
  for (const auto& [bytes, expected] : cases) EXPECT_EQ(names(bytes), expected);
}

TEST(KeyDecoder, TakesPastesWhole) {
  EXPECT_EQ(names("a\x1b[200~one\rtwo\x1b[A\x1b[201\x1b[201~b"),
            "a paste one\rtwo\x1b[A\x1b[201 b");
  KeyDecoder decoder;
  decoder.push("\x1b[200~x\x1b[20");
  EXPECT_FALSE(decoder.next());
  EXPECT_TRUE(decoder.in_paste());
  decoder.push("1~y");
  EXPECT_EQ(name(*decoder.next()), "paste x");
  EXPECT_FALSE(decoder.in_paste());
  EXPECT_EQ(name(*decoder.next()), "y");
}

TEST(KeyDecoder, GetsOverWhatIsNoKey) {
  EXPECT_EQ(names("\xff"
                  "a"),
            "\uFFFD a");
  EXPECT_EQ(names("\xc3"
                  "a"),
            "\uFFFD a");
  EXPECT_EQ(names("\xe6\x97\x1b[A"), "\uFFFD up");
  EXPECT_EQ(names("\xed\xa0\x80"
                  "a"),
            "\uFFFD a");  // a surrogate
  EXPECT_EQ(names("\x1b[12\x03"
                  "a"),
            "unknown C-c a");
  EXPECT_EQ(names("\x1b[1114112u\x1b[55296u"), "unknown unknown");
  EXPECT_EQ(names("\x1b[" + std::string(200, '1') + "~").substr(0, 7), "unknown");
}

TEST(KeyDecoder, NeverStalls) {
  // Any two bytes, and then a key: it arrives, maybe as the end of a sequence, and the next does.
  for (int first = 0; first < 256; ++first) {
    for (int second = 0; second < 256; ++second) {
      const char bytes[] = {static_cast<char>(first), static_cast<char>(second)};
      const std::vector<Key> keys = decode(std::string(bytes, 2) + "~~~~x");
      ASSERT_FALSE(keys.empty());
      EXPECT_EQ(keys.back().text, "x") << first << ' ' << second;
    }
  }
}

TEST(EditableText, IsText) {
  EXPECT_EQ(editable_text("a\r\nb\rc\n\td"), "a\nb\nc\n\td");
  EXPECT_EQ(editable_text("a\x1b[31mb\x07\x7f\xc2\x9b"
                          "c"),
            "a[31mbc");
  EXPECT_EQ(editable_text("a\xff\xe6"), "a\uFFFD\uFFFD");
}

}  // namespace
}  // namespace pajamas::cli
