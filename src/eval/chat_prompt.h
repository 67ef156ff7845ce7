// Questions and dialogues as a chat puts them.
#pragma once

#include <nlohmann/json_fwd.hpp>
#include <string>

#include "model/text_model.h"

namespace pajamas::eval {

// What the user says, rendered up to where the model answers; the same every day. Throws as
// model::render_chat.
std::string chat_prompt(const model::TextModel& model, const std::string& user);

// Messages rendered as a dialogue that is over, or with `to_answer` up to where the model answers.
std::string chat_text(const model::TextModel& model, const nlohmann::ordered_json& messages,
                      bool to_answer);

}  // namespace pajamas::eval
