#include "model/chat.h"

#include "base/error.h"
#include "text/chat_template.h"
#include "text/utf8.h"

namespace pajamas::model {
namespace {

using nlohmann::ordered_json;

text::ChatTemplate template_of(const TextAssets& assets) {
  if (!assets.chat_template) {
    throw Error(ErrorCode::kUnsupported, "the model has no chat template",
                "use it on plain text: run --raw, or tokenize --text");
  }
  return with_context("chat template", [&] { return text::ChatTemplate(*assets.chat_template); });
}

// What stands in front of the names of a user's own tools.
constexpr std::string_view kFunctions = "functions.";

ordered_json call_message(const text::ToolCall& call) {
  std::string_view name = call.recipient;
  if (name.starts_with(kFunctions)) name.remove_prefix(kFunctions.size());
  ordered_json function = {{"name", name}};
  // Templates write arguments as JSON: they are passed as what they mean, or as text that they
  // quote where they mean nothing.
  ordered_json arguments = ordered_json::parse(call.arguments, nullptr, false);
  if (arguments.is_discarded()) arguments = text::utf8_lossy(call.arguments);
  function["arguments"] = std::move(arguments);
  if (!call.content_type.empty() && call.content_type != "json") {
    function["content_type"] = call.content_type;
  }
  return {{"type", "function"}, {"function", std::move(function)}};
}

}  // namespace

std::string render_chat(const TextAssets& assets, const nlohmann::ordered_json& messages,
                        const nlohmann::ordered_json& tools, const nlohmann::ordered_json& options,
                        bool add_generation_prompt, const std::tm& now) {
  const text::ChatTemplate chat = template_of(assets);
  nlohmann::ordered_json context = nlohmann::ordered_json::object();
  for (const auto& [name, text] : assets.template_tokens) context[name] = text;
  context["messages"] = messages;
  context["tools"] = tools;
  context["documents"] = nullptr;
  context["add_generation_prompt"] = add_generation_prompt;
  for (const auto& [name, value] : options.items()) context[name] = value;
  return with_context("chat template", [&] { return chat.render(context, now); });
}

ReasoningOptions reasoning_options(const TextAssets& assets, std::string_view level) {
  const text::ChatTemplate chat = template_of(assets);
  const bool off = level == "off";
  ReasoningOptions out{ordered_json::object(), {}};
  if (chat.uses_variable("enable_thinking")) out.variables["enable_thinking"] = !off;
  if (chat.uses_variable("reasoning_effort")) {
    if (!off) {
      out.variables["reasoning_effort"] = level;
    } else if (out.variables.empty()) {
      throw Error(ErrorCode::kUnsupported, "this model's reasoning cannot be switched off",
                  "use --reasoning low and, to see only the answer, --hide-reasoning");
    }
  } else if (out.variables.empty()) {
    out.note = "--reasoning is ignored: the model's chat template has no such setting";
  } else if (!off) {
    out.note = "the model's chat template knows no degrees of reasoning: it is on";
  }
  return out;
}

ordered_json history_message(const TextAssets& assets, const text::Answer& answer) {
  const std::string empty;
  const std::string& source = assets.chat_template ? *assets.chat_template : empty;
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
  if (reads("reasoning_content")) {
    if (!reasoning.empty()) message["reasoning_content"] = reasoning;
  } else if (!answer.calls.empty() && reads("thinking")) {
    // Such templates show one text before a call: what was said to the user on the way is part
    // of what the model thought.
    const bool both = !reasoning.empty() && !content.empty();
    message["content"] = "";
    message["thinking"] = reasoning + (both ? "\n\n" : "") + content;
  }
  for (const text::ToolCall& call : answer.calls) {
    message["tool_calls"].push_back(call_message(call));
  }
  return message;
}

}  // namespace pajamas::model
