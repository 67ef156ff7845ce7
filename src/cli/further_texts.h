// The built-in texts that `validate` scores beside its text: --texts.
#pragma once

#include <cstdint>
#include <nlohmann/json_fwd.hpp>
#include <string>
#include <vector>

#include "cli/command.h"
#include "cli/command_line.h"
#include "eval/perplexity.h"
#include "runtime/loaded_model.h"

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

// What is scored, and what it is compared with, if anything.
struct FurtherRun {
  const runtime::LoadedModel& model;
  runtime::Engine* reference = nullptr;
  const eval::ScoreOptions& options;
  const TaskPool& pool;
};

// Scores each. Both models see the tokens that `run.model` makes of a text. Throws as
// eval::built_in_text and eval::score_passages.
std::vector<FurtherText> score_further_texts(const std::vector<std::string>& names,
                                             const FurtherRun& run, Context& context);

// [{name, perplexity, perplexity_stderr, tokens, ...}]
nlohmann::ordered_json further_texts_json(const std::vector<FurtherText>& texts);
void print_further_texts(const std::vector<FurtherText>& texts);

}  // namespace pajamas::cli
