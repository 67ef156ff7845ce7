// What was typed in earlier chats.
#pragma once

#include <filesystem>
#include <string>
#include <vector>

namespace pajamas::cli {

// ${XDG_STATE_HOME:-~/.local/state}/llama-pajamas/history, one JSON string a line, which chats that
// run at the same time may all append to; only its owner may read it. The last kMaxEntries count.
// Nothing here fails: where the file cannot be read or written, entries last as long as the chat.
class LineHistory {
 public:
  static constexpr std::size_t kMaxEntries = 1000;

  LineHistory();

  const std::vector<std::string>& entries() const noexcept { return entries_; }  // oldest first
  void append(const std::string& entry);

 private:
  void shorten() const;

  std::filesystem::path path_;  // empty: there is nowhere to keep one
  std::vector<std::string> entries_;
};

}  // namespace pajamas::cli
