#include <gtest/gtest.h>

#include <string>

#include "cli/editor/edit_buffer.h"
#include "cli/editor/history_cursor.h"

namespace pajamas::cli {
namespace {

// The text with | where the cursor is.
std::string shown(const EditBuffer& buffer) {
  std::string text = buffer.text();
  return text.insert(buffer.cursor(), "|");
}

EditBuffer buffer_of(std::string text) {
  const std::size_t cursor = text.find('|');
  EditBuffer buffer;
  buffer.set(text.erase(cursor, 1));
  buffer.move_to(cursor);
  return buffer;
}

using Action = void (EditBuffer::*)();

std::string after(std::string text, Action action) {
  EditBuffer buffer = buffer_of(std::move(text));
  (buffer.*action)();
  return shown(buffer);
}

TEST(EditBuffer, MovesOverCharactersAsTheyAreSeen) {
  EXPECT_EQ(after("a👨‍👩‍👧|b", &EditBuffer::left), "a|👨‍👩‍👧b");
  EXPECT_EQ(after("a|👨‍👩‍👧b", &EditBuffer::right), "a👨‍👩‍👧|b");
  EXPECT_EQ(after("x|e\u0301", &EditBuffer::right), "xe\u0301|");
  EXPECT_EQ(after("🇩🇪🇫🇷|", &EditBuffer::left), "🇩🇪|🇫🇷");
  EXPECT_EQ(after("|", &EditBuffer::left), "|");
  EXPECT_EQ(after("a|", &EditBuffer::right), "a|");
}

TEST(EditBuffer, ErasesCharactersAsTheyAreSeen) {
  EXPECT_EQ(after("a👍🏽|b", &EditBuffer::erase_left), "a|b");
  EXPECT_EQ(after("a|e\u0301b", &EditBuffer::erase_right), "a|b");
  EXPECT_EQ(after("|a", &EditBuffer::erase_left), "|a");
  EXPECT_EQ(after("a|", &EditBuffer::erase_right), "a|");
  EXPECT_EQ(after("a\n|b", &EditBuffer::erase_left), "a|b");
}

TEST(EditBuffer, StaysOnBoundaries) {
  EditBuffer buffer = buffer_of("👨|👩");
  buffer.insert("\u200d");  // joins them
  EXPECT_EQ(shown(buffer), "👨‍👩|");
  buffer = buffer_of("e|x");
  buffer.insert("\u0301");
  EXPECT_EQ(shown(buffer), "e\u0301|x");
  buffer = buffer_of("🇩x|🇪");
  buffer.erase_left();  // the halves of a flag meet
  EXPECT_EQ(shown(buffer), "🇩🇪|");
}

TEST(EditBuffer, KnowsWordsAndLines) {
  EXPECT_EQ(after("one, two  |three", &EditBuffer::word_left), "one, |two  three");
  EXPECT_EQ(after("one|, two", &EditBuffer::word_right), "one, two|");
  EXPECT_EQ(after("für日本|", &EditBuffer::word_left), "|für日本");
  EXPECT_EQ(after("one\ntwo th|ree", &EditBuffer::line_begin), "one\n|two three");
  EXPECT_EQ(after("on|e\ntwo", &EditBuffer::line_end), "one|\ntwo");
  EXPECT_EQ(after("|", &EditBuffer::line_begin), "|");
}

TEST(EditBuffer, KillsAndYanks) {
  EXPECT_EQ(after("a b-c |d", &EditBuffer::kill_word_left), "a b-|d");
  EXPECT_EQ(after("a b-c |d", &EditBuffer::kill_to_space), "a |d");
  EXPECT_EQ(after("a| b c", &EditBuffer::kill_word_right), "a| c");
  EXPECT_EQ(after("o|ne\ntwo", &EditBuffer::kill_to_line_end), "o|\ntwo");
  EXPECT_EQ(after("one|\ntwo", &EditBuffer::kill_to_line_end), "one|two");
  EditBuffer buffer = buffer_of("one tw|o");
  buffer.kill_all();
  EXPECT_EQ(shown(buffer), "|");
  buffer.kill_to_space();  // nothing, which is not kept
  buffer.yank();
  buffer.yank();
  EXPECT_EQ(shown(buffer), "one twoone two|");
  buffer.replace_before(4, "2");
  EXPECT_EQ(shown(buffer), "one 2|");
}

TEST(EditBuffer, Transposes) {
  EXPECT_EQ(after("a日|b", &EditBuffer::transpose), "ab日|");
  EXPECT_EQ(after("ab|", &EditBuffer::transpose), "ba|");
  EXPECT_EQ(after("|ab", &EditBuffer::transpose), "|ab");
  EXPECT_EQ(after("a|", &EditBuffer::transpose), "a|");
  EXPECT_EQ(after("|", &EditBuffer::transpose), "|");
}

TEST(HistoryCursor, KeepsWhatWasChanged) {
  const std::vector<std::string> entries{"one", "two"};
  HistoryCursor history(entries);
  EXPECT_FALSE(history.newer("new"));
  EXPECT_EQ(history.older("new"), "two");
  EXPECT_EQ(history.older("two!"), "one");
  EXPECT_FALSE(history.older("one"));
  EXPECT_EQ(history.newer("one"), "two!");
  EXPECT_EQ(history.newer("two!"), "new");
  EXPECT_EQ(entries[1], "two");
  const std::vector<std::string> none;
  HistoryCursor empty(none);
  EXPECT_FALSE(empty.older(""));
  EXPECT_FALSE(empty.newer(""));
}

TEST(HistoryCursor, Finds) {
  const std::vector<std::string> entries{"one", "two", "one and two"};
  const HistoryCursor history(entries);
  EXPECT_EQ(history.find("one", 2, true), 2u);
  EXPECT_EQ(history.find("one", 1, true), 0u);
  EXPECT_EQ(history.find("one", 1, false), 2u);
  EXPECT_FALSE(history.find("three", 2, true));
  EXPECT_FALSE(history.find("one", static_cast<std::size_t>(-1), true));
}

}  // namespace
}  // namespace pajamas::cli
