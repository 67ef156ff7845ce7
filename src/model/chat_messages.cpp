// Facts: transformers 5.24, chat_template_utils.py (_normalize_chat_messages,
// _alias_reasoning_fields).
#include "model/chat_messages.h"

#include <fmt/format.h>

#include <array>

#include "base/error.h"
#include "base/json.h"

namespace pajamas::model {
namespace {

using nlohmann::ordered_json;

constexpr std::size_t kDeepest = 400;  // levels of brackets; readers call themselves for each
// In the order in which they count.
constexpr std::array<const char*, 3> kReasoning{"reasoning_content", "thinking", "reasoning"};

ordered_json without_nulls(const ordered_json& message) {
  ordered_json out = ordered_json::object();
  for (const auto& [key, value] : message.items()) {
    if (!value.is_null()) out[key] = value;
  }
  return out;
}

// Some templates write a message as it is: the order of its keys is transformers'.
ordered_json with_reasoning(ordered_json message) {
  for (const char* name : kReasoning) {
    const auto found = message.find(name);
    if (found == message.end()) continue;
    const ordered_json reasoning = *found;
    ordered_json out = {{"thinking", reasoning}};
    out.update(message);
    out["reasoning_content"] = reasoning;
    return out;
  }
  return message;
}

}  // namespace

ChatRequest parse_chat_request(std::string_view json) {
  ordered_json document = parse_ordered_json(json, kDeepest);
  const auto bad = [](const char* problem) {
    return Error(ErrorCode::kUnsupported, problem,
                 "give {\"messages\": [...], \"tools\": [...], \"options\": {...}}");
  };
  ChatRequest request;
  if (document.is_array()) {
    request.messages = std::move(document);
    return request;
  }
  if (!document.is_object() || !document.contains("messages") || !document["messages"].is_array()) {
    throw bad("has no array \"messages\"");
  }
  request.messages = std::move(document["messages"]);
  request.tools = document.value("tools", ordered_json());
  if (!request.tools.is_null() && !request.tools.is_array()) throw bad("\"tools\" is not an array");
  const ordered_json options = document.value("options", ordered_json());
  if (!options.is_null() && !options.is_object()) throw bad("\"options\" is not an object");
  if (options.is_object()) request.options = options;
  return request;
}

ordered_json messages_for_template(const ordered_json& messages) {
  ordered_json out = ordered_json::array();
  for (const ordered_json& message : messages) {
    if (!message.is_object()) {
      throw Error(ErrorCode::kUsage, "is not an object",
                  "a message is {\"role\": ..., \"content\": ...}")
          .at(fmt::format("messages[{}]", out.size()));
    }
    out.push_back(with_reasoning(without_nulls(message)));
  }
  return out;
}

std::optional<std::string> text_of_content(const ordered_json& content) {
  if (content.is_string()) return content.get<std::string>();
  if (!content.is_array() || content.empty()) return std::nullopt;
  std::string text;
  for (const ordered_json& part : content) {
    if (!part.is_object() || part.value("type", ordered_json("text")) != "text") return {};
    const auto found = part.find("text");
    if (found == part.end() || !found->is_string()) return std::nullopt;
    text += found->get<std::string>();
  }
  return text;
}

}  // namespace pajamas::model
