// Conversations as files.
#include <fmt/format.h>

#include <utility>

#include "base/error.h"
#include "model/chat_messages.h"
#include "model/conversation.h"
#include "text/utf8.h"

namespace pajamas::model {
namespace {

using nlohmann::ordered_json;

Error bad(std::string problem) {
  return Error(ErrorCode::kUnsupported, std::move(problem),
               "give {\"messages\": [...]} with a system message or none, then user and assistant "
               "in turns, and behind calls of tools their results");
}

// Whether `key` is there, not null. Throws where it is no text.
bool has_text(const ordered_json& object, const char* key) {
  const auto at = object.find(key);
  if (at == object.end() || at->is_null()) return false;
  if (!at->is_string()) throw bad(fmt::format("\"{}\" is not text", key));
  return true;
}

// The same for what a message says, where a list of parts of text is text, too.
bool has_content(const ordered_json& message) {
  const auto at = message.find("content");
  if (at == message.end() || at->is_null()) return false;
  if (!text_of_content(*at)) throw bad("\"content\" is neither text nor parts of text");
  return true;
}

void check_call(const ordered_json& call) {
  if (!call.is_object()) throw bad("a tool call is no object");
  const auto function = call.find("function");
  if (function != call.end() && !function->is_object()) {
    throw bad("\"function\" of a tool call is no object");
  }
  // Templates take the short form without "function" as well.
  if (!has_text(function == call.end() ? call : *function, "name")) {
    throw bad("a tool call has no \"name\"");
  }
}

void check_answer(const ordered_json& message) {
  has_content(message);
  for (const char* key : {"reasoning_content", "thinking", "reasoning"}) has_text(message, key);
  const auto calls = message.find("tool_calls");
  if (calls == message.end() || calls->is_null()) return;
  if (!calls->is_array()) throw bad("\"tool_calls\" is not an array");
  for (const ordered_json& call : *calls) check_call(call);
}

// What comes out of a file, message after message. Messages stay as they are.
struct Reader {
  void take(const ordered_json& message) {
    if (!message.is_object()) throw bad("is not an object");
    const std::string role = has_text(message, "role") ? message["role"].get<std::string>() : "";
    if (role == "system" || role == "developer") {
      if (begun) throw bad("a system message comes first or not at all");
      has_content(message);
      system = message;
    } else if (role == "user") {
      if (!turns.empty() && !turns.back().answered()) {
        throw bad("the user's turn before has no answer");
      }
      if (!has_content(message)) throw bad("has no \"content\"");
      turns.emplace_back().messages.push_back(message);
    } else if (role == "assistant") {
      if (turns.empty() || turns.back().answered()) throw bad("answers no message of the user");
      check_answer(message);
      turns.back().messages.push_back(message);
    } else if (role == "tool") {
      if (turns.empty() || turns.back().messages.size() == 1) throw bad("is the result of no call");
      turns.back().messages.push_back(message);
    } else {
      throw bad(fmt::format("no chat has messages of the role \"{}\"", printable(role, 40)));
    }
    begun = true;
  }

  bool begun = false;
  ordered_json system;
  std::vector<Turn> turns;
};

}  // namespace

std::string Conversation::to_json(std::string_view model) const {
  ordered_json messages = ordered_json::array();
  if (!system_.is_null()) messages.push_back(system_);
  for (const Turn& turn : turns_) {
    for (const ordered_json& message : turn.messages) messages.push_back(message);
  }
  ordered_json document = {{"model", text::utf8_lossy(model)}, {"messages", messages}};
  if (!tools_.is_null()) document["tools"] = tools_;
  if (!file_options_.empty()) document["options"] = file_options_;
  return document.dump(2) + "\n";
}

void Conversation::load_json(std::string_view json) {
  ChatRequest request = parse_chat_request(json);
  Reader reader;
  for (std::size_t i = 0; i < request.messages.size(); ++i) {
    with_context(fmt::format("messages[{}]", i), [&] { reader.take(request.messages[i]); });
  }
  system_ = std::move(reader.system);
  turns_ = std::move(reader.turns);
  tools_ = std::move(request.tools);
  file_options_ = std::move(request.options);
  first_ = 0;
}

}  // namespace pajamas::model
