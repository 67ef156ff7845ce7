// MMLU as `validate` asks it: the options, and the run from a path to figures.
#pragma once

#include <cstdint>
#include <nlohmann/json_fwd.hpp>
#include <string>
#include <vector>

#include "cli/command.h"
#include "cli/command_line.h"
#include "cli/question_options.h"
#include "eval/mmlu_record.h"
#include "runtime/engine_options.h"

namespace pajamas::cli {

struct MmluFlags {
  std::vector<std::string> subjects;
  std::int64_t shots = 5;
};

void add_mmlu_options(const Command& command, MmluFlags& flags);

// Throws Error{kUsage} for what is out of range or missing; `asked`: mmlu is among the metrics.
void check_mmlu_flags(const MmluFlags& flags, bool asked);

// What tells one run from another, for --save.
nlohmann::ordered_json mmlu_identity(const QuestionFlags& questions, const MmluFlags& flags);

// Asks all questions, of the reference too. Throws as eval::load_mmlu and ask_mmlu.
eval::MmluReport run_mmlu(const QuestionFlags& questions, const MmluFlags& flags,
                          const AskedModels& models, const runtime::EngineOptions& engine,
                          eval::RunRecord& record, Context& context);

void print_mmlu(const eval::MmluReport& report);

}  // namespace pajamas::cli
