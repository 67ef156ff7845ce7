// HumanEval: how many functions a model writes that pass their tests.
#pragma once

#include <cstdint>
#include <filesystem>
#include <map>
#include <nlohmann/json_fwd.hpp>
#include <string>
#include <string_view>
#include <vector>

#include "base/parallel.h"
#include "base/progress.h"
#include "eval/python_judge.h"

namespace pajamas::eval {

// JSON lines {"task_id", "prompt", "entry_point", "test"}, maybe compressed by gzip; without a path
// the published ones. Throws as read_lines_file, and Error{kCorruptFile} with the line, also for a
// problem that comes twice.
std::vector<CodeProblem> load_humaneval(const std::filesystem::path& path);

// What is judged: the completions of each problem, in the order of the problems; none for those
// that are not counted.
using Completions = std::vector<std::vector<std::string>>;

// Of JSON lines {"task_id", "completion"}, as the original harness has them; several of a problem
// are samples of it. Of `problems`, the whole set, the first `limit` are looked at (0: all). Throws
// Error{kCorruptFile} for a task that is none of theirs, and where there are none.
Completions load_completions(const std::filesystem::path& path,
                             const std::vector<CodeProblem>& problems, std::uint64_t limit);

// Where something else than the function's body begins, by the paper's stop sequences; npos where
// nothing does.
std::size_t end_of_body(std::string_view completion) noexcept;

// What a chat answers is to a problem's prompt: of its first block of code (else of all of it) what
// is put behind the prompt, be it the whole function or its body.
std::string code_of_answer(std::string_view answer, std::string_view entry_point);
// What the user says to get it.
std::string code_request(const CodeProblem& problem);

// Judges all of them, as many beside each other as `pool` has threads. Verdicts as `completions`.
std::vector<std::vector<Verdict>> judge_all(const PythonJudge& judge,
                                            const std::vector<CodeProblem>& problems,
                                            const Completions& completions, const TaskPool& pool,
                                            Progress& progress, const StopFlag& stop);

struct HumanEvalReport {
  std::uint64_t problems = 0;               // that were counted
  std::uint64_t passed = 0;                 // of which a sample passed
  std::uint64_t samples = 0;                // the fewest of a counted problem
  std::uint64_t timed_out = 0;              // samples
  std::map<std::uint64_t, double> pass_at;  // k: 1, 10, 100 and `samples`, as far as there are
  double error = 0;                         // standard error of pass@1 over the problems
};

// The paper's estimator without bias: the mean over the problems of 1 - C(n - c, k) / C(n, k), c of
// n samples having passed. k <= n.
double pass_at_k(std::uint64_t samples, std::uint64_t passed, std::uint64_t k) noexcept;
HumanEvalReport humaneval_report(const std::vector<std::vector<Verdict>>& verdicts);
// {pass_at_1, passed, problems}; with several samples also {samples, pass_at_k: {"1": ...}}.
nlohmann::ordered_json humaneval_json(const HumanEvalReport& report);

}  // namespace pajamas::eval
