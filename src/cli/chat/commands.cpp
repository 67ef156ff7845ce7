#include "cli/chat/commands.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cstdio>
#include <filesystem>
#include <string>
#include <vector>

#include "base/error.h"
#include "base/suggest.h"
#include "cli/log.h"
#include "cli/settings.h"
#include "cli/terminal.h"

namespace pajamas::cli {
namespace {

void show(std::string_view text) { log_text(text); }

// Line by line, without what would act on the terminal: it may be from a file.
void show_lines(std::string_view text) {
  while (!text.empty()) {
    const std::size_t end = std::min(text.find('\n'), text.size());
    show(printable(text.substr(0, end), 4000) + "\n");
    text.remove_prefix(std::min(end + 1, text.size()));
  }
}

std::filesystem::path path_argument_of(std::string_view command, std::string_view argument) {
  if (argument.empty()) {
    throw Error(ErrorCode::kUsage, fmt::format("/{} needs a file", command),
                fmt::format("/{} chat.json", command));
  }
  return expand_home(std::string(argument), process_environment());
}

void help(ChatSession&, std::string_view);

bool is_quoted_nothing(std::string_view text) { return text == "\"\"" || text == "''"; }

constexpr std::string_view kFile = "FILE";  // an argument that is one

struct ChatCommand {
  std::string_view name;
  std::string_view argument;  // for the help; empty: takes none
  std::string_view what;
  void (*run)(ChatSession& chat, std::string_view argument);  // null: ends the chat
};

constexpr std::array kChatCommands{
    ChatCommand{"help", "", "what there is", help},
    ChatCommand{"reset", "", "forget all turns; the system message stays",
                [](ChatSession& chat, std::string_view) { chat.reset(); }},
    ChatCommand{"system", "[TEXT]", "show the system message or set it (\"\" for none)",
                [](ChatSession& chat, std::string_view text) {
                  if (text.empty()) {
                    show_lines(chat.system().empty() ? "there is no system message"
                                                     : chat.system());
                  } else {
                    chat.set_system(is_quoted_nothing(text) ? std::string() : std::string(text));
                  }
                }},
    ChatCommand{"save", kFile, "write the conversation as JSON; /save! replaces a file",
                [](ChatSession& chat, std::string_view path) {
                  chat.save(path_argument_of("save", path), false);
                }},
    ChatCommand{"save!", kFile, "",
                [](ChatSession& chat, std::string_view path) {
                  chat.save(path_argument_of("save!", path), true);
                }},
    ChatCommand{"load", kFile, "go on with a saved conversation",
                [](ChatSession& chat, std::string_view path) {
                  chat.load(path_argument_of("load", path));
                }},
    ChatCommand{"regenerate", "", "answer the last message again",
                [](ChatSession& chat, std::string_view) { chat.regenerate(); }},
    ChatCommand{"stats", "", "tokens, rates, the context's fill, memory",
                [](ChatSession& chat, std::string_view) { show(chat.stats()); }},
    ChatCommand{"quit", "", "leave (/exit, /q and Ctrl-D too)", nullptr},
};

struct Alias {
  std::string_view name, means;
};
constexpr std::array<Alias, 4> kAliases{
    {{"exit", "quit"}, {"q", "quit"}, {"?", "help"}, {"h", "help"}}};

void help(ChatSession&, std::string_view) {
  for (const ChatCommand& command : kChatCommands) {
    if (command.what.empty()) continue;
    show(fmt::format("  {:<16} {}\n", fmt::format("/{} {}", command.name, command.argument),
                     command.what));
  }
  show(
      "A line that ends in \\ goes on in the next one; \"\"\" begins and ends several lines.\n"
      "A message that begins with a slash is written with two.\n"
      "Ctrl-C stops an answer, Ctrl-D leaves.\n");
}

std::string_view without_blanks(std::string_view text) {
  const std::size_t begin = text.find_first_not_of(" \t");
  if (begin == std::string_view::npos) return {};
  return text.substr(begin, text.find_last_not_of(" \t") + 1 - begin);
}

}  // namespace

bool run_chat_command(ChatSession& chat, std::string_view line) {
  const std::size_t space = std::min(line.find_first_of(" \t"), line.size());
  std::string_view name = line.substr(1, space - 1);
  const std::string_view argument = without_blanks(line.substr(space));
  for (const Alias& alias : kAliases) {
    if (name == alias.name) name = alias.means;
  }
  const auto* command = std::find_if(kChatCommands.begin(), kChatCommands.end(),
                                     [&](const ChatCommand& each) { return each.name == name; });
  if (command == kChatCommands.end()) {
    std::vector<std::string_view> names;
    for (const ChatCommand& each : kChatCommands) names.push_back(each.name);
    const auto meant = closest_name(name, names);
    throw Error(ErrorCode::kUsage, fmt::format("there is no command /{}", printable(name, 40)),
                (meant ? fmt::format("did you mean /{}? ", *meant) : std::string()) +
                    "/help lists them; a message that begins with a slash is written with two");
  }
  if (command->argument.empty() && !argument.empty()) {
    throw Error(ErrorCode::kUsage, fmt::format("/{} takes no argument", name));
  }
  if (command->run == nullptr) return false;
  command->run(chat, argument);
  return true;
}

Completion complete_chat_line(std::string_view before) {
  Completion completion;
  const std::size_t space = before.find_first_of(" \t");
  if (before.starts_with('/') && space == std::string_view::npos) {
    for (const ChatCommand& command : kChatCommands) {
      if (!command.name.starts_with(before.substr(1))) continue;
      completion.candidates.push_back(fmt::format("/{}", command.name));
      completion.behind = command.argument.empty() ? "" : " ";
    }
    completion.applies = !completion.candidates.empty();
    std::sort(completion.candidates.begin(), completion.candidates.end());
    if (completion.applies) return completion;
  }
  const auto* command =
      std::find_if(kChatCommands.begin(), kChatCommands.end(), [&](const ChatCommand& each) {
        return each.argument == kFile && before.starts_with('/') &&
               before.substr(1, std::min(space, before.size()) - 1) == each.name;
      });
  if (command != kChatCommands.end()) {  // the rest of the line, spaces and all
    completion.begin = std::min(before.find_first_not_of(" \t", space), before.size());
    completion.applies = true;
  } else {
    completion.begin = before.find_last_of(" \t\n") + 1;
    completion.applies = before.find('/', completion.begin) != std::string_view::npos;
  }
  if (completion.applies) completion.candidates = matching_paths(before.substr(completion.begin));
  completion.paths = true;
  return completion;
}

}  // namespace pajamas::cli
