// The commands of a chat: /help, /quit and so on.
#pragma once

#include <string_view>

#include "cli/chat_session.h"

namespace pajamas::cli {

// Runs "/name argument" and returns false where the chat is to end. Throws Error{kUsage} for one
// that there is not, and what the command throws.
bool run_chat_command(ChatSession& chat, std::string_view line);

}  // namespace pajamas::cli
