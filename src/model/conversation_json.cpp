// Conversations as files.
#include <fmt/format.h>

#include <utility>

#include "base/error.h"
#include "model/conversation.h"
#include "text/utf8.h"

namespace pajamas::model {
namespace {

using nlohmann::ordered_json;

constexpr int kDeepest = 64;  // levels of brackets; what reads the document calls itself for each
constexpr std::string_view kFunctions = "functions.";

ordered_json message_of(const text::Answer& answer) {
  ordered_json message = {{"role", "assistant"}, {"content", text::utf8_lossy(answer.content)}};
  if (!answer.reasoning.empty()) {
    message["reasoning_content"] = text::utf8_lossy(answer.reasoning);
  }
  for (const text::ToolCall& call : answer.calls) {
    std::string_view name = call.recipient;
    if (name.starts_with(kFunctions)) name.remove_prefix(kFunctions.size());
    message["tool_calls"].push_back(
        {{"type", "function"},
         {"function",
          {{"name", text::utf8_lossy(name)}, {"arguments", text::utf8_lossy(call.arguments)}}}});
  }
  return message;
}

Error bad(std::string problem) {
  return Error(ErrorCode::kUnsupported, std::move(problem),
               "give {\"messages\": [...]} with a system message or none, then user and assistant "
               "in turns");
}

// The text of `key`; nothing where it is missing or null.
std::optional<std::string> text_of(const ordered_json& object, const char* key) {
  const auto at = object.find(key);
  if (at == object.end() || at->is_null()) return {};
  if (!at->is_string()) throw bad(fmt::format("\"{}\" is not text", key));
  return at->get<std::string>();
}

text::ToolCall call_of(const ordered_json& call) {
  if (!call.is_object() || !call.contains("function") || !call["function"].is_object()) {
    throw bad("a tool call has no \"function\"");
  }
  const ordered_json& function = call["function"];
  const auto name = text_of(function, "name");
  if (!name) throw bad("a tool call has no \"name\"");
  text::ToolCall out{std::string(kFunctions) + *name, "json", {}};
  if (const auto at = function.find("arguments"); at != function.end()) {
    out.arguments = at->is_string() ? at->get<std::string>() : at->dump();
  }
  return out;
}

text::Answer answer_of(const ordered_json& message) {
  text::Answer answer;
  answer.content = text_of(message, "content").value_or("");
  answer.reasoning = text_of(message, "reasoning_content").value_or("");
  if (const auto calls = message.find("tool_calls"); calls != message.end() && !calls->is_null()) {
    if (!calls->is_array()) throw bad("\"tool_calls\" is not an array");
    for (const ordered_json& call : *calls) answer.calls.push_back(call_of(call));
  }
  return answer;
}

// What comes out of a file, message after message.
struct Reader {
  void take(const ordered_json& message) {
    if (!message.is_object()) throw bad("is not an object");
    const std::string role = text_of(message, "role").value_or("");
    if (role == "system" || role == "developer") {
      if (begun) throw bad("a system message comes first or not at all");
      system = text_of(message, "content").value_or("");
    } else if (role == "user") {
      if (!turns.empty() && !turns.back().answer) throw bad("the user's turn before has no answer");
      const auto content = text_of(message, "content");
      if (!content) throw bad("has no \"content\"");
      turns.push_back({*content, {}});
    } else if (role == "assistant") {
      if (turns.empty() || turns.back().answer) throw bad("answers no message of the user");
      turns.back().answer = answer_of(message);
    } else {
      throw bad(fmt::format("no chat has messages of the role \"{}\"", printable(role, 40)));
    }
    begun = true;
  }

  bool begun = false;
  std::string system;
  std::vector<Turn> turns;
};

}  // namespace

std::string Conversation::to_json(std::string_view model) const {
  ordered_json messages = ordered_json::array();
  if (!system_.empty()) messages.push_back({{"role", "system"}, {"content", system_}});
  for (const Turn& turn : turns_) {
    messages.push_back({{"role", "user"}, {"content", turn.question}});
    if (turn.answer) messages.push_back(message_of(*turn.answer));
  }
  return ordered_json{{"model", text::utf8_lossy(model)}, {"messages", messages}}.dump(2) + "\n";
}

void Conversation::load_json(std::string_view json) {
  ordered_json document;
  try {
    document =
        ordered_json::parse(json, [](int depth, ordered_json::parse_event_t, const ordered_json&) {
          if (depth > kDeepest) {
            throw Error(ErrorCode::kCorruptFile, "more levels of brackets than a conversation has");
          }
          return true;
        });
  } catch (const ordered_json::exception& error) {
    throw Error(ErrorCode::kCorruptFile, printable(error.what(), 200));
  }
  const bool wrapped = document.is_object() && document.contains("messages");
  const ordered_json& messages = wrapped ? document["messages"] : document;
  if (!messages.is_array()) throw bad("has no array \"messages\"");
  Reader reader;
  for (std::size_t i = 0; i < messages.size(); ++i) {
    with_context(fmt::format("messages[{}]", i), [&] { reader.take(messages[i]); });
  }
  system_ = std::move(reader.system);
  turns_ = std::move(reader.turns);
  first_ = 0;
}

}  // namespace pajamas::model
