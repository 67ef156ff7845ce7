#include "cli/chat/line_history.h"

#include <fcntl.h>
#include <unistd.h>

#include <cstdlib>
#include <nlohmann/json.hpp>
#include <string_view>
#include <system_error>

#include "base/error.h"
#include "base/file.h"
#include "cli/settings.h"

namespace pajamas::cli {
namespace {

constexpr std::uint64_t kMaxBytes = 64u << 20;

std::filesystem::path history_path() {
  const auto folder = [](const char* name) {
    const char* value = std::getenv(name);
    std::filesystem::path path = value != nullptr ? value : "";
    return path.is_absolute() ? path : std::filesystem::path();
  };
  std::filesystem::path state = folder("XDG_STATE_HOME");
  if (state.empty()) {
    state = home_folder(process_environment()) / ".local/state";
  }
  return state / "llama-pajamas/history";
}

// All at once, so that lines of two chats do not mix.
bool write_whole(int file, std::string_view text) {
  return ::write(file, text.data(), text.size()) == static_cast<ssize_t>(text.size());
}

std::string line_of(const std::string& entry) {
  return nlohmann::json(entry).dump(-1, ' ', false, nlohmann::json::error_handler_t::replace) +
         "\n";
}

}  // namespace

LineHistory::LineHistory() : path_(history_path()) {
  if (path_.empty()) return;
  std::string text;
  try {
    text = read_text_file(path_, kMaxBytes);
  } catch (const Error&) {
    return;
  }
  std::size_t lines = 0;
  for (std::size_t at = 0; at < text.size(); ++lines) {
    const std::size_t end = std::min(text.find('\n', at), text.size());
    const auto entry =
        nlohmann::json::parse(text.begin() + static_cast<std::ptrdiff_t>(at),
                              text.begin() + static_cast<std::ptrdiff_t>(end), nullptr, false);
    if (entry.is_string()) entries_.push_back(entry.get<std::string>());
    at = end + 1;
  }
  if (entries_.size() > kMaxEntries) {
    entries_.erase(entries_.begin(), entries_.end() - kMaxEntries);
  }
  if (lines > 2 * kMaxEntries) shorten();
}

void LineHistory::shorten() const {
  std::string text;
  for (const std::string& entry : entries_) text += line_of(entry);
  std::filesystem::path next = path_;
  next += "." + std::to_string(::getpid());
  const int file = ::open(next.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
  if (file < 0) return;
  const bool written = write_whole(file, text);
  if (::close(file) != 0 || !written || ::rename(next.c_str(), path_.c_str()) != 0) {
    ::unlink(next.c_str());
  }
}

void LineHistory::append(const std::string& entry) {
  if (!entries_.empty() && entries_.back() == entry) return;
  entries_.push_back(entry);
  if (path_.empty()) return;
  std::error_code ignored;
  std::filesystem::create_directories(path_.parent_path(), ignored);
  const int file =
      ::open(path_.c_str(), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC | O_NOFOLLOW, 0600);
  if (file < 0) return;
  write_whole(file, line_of(entry));
  ::close(file);
}

}  // namespace pajamas::cli
