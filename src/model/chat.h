// A conversation as the model was taught to see it.
#pragma once

#include <ctime>
#include <nlohmann/json.hpp>
#include <string>

#include "model/text_assets.h"

namespace pajamas::model {

// Renders the model's chat template with the variables that transformers passes it: messages, tools
// (null where there are none), add_generation_prompt, the special tokens' texts, and `options` (an
// object; it wins over all of them). Throws Error{kUnsupported} where the model has no template or
// the template uses something unknown, kUsage where the template refuses the conversation.
std::string render_chat(const TextAssets& assets, const nlohmann::ordered_json& messages,
                        const nlohmann::ordered_json& tools, const nlohmann::ordered_json& options,
                        bool add_generation_prompt, const std::tm& now);

}  // namespace pajamas::model
