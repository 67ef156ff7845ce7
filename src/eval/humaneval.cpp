#include "eval/humaneval.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <nlohmann/json.hpp>
#include <set>

#include "base/error.h"
#include "eval/json_lines.h"
#include "eval/shipped.h"

namespace pajamas::eval {
namespace {

using nlohmann::json;
using nlohmann::ordered_json;

constexpr std::array<std::string_view, 5> kEndsOfBody{"\nclass", "\ndef", "\n#", "\nif", "\nprint"};
constexpr std::string_view kFence = "```";

std::vector<CodeProblem> problems_of(std::string_view text) {
  std::vector<CodeProblem> problems;
  std::set<std::string> seen;
  for_each_line(text, [&](const json& object, std::size_t line) {
    CodeProblem problem{text_at(object, "task_id", line), text_at(object, "prompt", line),
                        text_at(object, "entry_point", line), text_at(object, "test", line)};
    if (!seen.insert(problem.id).second) {
      bad_line(line, fmt::format("{} comes a second time", printable(problem.id, 60)));
    }
    problems.push_back(std::move(problem));
  });
  if (problems.empty()) throw Error(ErrorCode::kCorruptFile, "there are no problems in it");
  return problems;
}

}  // namespace

std::vector<CodeProblem> load_humaneval(const std::filesystem::path& path) {
  if (path.empty()) return problems_of(inflated(std::string(shipped_humaneval())));
  const std::string text = read_lines_file(path);
  return with_context(printable(path.native(), 300), [&] { return problems_of(text); });
}

Completions load_completions(const std::filesystem::path& path,
                             const std::vector<CodeProblem>& problems, std::uint64_t limit) {
  std::map<std::string, std::size_t> index;
  for (std::size_t i = 0; i < problems.size(); ++i) index.emplace(problems[i].id, i);
  const std::size_t counted = limit == 0 ? problems.size() : std::min(problems.size(), limit);
  Completions completions(counted);
  std::size_t lines = 0;
  const std::string text = read_lines_file(path);
  with_context(printable(path.native(), 300), [&] {
    for_each_line(text, [&](const json& object, std::size_t line) {
      const std::string id = text_at(object, "task_id", line);
      const std::string completion = text_at(object, "completion", line);
      const auto found = index.find(id);
      if (found == index.end()) {
        bad_line(line, fmt::format("\"{}\" is no problem of the set", printable(id, 60)),
                 "name the set that it is of with --data");
      }
      if (found->second >= counted) return;
      completions[found->second].push_back(completion);
      ++lines;
    });
    if (lines == 0) throw Error(ErrorCode::kCorruptFile, "there are no completions in it");
  });
  return completions;
}

std::size_t end_of_body(std::string_view completion) noexcept {
  std::size_t end = std::string_view::npos;
  for (const std::string_view mark : kEndsOfBody) end = std::min(end, completion.find(mark));
  return end;
}

std::string code_request(const CodeProblem& problem) {
  return fmt::format(
      "Complete this Python function. Answer with the whole function in one block of code.\n\n"
      "```python\n{}\n```",
      problem.prompt);
}

std::string code_of_answer(std::string_view answer, std::string_view entry_point) {
  std::string_view code = answer;
  if (const std::size_t open = answer.find(kFence); open != std::string_view::npos) {
    const std::size_t begin = answer.find('\n', open);
    code = begin == std::string_view::npos ? std::string_view() : answer.substr(begin + 1);
    code = code.substr(0, code.find(kFence));
  }
  const bool whole = code.find(fmt::format("def {}(", entry_point)) != std::string_view::npos;
  return (whole ? "\n\n" : "") + std::string(code);
}

std::vector<std::vector<Verdict>> judge_all(const PythonJudge& judge,
                                            const std::vector<CodeProblem>& problems,
                                            const Completions& completions, const TaskPool& pool,
                                            Progress& progress, const StopFlag& stop) {
  std::vector<std::vector<Verdict>> verdicts(completions.size());
  std::vector<std::pair<std::size_t, std::size_t>> all;  // problem, sample
  for (std::size_t i = 0; i < completions.size(); ++i) {
    verdicts[i].resize(completions[i].size());
    for (std::size_t s = 0; s < completions[i].size(); ++s) all.emplace_back(i, s);
  }
  progress.begin("Testing", all.size(), "programs");
  pool.for_ranges(all.size(), 1, [&](std::uint64_t first, std::uint64_t last) {
    for (std::uint64_t k = first; k < last; ++k) {
      const auto [i, s] = all[k];
      verdicts[i][s] = judge.judge(problems[i], completions[i][s], stop);
      progress.advance(1);
    }
  });
  progress.end();
  return verdicts;
}

double pass_at_k(std::uint64_t samples, std::uint64_t passed, std::uint64_t k) noexcept {
  if (samples - passed < k) return 1;
  double none = 1;  // C(n - c, k) / C(n, k) as a product
  for (std::uint64_t i = samples - passed + 1; i <= samples; ++i) {
    none *= 1 - static_cast<double>(k) / static_cast<double>(i);
  }
  return 1 - none;
}

HumanEvalReport humaneval_report(const std::vector<std::vector<Verdict>>& verdicts) {
  HumanEvalReport report;
  std::vector<std::array<std::uint64_t, 2>> counts;  // samples, passed
  for (const auto& samples : verdicts) {
    if (samples.empty()) continue;
    const auto passed =
        static_cast<std::uint64_t>(std::ranges::count(samples, true, &Verdict::passed));
    counts.push_back({samples.size(), passed});
    report.passed += passed > 0 ? 1 : 0;
    report.timed_out +=
        static_cast<std::uint64_t>(std::ranges::count(samples, true, &Verdict::timed_out));
    report.samples = report.problems == 0 ? samples.size()
                                          : std::min<std::uint64_t>(report.samples, samples.size());
    ++report.problems;
  }
  if (counts.empty()) return report;
  const auto n = static_cast<double>(counts.size());
  for (const std::uint64_t k :
       {std::uint64_t{1}, std::uint64_t{10}, std::uint64_t{100}, report.samples}) {
    if (k > report.samples) continue;
    double sum = 0;
    double squares = 0;
    for (const auto& [samples, passed] : counts) {
      const double share = pass_at_k(samples, passed, k);
      sum += share;
      squares += share * share;
    }
    report.pass_at[k] = sum / n;
    if (k != 1 || counts.size() < 2) continue;
    report.error = std::sqrt(std::max(0.0, squares - sum * sum / n) / (n - 1) / n);
  }
  return report;
}

ordered_json humaneval_json(const HumanEvalReport& report) {
  ordered_json out = {{"pass_at_1", report.problems == 0 ? 0 : report.pass_at.at(1)},
                      {"passed", report.passed},
                      {"problems", report.problems}};
  if (report.samples < 2) return out;
  out["samples"] = report.samples;
  ordered_json& shares = out["pass_at_k"] = ordered_json::object();
  for (const auto& [k, share] : report.pass_at) shares[std::to_string(k)] = share;
  return out;
}

}  // namespace pajamas::eval
