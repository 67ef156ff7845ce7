// What `run` does in one turn, be it the only one or one of many.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>

#include "cli/command.h"
#include "cli/engine_options.h"
#include "cli/prompt_input.h"
#include "cli/sampling_options.h"
#include "model/conversation.h"
#include "runtime/generate.h"
#include "runtime/loaded_model.h"
#include "text/answer.h"

namespace pajamas::cli {

inline constexpr std::int64_t kDefaultMaxTokens = 512;

struct RunOptions {
  std::string model;
  bool no_download = false;
  std::string pre_tokenizer;
  PromptOptions prompt;
  bool interactive = false;
  std::string system;
  bool raw = false;
  std::string chat_template;  // its name; empty: as the conversation takes it
  std::string reasoning;      // a level; empty: the template's own
  bool hide_reasoning = false;
  std::optional<std::int64_t> max_tokens;
  SamplingFlags sampling;
  std::int64_t context = 0;
  EngineFlags engine;
  std::string stats;
  bool force = false;
  bool json = false;  // answers as JSON objects
};

struct Reply {
  runtime::GenerateResult result;
  text::Answer answer;
  std::uint64_t reasoning_tokens = 0;
};

// A model that is ready to answer as the options say. Refers to both arguments.
class RunModel {
 public:
  // Loads it. Throws Error for options that make no sense, and what loading throws.
  RunModel(const RunOptions& options, Context& context);

  const RunOptions& options() const noexcept { return options_; }
  const runtime::LoadedModel& loaded() const noexcept { return *loaded_; }
  std::uint64_t positions() const noexcept { return loaded_->context(); }
  // As the user says, else as the makers recommend.
  const runtime::SamplerOptions& sampling() const noexcept { return sampling_; }
  double load_seconds() const noexcept { return load_seconds_; }
  // "tiny-qwen2: BF16, 8.4 MB"
  const std::string& about() const noexcept { return about_; }
  // Without template (or with --raw) texts are continued as they are.
  bool has_template() const noexcept { return !options_.raw && !loaded_->text().chat().empty(); }

  // One without turns. Notes what of the options it cannot heed.
  model::Conversation conversation() const;

  // Prints the answer as it comes, or with --json when it is over. Throws as TextSession::generate
  // does; what came before an error has been printed.
  Reply answer(runtime::TextSession& session, runtime::Sampler& sampler,
               std::span<const std::int32_t> prompt, std::uint64_t max_tokens, bool keep_prompt);

  // `result` summed up over all answers, as the JSON of --stats.
  void write_stats(const runtime::GenerateResult& result, std::uint64_t reasoning_tokens) const;

 private:
  void print_json(const Reply& reply) const;

  const RunOptions& options_;
  Context& context_;
  std::string path_;  // of the model's files, wherever they came from
  std::string about_;
  std::optional<runtime::LoadedModel> loaded_;
  runtime::SamplerOptions sampling_;
  double load_seconds_ = 0;
};

}  // namespace pajamas::cli
