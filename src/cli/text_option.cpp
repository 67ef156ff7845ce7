#include "cli/text_option.h"

#include <vector>

#include "model/chat.h"

namespace pajamas::cli {
namespace {

model::TextAssets told(model::TextAssets assets, Progress& progress) {
  for (const std::string& note : assets.notes) progress.note(note);
  return assets;
}

}  // namespace

void add_pre_tokenizer_option(const Command& command, std::string& name) {
  command
      .add_option("--pre-tokenizer", name,
                  "How a GGUF model cuts text before its merges, as tokenizer.ggml.pre names it "
                  "(llama-bpe, qwen2, smollm, ...) (default: what the file says)")
      .type_name("NAME");
}

void add_reasoning_option(const Command& command, std::string& level) {
  command
      .add_option("--reasoning", level,
                  "How hard to think, as far as the chat template has a setting for it")
      .is_member({model::kReasoningLevels.begin(), model::kReasoningLevels.end()})
      .type_name("LEVEL");
}

void add_chat_template_option(const Command& command, std::string& name) {
  command
      .add_option("--chat-template", name,
                  "Which of the model's chat templates to use (default: tool_use where there are "
                  "tools, else default)")
      .type_name("NAME");
}

model::TextAssets load_text(const std::string& path, const std::string& pre_tokenizer,
                            Progress& progress) {
  return told(model::load_text_assets(path, {.pre_tokenizer = pre_tokenizer}), progress);
}

model::TextAssets load_text(const model::Checkpoint& checkpoint, const std::string& pre_tokenizer,
                            Progress& progress) {
  return told(model::load_text_assets(checkpoint, {.pre_tokenizer = pre_tokenizer}), progress);
}

}  // namespace pajamas::cli
