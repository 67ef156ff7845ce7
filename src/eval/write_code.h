// A model writes the functions that HumanEval asks for.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "base/parallel.h"
#include "base/progress.h"
#include "eval/python_judge.h"
#include "model/text_model.h"
#include "runtime/engine.h"

namespace pajamas::eval {

struct WriteOptions {
  bool chat = false;          // through the model's chat template, else the prompt is continued
  std::uint64_t samples = 1;  // of each problem: one is the likeliest text, several are drawn
  std::uint64_t max_tokens = 512;
};

// The prompts as tokens. Throws as Tokenizer::encode and render_chat.
std::vector<std::vector<std::int32_t>> code_prompts(const std::vector<CodeProblem>& problems,
                                                    const model::TextModel& model, bool chat);

// Writes all samples but those that are `known`, several at a time, and hands out each as soon as
// it is complete: what is to stand behind the problem's prompt. What a sample is does not depend on
// which others there are. The engine's context has room for every prompt and max_tokens. Throws
// Error{kInterrupted}, and what the engine and the sampler throw.
void write_code(
    runtime::Engine& engine, const model::TextModel& model,
    const std::vector<CodeProblem>& problems, const std::vector<std::vector<std::int32_t>>& prompts,
    const WriteOptions& options,
    const std::function<bool(std::size_t problem, std::size_t sample)>& known,
    const std::function<void(std::size_t problem, std::size_t sample, std::string)>& written,
    Progress& progress, const StopFlag& stop);

}  // namespace pajamas::eval
