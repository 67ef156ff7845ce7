#include "cli/editor/edit_buffer.h"

#include <algorithm>
#include <utility>

#include "text/graphemes.h"

namespace pajamas::cli {
namespace {

bool is_space(char c) { return c == ' ' || c == '\t' || c == '\n'; }

}  // namespace

std::size_t EditBuffer::before(std::size_t at) const {
  return at == 0 ? 0 : text::previous_grapheme(text_, at);
}

std::size_t EditBuffer::behind(std::size_t at) const {
  return at == text_.size() ? at : text::next_grapheme(text_, at);
}

void EditBuffer::set(std::string text) {
  text_ = std::move(text);
  cursor_ = text_.size();
}

void EditBuffer::move_to(std::size_t offset) {
  cursor_ = text::grapheme_boundary(text_, std::min(offset, text_.size()));
}

void EditBuffer::insert(std::string_view text) {
  text_.insert(cursor_, text);
  move_to(cursor_ + text.size());  // it may have joined what stands around it
}

void EditBuffer::replace_before(std::size_t begin, std::string_view text) {
  text_.replace(begin, cursor_ - begin, text);
  move_to(begin + text.size());
}

void EditBuffer::left() { cursor_ = before(cursor_); }

void EditBuffer::right() { cursor_ = behind(cursor_); }

std::size_t EditBuffer::word_begin() const {
  std::size_t at = cursor_;
  const auto word_before = [&] {
    return text::is_word_grapheme(std::string_view(text_).substr(before(at), at - before(at)));
  };
  while (at > 0 && !word_before()) at = before(at);
  while (at > 0 && word_before()) at = before(at);
  return at;
}

std::size_t EditBuffer::word_end() const {
  std::size_t at = cursor_;
  const auto word_behind = [&] {
    return text::is_word_grapheme(std::string_view(text_).substr(at, behind(at) - at));
  };
  while (at < text_.size() && !word_behind()) at = behind(at);
  while (at < text_.size() && word_behind()) at = behind(at);
  return at;
}

void EditBuffer::word_left() { cursor_ = word_begin(); }

void EditBuffer::word_right() { cursor_ = word_end(); }

void EditBuffer::line_begin() {
  const std::size_t end = cursor_ == 0 ? std::string::npos : text_.rfind('\n', cursor_ - 1);
  cursor_ = end == std::string::npos ? 0 : end + 1;
}

void EditBuffer::line_end() { cursor_ = std::min(text_.find('\n', cursor_), text_.size()); }

void EditBuffer::erase(std::size_t begin, std::size_t end) {
  text_.erase(begin, end - begin);
  move_to(begin);
}

void EditBuffer::kill(std::size_t begin, std::size_t end) {
  if (begin == end) return;
  killed_ = text_.substr(begin, end - begin);
  erase(begin, end);
}

void EditBuffer::erase_left() { erase(before(cursor_), cursor_); }

void EditBuffer::erase_right() { erase(cursor_, behind(cursor_)); }

void EditBuffer::kill_word_left() { kill(word_begin(), cursor_); }

void EditBuffer::kill_word_right() { kill(cursor_, word_end()); }

void EditBuffer::kill_to_space() {
  std::size_t at = cursor_;
  while (at > 0 && is_space(text_[at - 1])) --at;
  while (at > 0 && !is_space(text_[at - 1])) --at;
  kill(at, cursor_);
}

void EditBuffer::kill_to_line_end() {
  const std::size_t end = std::min(text_.find('\n', cursor_), text_.size());
  kill(cursor_, end == cursor_ ? behind(cursor_) : end);
}

void EditBuffer::kill_all() { kill(0, text_.size()); }

void EditBuffer::yank() { insert(killed_); }

void EditBuffer::transpose() {
  const std::size_t middle = cursor_ == text_.size() ? before(cursor_) : cursor_;
  const std::size_t begin = before(middle);
  const std::size_t end = behind(middle);
  if (begin == middle || middle == end) return;
  const std::string moved = text_.substr(begin, middle - begin);
  text_.erase(begin, middle - begin);
  text_.insert(begin + (end - middle), moved);
  move_to(end);
}

}  // namespace pajamas::cli
