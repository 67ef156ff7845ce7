// Lines of a chat become messages and commands.
#pragma once

#include <string>
#include <string_view>

namespace pajamas::cli {

struct Message {
  std::string text;
  bool command = false;  // "/name argument"
  std::string entry;     // what stands for it in the history: typed again, it gives the same
};

// A message is a line; or lines of which each but the last ends in a backslash (two stand for one
// that is meant); or what stands between two `"""`. What comes as one line but holds line ends, as
// pasted text does, is a message as it is. A line that begins with a slash and letters is a
// command; a second slash in front makes it a message.
class MessageLines {
 public:
  // Takes a line; true: a message is complete.
  bool push(std::string_view line);
  // There are lines of a message that is not complete.
  bool begun() const noexcept { return part_ != Part::kNone; }
  bool in_block() const noexcept { return part_ == Part::kBlock; }
  // The complete message, or what there is of one. Begins anew.
  Message take();

 private:
  enum class Part { kNone, kContinued, kBlock };

  bool push_line(std::string_view line);
  bool add_to_block(std::string_view line);

  Part part_ = Part::kNone;
  Message message_;
};

}  // namespace pajamas::cli
