#include "model/chat.h"

#include <algorithm>
#include <vector>

#include "base/error.h"
#include "base/json.h"
#include "model/chat_messages.h"
#include "text/utf8.h"

namespace pajamas::model {
namespace {

using nlohmann::ordered_json;

// What stands in front of the names of a user's own tools.
constexpr std::string_view kFunctions = "functions.";
constexpr std::size_t kDeepestArguments = 100;  // levels of brackets

ordered_json call_message(const text::ToolCall& call) {
  std::string_view name = call.recipient;
  if (name.starts_with(kFunctions)) name.remove_prefix(kFunctions.size());
  ordered_json function = {{"name", text::utf8_lossy(name)}};
  // Templates write arguments as JSON: they are passed as what they mean, or as text that they
  // quote where they mean nothing.
  try {
    function["arguments"] = parse_ordered_json(call.arguments, kDeepestArguments);
  } catch (const Error&) {
    function["arguments"] = text::utf8_lossy(call.arguments);
  }
  if (!call.content_type.empty() && call.content_type != "json") {
    function["content_type"] = text::utf8_lossy(call.content_type);
  }
  return {{"type", "function"}, {"function", std::move(function)}};
}

// What stands for a part of text where a template is tried.
constexpr const char* kPart = "one part of the text";

bool has_parts(const ordered_json& message) {
  const auto content = message.find("content");
  return content != message.end() && content->is_array() && text_of_content(*content);
}

// Whether the template itself writes the parts of messages of this role: not where it fails on a
// list, nor where the list comes out as the language or JSON writes it, with its texts in quotes.
bool writes_parts(const text::ChatTemplate& chat, ordered_json context, const ordered_json& role,
                  const std::tm& now) {
  for (ordered_json& message : context["messages"]) {
    if (!has_parts(message)) continue;
    if (message.value("role", ordered_json()) == role) {
      message["content"] = ordered_json::array({ordered_json{{"type", "text"}, {"text", kPart}}});
    } else {
      message["content"] = *text_of_content(message["content"]);
    }
  }
  std::string text;
  try {
    text = chat.render(context, now);
  } catch (const Error&) {
    return false;
  }
  const std::size_t at = text.find(kPart);
  return at != std::string::npos && (at == 0 || (text[at - 1] != '\'' && text[at - 1] != '"'));
}

// Joins what the template would not.
void join_parts(const text::ChatTemplate& chat, ordered_json& context, const std::tm& now) {
  std::vector<ordered_json> roles;
  for (const ordered_json& message : context["messages"]) {
    if (!has_parts(message)) continue;
    ordered_json role = message.value("role", ordered_json());
    if (std::ranges::find(roles, role) == roles.end()) roles.push_back(std::move(role));
  }
  std::erase_if(roles, [&](const auto& role) { return writes_parts(chat, context, role, now); });
  for (ordered_json& message : context["messages"]) {
    if (!has_parts(message)) continue;
    const ordered_json role = message.value("role", ordered_json());
    if (std::ranges::find(roles, role) == roles.end()) continue;
    message["content"] = *text_of_content(message["content"]);
  }
}

}  // namespace

std::string render_chat(const ChatFormat& format, const nlohmann::ordered_json& messages,
                        const nlohmann::ordered_json& tools, const nlohmann::ordered_json& options,
                        bool add_generation_prompt, const std::tm& now, const StopFlag* stop) {
  const text::ChatTemplate& chat = format.chat_template(!tools.is_null(), stop);
  nlohmann::ordered_json context = nlohmann::ordered_json::object();
  for (const auto& [name, text] : format.tokens()) context[name] = text;
  context["messages"] = messages_for_template(messages);
  context["tools"] = tools;
  context["documents"] = nullptr;
  context["add_generation_prompt"] = add_generation_prompt;
  for (const auto& [name, value] : options.items()) context[name] = value;
  if (context["messages"].is_array()) join_parts(chat, context, now);
  return with_context("chat template", [&] { return chat.render(context, now, stop); });
}

std::string unread_tools_note(const ChatFormat& format, const nlohmann::ordered_json& tools) {
  if (!tools.is_array() || tools.empty() || format.empty()) return {};
  if (format.chat_template(true).uses_variable("tools")) return {};
  return "tools are ignored: the model's chat template does not tell it of any";
}

ReasoningOptions reasoning_options(const ChatFormat& format, std::string_view level) {
  if (format.empty()) (void)format.chat_template(false);  // says that there is none
  const auto templates = format.readable_templates();
  const auto read = [&](std::string_view variable) {
    return std::ranges::any_of(templates,
                               [&](const auto* chat) { return chat->uses_variable(variable); });
  };
  const bool off = level == "off";
  ReasoningOptions out{ordered_json::object(), {}};
  if (read("enable_thinking")) out.variables["enable_thinking"] = !off;
  if (read("reasoning_effort")) {
    if (!off) {
      out.variables["reasoning_effort"] = level;
    } else if (out.variables.empty()) {
      throw Error(ErrorCode::kUnsupported, "this model's reasoning cannot be switched off",
                  "use --reasoning low (`run --hide-reasoning` shows the answer alone)");
    }
  } else if (out.variables.empty()) {
    out.note = "--reasoning is ignored: the model's chat template has no such setting";
  } else if (!off) {
    out.note = "the model's chat template knows no degrees of reasoning: it is on";
  }
  return out;
}

ordered_json history_message(const ChatFormat& format, const text::Answer& answer) {
  const std::string& source = format.words();
  const auto reads = [&](const std::string& field) {
    for (const char* before : {".", "'", "\""}) {
      if (source.find(before + field) != std::string::npos) return true;
    }
    return false;
  };
  // What was broken off may end inside of a character.
  const std::string content = text::utf8_lossy(answer.content);
  const std::string reasoning = text::utf8_lossy(answer.reasoning);
  ordered_json message = {{"role", "assistant"}, {"content", content}};
  if (!answer.calls.empty() && !content.empty() && !reasoning.empty() && reads("thinking") &&
      !reads("reasoning_content")) {
    // Such templates show one text before a call: what was said to the user on the way is part
    // of what the model thought.
    message["content"] = "";
    message["thinking"] = reasoning + "\n\n" + content;
  } else if (!reasoning.empty()) {
    message["reasoning_content"] = reasoning;
  }
  for (const text::ToolCall& call : answer.calls) {
    message["tool_calls"].push_back(call_message(call));
  }
  return message;
}

}  // namespace pajamas::model
