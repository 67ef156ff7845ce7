// HumanEval as `validate` measures it: the options, and the run from a path to figures.
#pragma once

#include <cstdint>
#include <nlohmann/json_fwd.hpp>
#include <string>

#include "cli/command.h"
#include "cli/command_line.h"
#include "cli/question_options.h"
#include "eval/humaneval.h"
#include "eval/run_record.h"
#include "runtime/engine_options.h"

namespace pajamas::cli {

struct HumanEvalFlags {
  std::int64_t samples = 1;
  std::int64_t max_tokens = 512;
  std::string completions;
  bool unsafe = false;
};

void add_humaneval_options(const Command& command, HumanEvalFlags& flags);
void check_humaneval_flags(const HumanEvalFlags& flags, bool asked);
// What tells one run from another, for --save.
nlohmann::ordered_json humaneval_identity(const QuestionFlags& questions,
                                          const HumanEvalFlags& flags);

// The sandbox, tried. Throws as PythonJudge does.
eval::PythonJudge make_judge(const HumanEvalFlags& flags, const StopFlag& stop);

// Judges the given completions, else those that the model writes.
eval::HumanEvalReport run_humaneval(const QuestionFlags& questions, const HumanEvalFlags& flags,
                                    const AskedModels& models, const runtime::EngineOptions& engine,
                                    const eval::PythonJudge& judge, eval::RunRecord& record,
                                    Context& context);

void print_humaneval(const eval::HumanEvalReport& report);

}  // namespace pajamas::cli
