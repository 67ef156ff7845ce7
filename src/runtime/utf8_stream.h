// Bytes in, whole characters out.
#pragma once

#include <string>
#include <string_view>

namespace pajamas::runtime {

// Tokens end in the middle of characters; what is shown must not. Bytes that can never become a
// character come out as U+FFFD, one for each maximal run that began like one.
class Utf8Stream {
 public:
  // The text that is complete now.
  std::string push(std::string_view bytes);
  // What is left over at the end: U+FFFD for a character that never came, or nothing.
  std::string finish();

 private:
  std::string pending_;
};

}  // namespace pajamas::runtime
