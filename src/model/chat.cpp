#include "model/chat.h"

#include "base/error.h"
#include "text/chat_template.h"

namespace pajamas::model {

std::string render_chat(const TextAssets& assets, const nlohmann::ordered_json& messages,
                        const nlohmann::ordered_json& tools, const nlohmann::ordered_json& options,
                        bool add_generation_prompt, const std::tm& now) {
  if (!assets.chat_template) {
    throw Error(ErrorCode::kUnsupported, "the model has no chat template",
                "use it on plain text: run --raw, or tokenize --text");
  }
  nlohmann::ordered_json context = nlohmann::ordered_json::object();
  for (const auto& [name, text] : assets.template_tokens) context[name] = text;
  context["messages"] = messages;
  context["tools"] = tools;
  context["documents"] = nullptr;
  context["add_generation_prompt"] = add_generation_prompt;
  for (const auto& [name, value] : options.items()) context[name] = value;
  return with_context("chat template", [&] {
    return text::ChatTemplate(*assets.chat_template).render(context, now);
  });
}

}  // namespace pajamas::model
