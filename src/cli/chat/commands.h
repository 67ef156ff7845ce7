// The commands of a chat: /help, /quit and so on.
#pragma once

#include <string_view>

#include "cli/chat/session.h"
#include "cli/editor/completion.h"

namespace pajamas::cli {

// Runs "/name argument" and returns false where the chat is to end. Throws Error{kUsage} for one
// that there is not, and what the command throws.
bool run_chat_command(ChatSession& chat, std::string_view line);

// For Tab: names of commands, files where one takes a file, and in messages words that are paths.
Completion complete_chat_line(std::string_view before);

}  // namespace pajamas::cli
