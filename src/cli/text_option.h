// The options of whatever turns text into tokens, and what a model says of text with them.
#pragma once

#include <string>

#include "base/progress.h"
#include "cli/command_line.h"
#include "model/text_assets.h"

namespace pajamas::cli {

void add_pre_tokenizer_option(const Command& command, std::string& name);
// `--reasoning LEVEL`, checked against model::kReasoningLevels.
void add_reasoning_option(const Command& command, std::string& level);
// `--chat-template NAME`, for model::choose_chat_template; empty: as the conversation takes it.
void add_chat_template_option(const Command& command, std::string& name);

// As model::load_text_assets; what had to be guessed becomes notes.
model::TextAssets load_text(const std::string& path, const std::string& pre_tokenizer,
                            Progress& progress);
model::TextAssets load_text(const model::Checkpoint& checkpoint, const std::string& pre_tokenizer,
                            Progress& progress);

}  // namespace pajamas::cli
