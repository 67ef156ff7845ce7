// The text that is being edited, and what keys do to it.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>

namespace pajamas::cli {

// The cursor never stands inside of a character (a grapheme cluster). A line ends at a line end of
// the text, however it is shown. Moves that lead nowhere do nothing.
class EditBuffer {
 public:
  const std::string& text() const noexcept { return text_; }
  std::size_t cursor() const noexcept { return cursor_; }
  bool empty() const noexcept { return text_.empty(); }

  // The cursor comes to stand behind it.
  void set(std::string text);
  void insert(std::string_view text);
  // In place of what stands from `begin` to the cursor.
  void replace_before(std::size_t begin, std::string_view text);
  void move_to(std::size_t offset);

  void left();
  void right();
  void word_left();
  void word_right();
  void line_begin();
  void line_end();

  void erase_left();
  void erase_right();
  // These keep what they erase for `yank`.
  void kill_word_left();
  void kill_word_right();
  void kill_to_space();     // to the left
  void kill_to_line_end();  // at the end of a line: the line end
  void kill_all();
  void yank();
  // The characters before and at the cursor change places (at the end: the two before it).
  void transpose();

 private:
  std::size_t before(std::size_t at) const;
  std::size_t behind(std::size_t at) const;
  std::size_t word_begin() const;
  std::size_t word_end() const;
  void erase(std::size_t begin, std::size_t end);
  void kill(std::size_t begin, std::size_t end);

  std::string text_;  // valid UTF-8
  std::size_t cursor_ = 0;
  std::string killed_;
};

}  // namespace pajamas::cli
