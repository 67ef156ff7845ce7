#include "cli/exit_status.h"

#include <fmt/format.h>
#include <poll.h>
#include <unistd.h>

#include <array>
#include <atomic>
#include <filesystem>
#include <string>
#include <vector>

#include "base/suggest.h"
#include "cli/foreign_words.h"
#include "cli/shell_words.h"
#include "hub/model_id.h"

namespace pajamas::cli {

namespace {
std::atomic<int> signal_of_the_end{0};
static_assert(std::atomic<int>::is_always_lock_free);  // handlers may use nothing else
}  // namespace

void note_ending_signal(int signal) noexcept { signal_of_the_end = signal; }
int ending_signal() noexcept { return signal_of_the_end; }

const ErrorKind& error_kind(ErrorCode code) noexcept {
  static constexpr std::array<ErrorKind, static_cast<std::size_t>(ErrorCode::kCount)> kKinds{{
      {ErrorCode::kUsage, 2, "usage", "see `llama-pajamas COMMAND --help`"},
      {ErrorCode::kNotFound, 3, "not_found", "check the spelling"},
      {ErrorCode::kCorruptFile, 4, "corrupt_file",
       "the file is damaged or incomplete: download or copy it again"},
      {ErrorCode::kUnsupported, 5, "unsupported", "use another model, or another form of this one"},
      {ErrorCode::kExists, 6, "exists", "give another name"},
      {ErrorCode::kNoSpace, 7, "no_space", "free some space"},
      {ErrorCode::kIo, 8, "io", "check the disk and the permissions"},
      {ErrorCode::kOutOfMemory, 9, "out_of_memory", "close other programs, or use a smaller model"},
      {ErrorCode::kNetwork, 11, "network",
       "check the network, then run this again: what arrived is kept"},
      // As a shell reports SIGINT; nobody needs to be told what to do after stopping it.
      {ErrorCode::kInterrupted, 130, "interrupted", ""},
      {ErrorCode::kInternal, 10, "internal", "this is a bug in llama-pajamas, please report it"},
  }};
  static_assert([] {
    for (std::size_t i = 0; i < kKinds.size(); ++i) {
      if (kKinds[i].code != static_cast<ErrorCode>(i)) return false;
    }
    return true;
  }());
  return kKinds[static_cast<std::size_t>(code)];
}

int exit_status(ErrorCode code) noexcept {
  if (code == ErrorCode::kInterrupted && ending_signal() != 0) return 128 + ending_signal();
  return error_kind(code).status;
}

// `errno` may be of what came after that write.
bool reader_is_gone() noexcept {
  pollfd output{STDOUT_FILENO, POLLOUT, 0};
  return ::poll(&output, 1, 0) > 0 && (output.revents & (POLLERR | POLLHUP)) != 0;
}

Error output_error() {
  return Error(ErrorCode::kIo, "cannot write to standard output", "see whether its disk is full");
}

Error with_hint(const Error& error) {
  if (!error.hint().empty()) return error;
  Error complete(error.code(), error.problem(), std::string(error_kind(error.code()).hint));
  if (!error.place().empty()) complete.at(error.place());
  return complete;
}

namespace {

// The start of a hint: the option that was mistyped, or of another command.
std::string suggested_option(const Command& command, std::string_view given) {
  std::vector<std::string> names;
  for (const Option& option : command.options()) {
    if (option.is_hidden()) continue;
    for (const std::string& name : option.long_names()) names.push_back("--" + name);
  }
  const std::vector<std::string_view> views(names.begin(), names.end());
  return did_you_mean(given.substr(0, given.find('=')), views);
}

// A path that exists, or what has the form of one or of a name on the hub.
bool is_model(const std::string& word) {
  std::error_code code;
  return std::filesystem::exists(word, code) || word.ends_with(".gguf") ||
         hub::parse_model_id(word).has_value();
}

}  // namespace

Error usage_error(const Command& app, const Misuse& misuse) {
  const std::optional<Command> given = app.given_command();
  const Command command = given.value_or(app);
  const std::string help =
      fmt::format("see `{} --help`", given ? app.name() + " " + command.name() : app.name());
  std::vector<std::string> names;
  for (const Command& each : app.commands()) {
    names.push_back(each.name());
  }
  const std::vector<std::string> rest = app.remaining();
  if (!given && !rest.empty() && !rest.front().starts_with('-')) {
    const std::string model = rest.size() > 1 && !rest[1].starts_with('-') ? rest[1] : "";
    if (const auto answer = answer_to_command(rest.front(), model)) return *answer;
    if (is_model(rest.front())) {
      return Error(
          ErrorCode::kUsage, "a model is given, and not what to do with it",
          fmt::format("`{} run {}`", app.name(), shell_word(printable(rest.front(), 200))));
    }
    const std::vector<std::string_view> views(names.begin(), names.end());
    return Error(ErrorCode::kUsage,
                 fmt::format("\"{}\" is no command", printable(rest.front(), 40)),
                 did_you_mean(rest.front(), views) + help);
  }
  for (const std::string& argument : app.remaining(true)) {
    if (argument.size() < 2 || !argument.starts_with('-')) continue;
    if (auto answer = answer_to_option(argument)) return *answer;
    return Error(ErrorCode::kUsage, fmt::format("there is no option {}", printable(argument, 60)),
                 suggested_option(command, argument) + help);
  }
  if (!given && rest.empty()) {
    return Error(ErrorCode::kUsage, "no command is given", help);
  }
  if (misuse.kind == Misuse::Kind::kMissing) {
    for (const Option& option : command.options()) {
      if (!option.is_required() || option.given()) continue;
      // Where it has a place, that is how people know it.
      const std::string name = option.shown_name();
      return Error(ErrorCode::kUsage, fmt::format("{} is missing", name), help);
    }
  }
  const std::vector<std::string> extra = app.remaining(true);
  if (misuse.kind == Misuse::Kind::kTooMany && !extra.empty()) {
    return Error(ErrorCode::kUsage,
                 fmt::format("\"{}\" is one argument too many", printable(extra.front(), 60)),
                 "a text of several words is quoted; " + help);
  }
  return Error(ErrorCode::kUsage, printable(misuse.text, 200), help);
}

}  // namespace pajamas::cli
