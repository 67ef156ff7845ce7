// MMLU as `validate` asks it: the options, and the run from a path to figures.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "cli/command.h"
#include "cli/command_line.h"
#include "eval/mmlu_record.h"
#include "runtime/engine_options.h"

namespace pajamas::cli {

struct MmluFlags {
  std::string data;
  std::vector<std::string> subjects;
  std::int64_t limit = 0;
  std::int64_t shots = 5;
  bool chat = false;
  std::string save;
};

void add_mmlu_options(const Command& command, MmluFlags& flags);

// Throws Error{kUsage} for what is out of range or missing; `asked`: mmlu is among the metrics.
void check_mmlu_flags(const MmluFlags& flags, bool asked);

// What is judged, by path and as the command line names it; reference: empty, or a model.
struct MmluModels {
  std::string model, reference;
  std::string given_model, given_reference;
  std::string pre_tokenizer;
};

// Asks all questions, of the reference too. Throws as eval::load_mmlu and ask_mmlu.
eval::MmluReport run_mmlu(const MmluFlags& flags, const MmluModels& models,
                          const runtime::EngineOptions& engine, bool replace, Context& context);

void print_mmlu(const eval::MmluReport& report);

}  // namespace pajamas::cli
