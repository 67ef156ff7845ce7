// The options of whatever asks a model questions: MMLU and HumanEval.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>

#include "cli/command.h"
#include "cli/command_line.h"
#include "runtime/loaded_model.h"

namespace pajamas::cli {

struct QuestionFlags {
  std::string data;  // empty: what is built in
  std::int64_t limit = 0;
  bool chat = false;
  std::string save;
};

void add_question_options(const Command& command, QuestionFlags& flags);
// Throws Error{kUsage} for what is out of range or asked of nothing. `sets`: how many are asked.
void check_question_flags(const QuestionFlags& flags, int sets);
// Throws Error{kUsage} unless `value` is from `least` to `most`.
void require_between(const char* option, std::int64_t value, std::int64_t least, std::int64_t most);
// Throws Error{kUsage} where an option is given for a metric that is not measured.
void require_metric(bool given, bool asked, const char* option, const char* metric);

// What is judged, by path and as the command line names it; reference: empty, or a model.
struct AskedModels {
  std::string model, reference;
  std::string given_model, given_reference;
  std::string pre_tokenizer;
};

// A model with room for as many positions as `longest` says its text needs; told where that is more
// than it was made for.
std::unique_ptr<const runtime::LoadedModel> open_asked(
    const std::string& path, const std::string& given, const std::string& pre_tokenizer,
    runtime::EngineOptions engine,
    const std::function<std::uint64_t(const model::TextModel&)>& longest, Context& context);

}  // namespace pajamas::cli
