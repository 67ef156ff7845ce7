// A question as a chat puts it.
#pragma once

#include <string>

#include "model/text_model.h"

namespace pajamas::eval {

// What the user says, rendered up to where the model answers; the same every day. Throws as
// model::render_chat.
std::string chat_prompt(const model::TextModel& model, const std::string& user);

}  // namespace pajamas::eval
