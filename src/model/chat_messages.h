// Conversations as JSON: as files hold them, and as chat templates take them.
#pragma once

#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <string_view>

namespace pajamas::model {

// What a file of a conversation says.
struct ChatRequest {
  nlohmann::ordered_json messages = nlohmann::ordered_json::array();
  nlohmann::ordered_json tools;  // null where it says nothing of tools
  nlohmann::ordered_json options = nlohmann::ordered_json::object();  // variables of the template
};

// Of {"messages": [...], "tools": [...], "options": {...}} or of an array of messages. Throws
// Error{kCorruptFile} for what is not JSON, kUnsupported for what is no conversation.
ChatRequest parse_chat_request(std::string_view json);

// The messages as transformers gives them to a template: without keys that are null, and with
// reasoning (the first there is of "reasoning_content", "thinking" and "reasoning") as
// "reasoning_content" and, unless it has its own, as "thinking". Throws Error{kUsage} for a message
// that is no object.
nlohmann::ordered_json messages_for_template(const nlohmann::ordered_json& messages);

// The text of a message's content that is a text, or a list of parts, all of them text.
std::optional<std::string> text_of_content(const nlohmann::ordered_json& content);

}  // namespace pajamas::model
