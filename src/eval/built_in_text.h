// The built-in texts beside the prose that is always there: what a model says in a chat, source
// code, and other languages.
#pragma once

#include <array>
#include <string_view>
#include <vector>

#include "eval/perplexity.h"
#include "model/text_model.h"

namespace pajamas::eval {

inline constexpr std::string_view kChatText = "chat";
// As --texts names them.
inline constexpr std::array<std::string_view, 3> kBuiltInTexts{kChatText, "code", "languages"};

// One of kBuiltInTexts as the model reads it. Code and languages are cut as every text is. Of the
// chat each dialogue is a passage, rendered by the model's template and cut off behind
// `options.context` tokens; what the assistant says counts, and nothing else: neither what the
// template writes nor what the user says is for the model to write. Throws Error{kUsage} where a
// text has less than two chunks, as render_chat and check_passages; Error{kUnsupported} for a model
// without a chat template, and for a template that does not show what was said.
std::vector<Passage> built_in_text(std::string_view name, const model::TextModel& model,
                                   const ScoreOptions& options);

}  // namespace pajamas::eval
