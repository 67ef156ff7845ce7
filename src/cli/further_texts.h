// The built-in texts that `validate` scores beside its text: --texts.
#pragma once

#include <cstdint>
#include <nlohmann/json_fwd.hpp>
#include <span>
#include <string>
#include <vector>

#include "cli/command.h"
#include "cli/command_line.h"
#include "eval/perplexity.h"
#include "model/text_model.h"
#include "runtime/engine.h"

namespace pajamas::cli {

void add_further_texts_option(const Command& command, std::vector<std::string>& names);
// Throws Error{kUsage} for a name that is none of eval::kBuiltInTexts or stands there twice.
// `reference`: as it was given, empty without one.
void check_further_texts(const std::vector<std::string>& names, const std::string& reference);

// One of them, scored.
struct FurtherText {
  std::string name;
  eval::Score score;
};

// One of them as a model reads it.
struct FurtherPassages {
  std::string name;
  std::vector<eval::Passage> passages;
};

// Each as the model reads it, before any work. Throws as eval::built_in_text.
std::vector<FurtherPassages> further_passages(const std::vector<std::string>& names,
                                              const model::TextModel& model,
                                              const eval::ScoreOptions& options);

// What is scored, and what it is compared with, if anything.
struct FurtherRun {
  runtime::Engine& model;
  runtime::Engine* reference = nullptr;
  const eval::ScoreOptions& options;
  const TaskPool& pool;
};

// Scores each; both models see the same tokens. Throws as eval::score_passages.
std::vector<FurtherText> score_further_texts(std::span<const FurtherPassages> texts,
                                             const FurtherRun& run, Context& context);

// [{name, perplexity, perplexity_stderr, tokens, ...}]
nlohmann::ordered_json further_texts_json(const std::vector<FurtherText>& texts);
void print_further_texts(const std::vector<FurtherText>& texts);

}  // namespace pajamas::cli
