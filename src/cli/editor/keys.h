// Bytes of a terminal become keys.
#pragma once

#include <cstddef>
#include <optional>
#include <string>
#include <string_view>

namespace pajamas::cli {

struct Key {
  enum class Code {
    kCharacter,  // `text`: one code point; of Ctrl-X the small letter
    kPaste,      // `text`: what was pasted, as the terminal gave it
    kEnter,
    kTab,
    kBackspace,
    kDelete,
    kLeft,
    kRight,
    kUp,
    kDown,
    kHome,
    kEnd,
    kPageUp,
    kPageDown,
    kUnknown,
  };
  Code code = Code::kUnknown;
  std::string text;
  bool control = false;
  bool alt = false;
  bool shift = false;

  bool operator==(const Key&) const = default;
};

// Understands what xterm and its kin, the Linux console and rxvt send, and bracketed pastes. An
// Escape is taken together with the next key, as Alt is by terminals.
class KeyDecoder {
 public:
  void push(std::string_view bytes) { bytes_ += bytes; }
  // None where more bytes are needed.
  std::optional<Key> next();
  // Between a paste's begin and its end.
  bool in_paste() const noexcept { return pasting_; }
  void clear();

 private:
  std::optional<Key> pasted();

  std::string bytes_;
  bool pasting_ = false;
  std::size_t searched_ = 0;  // of bytes_, for the end of the paste
};

// The text of a paste (or of a file) as text: valid UTF-8, one kind of line end, and nothing that
// would act on the terminal.
std::string editable_text(std::string_view bytes);

}  // namespace pajamas::cli
