// Lines with editing and history, by libedit.
#include <histedit.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <clocale>
#include <cstdio>
#include <cwchar>
#include <string_view>

#include "cli/line_history.h"
#include "cli/line_source.h"

namespace pajamas::cli {
namespace {

constexpr char kEscape = '\1';  // stands around what of a prompt takes no columns
constexpr std::wstring_view kPasteEnd = L"\x1b[201~";

// `prompt` with its colours (ESC [ ... m) between marks, which libedit does not count as columns.
std::string with_marks(std::string_view prompt) {
  std::string marked;
  while (!prompt.empty()) {
    const std::size_t begin = std::min(prompt.find('\x1b'), prompt.size());
    marked += prompt.substr(0, begin);
    prompt.remove_prefix(begin);
    if (prompt.empty()) break;
    const std::size_t size = std::min(prompt.find('m'), prompt.size() - 1) + 1;
    marked += kEscape;
    marked += prompt.substr(0, size);
    marked += kEscape;
    prompt.remove_prefix(size);
  }
  return marked;
}

// The text of a paste as text: one kind of line end, and nothing that would act on the terminal.
std::wstring cleaned(std::wstring_view pasted) {
  std::wstring text;
  for (std::size_t i = 0; i < pasted.size(); ++i) {
    const wchar_t c = pasted[i];
    if (c == L'\r') {
      if (i + 1 == pasted.size() || pasted[i + 1] != L'\n') text += L'\n';
    } else if (c == L'\n' || c == L'\t' || (c >= L' ' && c != 0x7f && !(c >= 0x80 && c < 0xa0))) {
      text += c;
    }
  }
  if (text.ends_with(L'\n')) text.pop_back();  // a copied line; it may still be edited
  return text;
}

class LineEditor final : public LineSource {
 public:
  explicit LineEditor(ChatSignals& signals) : signals_(signals) {
    // libedit reads characters by the locale. This program's text is UTF-8 whatever that says.
    if (std::setlocale(LC_CTYPE, "C.UTF-8") == nullptr) std::setlocale(LC_CTYPE, "");
    out_ = ::fdopen(::dup(STDERR_FILENO), "w");
    if (out_ == nullptr) return;
    editor_ = ::el_init("llama-pajamas", stdin, out_, out_);
    history_ = ::history_init();
    if (editor_ == nullptr || history_ == nullptr) return;
    ::el_set(editor_, EL_CLIENTDATA, this);
    ::el_set(editor_, EL_SIGNAL, 0);
    ::el_set(editor_, EL_EDITOR, "emacs");
    ::el_set(editor_, EL_PROMPT_ESC, &LineEditor::prompt, kEscape);
    ::el_set(editor_, EL_GETCFN, &LineEditor::next);
    HistEvent event;
    ::history(history_, &event, H_SETSIZE, static_cast<int>(LineHistory::kMaxEntries));
    ::history(history_, &event, H_SETUNIQUE, 1);
    ::el_set(editor_, EL_HIST, ::history, history_);
    for (const std::string& entry : kept_.entries()) {
      ::history(history_, &event, H_ENTER, entry.c_str());
    }
    // The other el_set copies both texts and never frees them.
    ::el_wset(editor_, EL_ADDFN, L"pajamas-paste", L"Insert what a terminal marks as pasted",
              &LineEditor::paste);
    const auto bind = [&](const char* keys, const char* function) {
      ::el_set(editor_, EL_BIND, keys, function, nullptr);
    };
    bind("\\e[200~", "pajamas-paste");
    bind("^R", "em-inc-search-prev");
    bind("^W", "ed-delete-prev-word");
    bind("\\e[1;5C", "em-next-word");
    bind("\\e[1;5D", "ed-prev-word");
    bind("\\e[3~", "ed-delete-next-char");
    bind("\\e[H", "ed-move-to-beg");
    bind("\\e[1~", "ed-move-to-beg");
    bind("\\e[F", "ed-move-to-end");
    bind("\\e[4~", "ed-move-to-end");
    ::el_source(editor_, nullptr);  // ~/.editrc
    ready_ = true;
  }

  ~LineEditor() override {
    if (editor_ != nullptr) ::el_end(editor_);
    if (history_ != nullptr) ::history_end(history_);
    if (out_ != nullptr) (void)std::fclose(out_);
  }

  bool ready() const { return ready_; }

  Line read(const std::string& prompt) override {
    prompt_ = with_marks(prompt);
    end_ = Line::End::kLine;
    partial_ = {};
    left_.clear();
    mark_pastes(true);
    int size = 0;
    const char* text = ::el_gets(editor_, &size);
    mark_pastes(false);
    if (end_ == Line::End::kLine && text != nullptr && size > 0) {
      std::string line(text, static_cast<std::size_t>(size));
      if (line.ends_with('\n')) line.pop_back();
      return {Line::End::kLine, std::move(line)};
    }
    // The cursor is still behind what was typed.
    (void)std::fputs("\n", out_);
    (void)std::fflush(out_);
    return {end_ == Line::End::kLine ? Line::End::kEof : end_, left_};
  }

  void remember(const std::string& entry) override {
    HistEvent event;
    ::history(history_, &event, H_ENTER, entry.c_str());
    kept_.append(entry);
  }

 private:
  static LineEditor& of(EditLine* editor) {
    void* self = nullptr;
    ::el_get(editor, EL_CLIENTDATA, &self);
    return *static_cast<LineEditor*>(self);
  }

  static char* prompt(EditLine* editor) { return of(editor).prompt_.data(); }

  // libedit's way to the next character: 1, or 0 at the end of the input, or -1.
  static int next(EditLine* editor, wchar_t* out) { return of(editor).next_character(out); }

  int next_character(wchar_t* out) {
    while (end_ == Line::End::kLine) {
      switch (signals_.wait(STDIN_FILENO)) {
        case ChatSignals::Event::kInterrupt:
          end_ = Line::End::kInterrupt;
          break;
        case ChatSignals::Event::kEnd:
          end_ = Line::End::kEnded;
          break;
        case ChatSignals::Event::kResumed:     // a shell has had the terminal
          ::el_set(editor_, EL_PREP_TERM, 0);  // else libedit takes it for prepared already
          ::el_set(editor_, EL_PREP_TERM, 1);
          mark_pastes(true);
          [[fallthrough]];
        case ChatSignals::Event::kResized:
          (void)std::fputs("\r\x1b[J", out_);
          (void)std::fflush(out_);
          ::el_resize(editor_);  // forgets what was drawn, so that all of it is drawn again
          ::el_set(editor_, EL_REFRESH);
          break;
        case ChatSignals::Event::kInput: {
          char byte = 0;
          const ssize_t got = ::read(STDIN_FILENO, &byte, 1);
          if (got < 0 && (errno == EINTR || errno == EAGAIN)) break;
          if (got <= 0) return 0;
          const std::size_t used = std::mbrtowc(out, &byte, 1, &partial_);
          if (used == static_cast<std::size_t>(-2)) break;  // more bytes of the character to come
          if (used == static_cast<std::size_t>(-1)) {
            partial_ = {};
            *out = L'\uFFFD';
          }
          return 1;
        }
      }
    }
    const LineInfo* line = ::el_line(editor_);
    left_.assign(line->buffer, line->lastchar);
    errno = EINTR;
    return -1;
  }

  static unsigned char paste(EditLine* editor, wint_t) {
    std::wstring text;
    wchar_t c = 0;
    while (!text.ends_with(kPasteEnd)) {
      if (::el_wgetc(editor, &c) != 1) return CC_REFRESH;
      text += c;
    }
    text.resize(text.size() - kPasteEnd.size());
    text = cleaned(text);
    return text.empty() || ::el_winsertstr(editor, text.c_str()) == 0 ? CC_REFRESH : CC_ERROR;
  }

  // Asks the terminal to say where a paste begins and ends.
  void mark_pastes(bool on) const {
    (void)std::fputs(on ? "\x1b[?2004h" : "\x1b[?2004l", out_);
    (void)std::fflush(out_);
  }

  ChatSignals& signals_;
  LineHistory kept_;
  std::FILE* out_ = nullptr;
  EditLine* editor_ = nullptr;
  History* history_ = nullptr;
  bool ready_ = false;
  std::string prompt_;
  Line::End end_ = Line::End::kLine;
  std::string left_;
  std::mbstate_t partial_{};
};

}  // namespace

std::unique_ptr<LineSource> open_line_editor(ChatSignals& signals) {
  auto editor = std::make_unique<LineEditor>(signals);
  if (!editor->ready()) return nullptr;
  return editor;
}

}  // namespace pajamas::cli
