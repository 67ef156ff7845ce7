// Perplexity and KL as `validate` measures them: the options, and the run from a path to figures.
#pragma once

#include <cstdint>
#include <nlohmann/json_fwd.hpp>
#include <string>
#include <vector>

#include "cli/command.h"
#include "cli/command_line.h"
#include "cli/judge_options.h"
#include "cli/question_options.h"
#include "runtime/engine_options.h"

namespace pajamas::cli {

struct TextFlags {
  std::string text;
  std::string dump_logits;
  std::string memory_budget;
  std::int64_t context = 512;
  bool context_given = false, text_given = false;
  std::int64_t chunks = 0;
  bool per_layer = false;
  std::vector<std::string> texts;  // built-in ones to score beside
};

// --text, --chunks, --memory-budget, --per-layer, --dump-logits; --ctx is the command's.
void add_text_options(const Command& command, TextFlags& flags);
// --ctx and --chunks of a text that is scored. Throws Error{kUsage} for what is out of range.
void check_chunks(std::int64_t context, std::int64_t chunks);
// Throws Error{kUsage} for what is out of range or needs what is not there; `asked`: a text is
// scored; `reference`: as it was given, empty without one.
void check_text_flags(const TextFlags& flags, bool asked, const std::string& reference);

struct TextRun {
  const TextFlags& flags;
  const JudgeOptions& judge;
  const AskedModels& models;  // the reference may be a kept one
  runtime::EngineOptions engine;
  bool force = false;
  bool json = false;
  bool verdict = false;  // ends with a sentence that says what was lost
  bool unasked = false;  // nobody named a metric or a reference: what else matters is scored too
};

// Scores the text, and others beside it, and sets `out` to what JSON has of it, as soon as it is
// there; prints the tables unless that is asked for. Throws as eval::score_text and
// score_further_texts, and Error{kOutOfMemory} where --memory-budget is too small.
void score_given_text(const TextRun& run, nlohmann::ordered_json& out, eval::GateFigures& figures,
                      Context& context);

}  // namespace pajamas::cli
