#include "cli/text_option.h"

namespace pajamas::cli {

void add_pre_tokenizer_option(CLI::App& command, std::string& name) {
  command
      .add_option("--pre-tokenizer", name,
                  "How a GGUF model cuts text before its merges, as tokenizer.ggml.pre names it "
                  "(llama-bpe, qwen2, smollm, ...) (default: what the file says)")
      ->type_name("NAME");
}

model::TextAssets load_text(const std::string& path, const std::string& pre_tokenizer,
                            Progress& progress) {
  model::TextAssets assets = model::load_text_assets(path, {.pre_tokenizer = pre_tokenizer});
  for (const std::string& note : assets.notes) progress.note(note);
  return assets;
}

}  // namespace pajamas::cli
