// A conversation as the model was taught to see it.
#pragma once

#include <array>
#include <ctime>
#include <nlohmann/json.hpp>
#include <string>
#include <string_view>

#include "base/parallel.h"
#include "model/chat_format.h"
#include "text/answer.h"

namespace pajamas::model {

// Renders the model's chat template (chat_template_for) with the variables that transformers passes
// it: messages as messages_for_template makes them, tools (null where there are none),
// add_generation_prompt, the special tokens' texts, and `options` (an object; it wins over all of
// them). A content that is a list of parts of text is joined, unless the template writes the parts
// by itself. Throws Error{kUnsupported} where the model has no template or the template uses
// something unknown or is too large to render, kUsage where the template refuses the conversation
// or none is the default, kInterrupted soon after `stop` (null: never) is requested.
std::string render_chat(const ChatFormat& format, const nlohmann::ordered_json& messages,
                        const nlohmann::ordered_json& tools, const nlohmann::ordered_json& options,
                        bool add_generation_prompt, const std::tm& now,
                        const StopFlag* stop = nullptr);

// A note where there are tools and the model's template does not read them; else empty.
std::string unread_tools_note(const ChatFormat& format, const nlohmann::ordered_json& tools);

// How hard the model is to think.
inline constexpr std::array<std::string_view, 4> kReasoningLevels{"off", "low", "medium", "high"};

// What tells the model's templates so, as `options` for `render_chat`.
struct ReasoningOptions {
  nlohmann::ordered_json variables;
  std::string note;  // what the template cannot be told; may be empty
};

// `level` is one of kReasoningLevels. Throws Error{kUnsupported} for "off" where the template only
// knows degrees, or where there is no template.
ReasoningOptions reasoning_options(const ChatFormat& format, std::string_view level);

// A finished turn as the message that stands for it in the conversation from then on, and in files
// of it. Reasoning is beside "content", as "reasoning_content": the template shows it (on the way
// to a tool's result) or drops it.
nlohmann::ordered_json history_message(const ChatFormat& format, const text::Answer& answer);

}  // namespace pajamas::model
