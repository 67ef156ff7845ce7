// Lines with editing, history and completion.
#include <poll.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <optional>
#include <string_view>
#include <utility>

#include "cli/chat/line_history.h"
#include "cli/chat/line_source.h"
#include "cli/editor/edit_buffer.h"
#include "cli/editor/history_cursor.h"
#include "cli/editor/keys.h"
#include "cli/editor/layout.h"
#include "cli/editor/raw_terminal.h"
#include "cli/editor/screen.h"
#include "text/graphemes.h"

namespace pajamas::cli {
namespace {

using Code = Key::Code;

bool input_waits() {
  pollfd file{STDIN_FILENO, POLLIN, 0};
  return ::poll(&file, 1, 0) > 0;
}

class LineEditor final : public LineSource {
 public:
  LineEditor(ChatSignals& signals, Completer complete)
      : signals_(signals), complete_(std::move(complete)), history_(kept_.entries()) {}

  Line read(const std::string& prompt) override {
    prompt_ = prompt;
    buffer_.set({});
    history_ = HistoryCursor(kept_.entries());
    search_.reset();
    browsing_ = false;
    goal_.reset();
    terminal_.begin();
    size_ = RawTerminal::size();
    screen_.forget();
    RawTerminal::write("\r");
    const Line::End end = edit();
    search_.reset();
    buffer_.move_to(buffer_.text().size());
    RawTerminal::write(screen_.finish(layout()));
    terminal_.end();
    return {end, end == Line::End::kEof ? std::string() : buffer_.text()};
  }

  void remember(const std::string& entry) override { kept_.append(entry); }

 private:
  // Of what Ctrl-R looks for.
  struct Search {
    std::string query;
    std::optional<std::size_t> found;  // entry
    bool failed = false;               // nothing more; what was found before is still shown
    std::string text;                  // of before the search, and its cursor
    std::size_t cursor = 0;
  };

  Line::End edit() {
    for (;;) {
      while (const std::optional<Key> key = keys_.next()) {
        if (const auto end = take(*key)) return *end;
      }
      if (!keys_.in_paste() && !input_waits()) refresh();
      switch (signals_.wait(STDIN_FILENO)) {
        case ChatSignals::Event::kInterrupt:
          keys_.clear();
          return Line::End::kInterrupt;
        case ChatSignals::Event::kEnd:
          return Line::End::kEnded;
        case ChatSignals::Event::kResumed:  // a shell has had the terminal
          terminal_.begin();
          size_ = RawTerminal::size();
          RawTerminal::write(kClearLines);
          screen_.forget();
          break;
        case ChatSignals::Event::kResized:
          size_ = RawTerminal::size();
          RawTerminal::write(screen_.resize(size_.columns));
          break;
        case ChatSignals::Event::kInput:
          if (!fill()) return Line::End::kEof;
          break;
      }
    }
  }

  // False at the end of the input. What stands behind the line is for whoever reads next, the shell
  // maybe, so it is left where it is; a paste is read faster.
  bool fill() {
    char bytes[4096];
    const ssize_t got = ::read(STDIN_FILENO, bytes, keys_.in_paste() ? sizeof(bytes) : 1);
    if (got < 0 && (errno == EINTR || errno == EAGAIN)) return true;
    if (got <= 0) return false;
    keys_.push({bytes, static_cast<std::size_t>(got)});
    return true;
  }

  Layout layout() const {
    if (!search_) return lay_out(prompt_, buffer_.text(), buffer_.cursor(), size_.columns);
    const std::string prompt =
        (search_->failed ? "(no other `" : "(search `") + search_->query + "') ";
    return lay_out(prompt, buffer_.text(), buffer_.cursor(), size_.columns);
  }

  void refresh() { RawTerminal::write(screen_.draw(layout(), size_)); }

  // What a key does; how the line ends if it ends it.
  std::optional<Line::End> take(const Key& key) {
    if (search_ && take_for_search(key)) return std::nullopt;
    if (key.code != Code::kUp && key.code != Code::kDown) goal_.reset();
    const bool was_browsing = std::exchange(browsing_, false);
    if (std::exchange(verbatim_, false) && key.code == Code::kTab) {
      buffer_.insert("\t");
      return std::nullopt;
    }
    switch (key.code) {
      case Code::kCharacter:
        if (key.control) return take_control(key.text.front());
        if (key.alt) {
          take_alt(key.text);
        } else {
          buffer_.insert(key.text);
        }
        break;
      case Code::kPaste: {
        std::string text = editable_text(key.text);
        if (text.ends_with('\n')) text.pop_back();  // a copied line; it may still be edited
        buffer_.insert(text);
        break;
      }
      case Code::kEnter:
        if (!key.alt && !key.shift) return Line::End::kLine;
        buffer_.insert("\n");
        break;
      case Code::kTab:
        if (!key.shift) complete();
        break;
      case Code::kBackspace:
        if (key.alt || key.control) {
          buffer_.kill_word_left();
        } else {
          buffer_.erase_left();
        }
        break;
      case Code::kDelete:
        if (key.alt || key.control) {
          buffer_.kill_word_right();
        } else {
          buffer_.erase_right();
        }
        break;
      case Code::kUp:
      case Code::kDown:
        take_vertical(key.code == Code::kUp, was_browsing);
        break;
      case Code::kPageUp:
      case Code::kPageDown:
        browse(key.code == Code::kPageUp);
        break;
      default:
        take_move(key);
        break;
    }
    return std::nullopt;
  }

  void take_move(const Key& key) {
    const bool far = key.alt || key.control;
    switch (key.code) {
      case Code::kLeft:
        return far ? buffer_.word_left() : buffer_.left();
      case Code::kRight:
        return far ? buffer_.word_right() : buffer_.right();
      case Code::kHome:
        return far ? buffer_.move_to(0) : buffer_.line_begin();
      case Code::kEnd:
        return far ? buffer_.move_to(buffer_.text().size()) : buffer_.line_end();
      default:
        return;
    }
  }

  std::optional<Line::End> take_control(char letter) {
    switch (letter) {
      case 'a':
        buffer_.line_begin();
        break;
      case 'b':
        buffer_.left();
        break;
      case 'd':
        if (buffer_.empty()) return Line::End::kEof;
        buffer_.erase_right();
        break;
      case 'e':
        buffer_.line_end();
        break;
      case 'f':
        buffer_.right();
        break;
      case 'k':
        buffer_.kill_to_line_end();
        break;
      case 'l':
        RawTerminal::write("\x1b[H\x1b[2J");
        screen_.forget();
        break;
      case 'n':
      case 'p':
        browse(letter == 'p');
        break;
      case 'r':
      case 's':
        search_ = Search{{}, {}, false, buffer_.text(), buffer_.cursor()};
        break;
      case 't':
        buffer_.transpose();
        break;
      case 'u':
        buffer_.kill_all();
        break;
      case 'v':
        verbatim_ = true;
        break;
      case 'w':
        buffer_.kill_to_space();
        break;
      case 'y':
        buffer_.yank();
        break;
      default:
        break;
    }
    return std::nullopt;
  }

  void take_alt(std::string_view letter) {
    if (letter == "b" || letter == "B") buffer_.word_left();
    if (letter == "f" || letter == "F") buffer_.word_right();
    if (letter == "d" || letter == "D") buffer_.kill_word_right();
    if (letter == "<") buffer_.move_to(0);
    if (letter == ">") buffer_.move_to(buffer_.text().size());
  }

  // To the row above or below of the message; where there is none, or while entries are being
  // walked through, to another entry.
  void take_vertical(bool up, bool was_browsing) {
    const auto to = was_browsing ? std::nullopt
                                 : vertical_move(prompt_, buffer_.text(), buffer_.cursor(),
                                                 size_.columns, up ? -1 : 1, goal_);
    if (to) {
      buffer_.move_to(*to);
    } else {
      browse(up);
    }
  }

  void browse(bool older) {
    browsing_ = true;
    const auto text = older ? history_.older(buffer_.text()) : history_.newer(buffer_.text());
    if (text) buffer_.set(editable_text(*text));
  }

  // False: the search is over, what was found stays, and the key means what it always does.
  bool take_for_search(const Key& key) {
    const bool plain = key.code == Code::kCharacter && !key.control && !key.alt;
    const std::size_t newest = kept_.entries().size() - 1;  // of none: beyond
    if (plain) {
      search_->query += key.text;
      find(search_->found.value_or(newest), true);
    } else if (key.code == Code::kBackspace && !search_->query.empty()) {
      search_->query.resize(text::previous_grapheme(search_->query, search_->query.size()));
      find(newest, true);
    } else if (key.code == Code::kCharacter && key.control && key.text == "g") {
      buffer_.set(search_->text);
      buffer_.move_to(search_->cursor);
      search_.reset();
    } else if (key.code == Code::kCharacter && key.control &&
               (key.text == "r" || key.text == "s")) {
      if (search_->query.empty()) search_->query = last_query_;
      const bool older = key.text == "r";
      const std::size_t from = search_->found.value_or(older ? newest + 1 : newest);
      find(older ? from - 1 : from + 1, older);
    } else {
      if (search_->found) history_.move_to(*search_->found);
      last_query_ = search_->query;
      search_.reset();
      return false;
    }
    return true;
  }

  void find(std::size_t from, bool older) {
    if (search_->query.empty()) return;
    const auto found = history_.find(search_->query, from, older);
    search_->failed = !found;
    if (!found) return;
    search_->found = found;
    buffer_.set(editable_text(kept_.entries()[*found]));
    buffer_.move_to(std::min(buffer_.text().find(search_->query), buffer_.text().size()));
  }

  void complete() {
    const Completion completion =
        complete_(std::string_view(buffer_.text()).substr(0, buffer_.cursor()));
    if (!completion.applies) return buffer_.insert("\t");
    const auto& candidates = completion.candidates;
    const std::string common = common_prefix(candidates);
    if (candidates.size() == 1) {
      buffer_.replace_before(completion.begin, common + completion.behind);
    } else if (common.size() > buffer_.cursor() - completion.begin) {
      buffer_.replace_before(completion.begin, common);
    } else if (candidates.empty()) {
      RawTerminal::write("\a");
    } else {
      show(completion);
    }
  }

  // The candidates, and the line once more below them.
  void show(const Completion& completion) {
    const std::size_t cursor = buffer_.cursor();
    buffer_.move_to(buffer_.text().size());
    std::string out = screen_.finish(layout());
    for (const std::string& row :
         candidate_rows(completion, size_.columns, std::max<std::size_t>(4, size_.rows) - 2)) {
      out += row + "\r\n";
    }
    RawTerminal::write(out);
    buffer_.move_to(cursor);
  }

  ChatSignals& signals_;
  Completer complete_;
  LineHistory kept_;
  HistoryCursor history_;
  RawTerminal terminal_;
  KeyDecoder keys_;
  EditBuffer buffer_;
  Screen screen_;
  ScreenSize size_;  // as it was when the screen was drawn
  std::string prompt_;
  std::optional<Search> search_;
  std::string last_query_;
  bool browsing_ = false;            // the key before went to another entry
  bool verbatim_ = false;            // the key before was Ctrl-V
  std::optional<std::size_t> goal_;  // the column that moving up and down keeps to
};

}  // namespace

std::unique_ptr<LineSource> open_line_editor(ChatSignals& signals, Completer complete) {
  return std::make_unique<LineEditor>(signals, std::move(complete));
}

}  // namespace pajamas::cli
