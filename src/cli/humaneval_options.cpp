#include "cli/humaneval_options.h"

#include <fmt/format.h>

#include <algorithm>
#include <map>
#include <nlohmann/json.hpp>
#include <utility>

#include "base/error.h"
#include "eval/write_code.h"

namespace pajamas::cli {
namespace {

using nlohmann::ordered_json;

constexpr std::int64_t kMostSamples = 10000;
constexpr std::int64_t kMostTokens = 1 << 20;
const char* const kName = "humaneval";

using Samples = std::map<std::pair<std::string, std::size_t>, std::string>;

Samples known_samples(const eval::RunRecord& record) {
  Samples samples;
  for (const ordered_json& line : record.known(kName)) {
    const auto id = line.find("task_id");
    const auto sample = line.find("sample");
    const auto code = line.find("completion");
    const bool whole = id != line.end() && id->is_string() && sample != line.end() &&
                       sample->is_number_unsigned() && code != line.end() && code->is_string();
    if (!whole) continue;
    samples[{id->get<std::string>(), sample->get<std::size_t>()}] = code->get<std::string>();
  }
  return samples;
}

eval::Completions write_all(const QuestionFlags& questions, const HumanEvalFlags& flags,
                            const AskedModels& models, const runtime::EngineOptions& engine,
                            const std::vector<eval::CodeProblem>& problems, eval::RunRecord& record,
                            Context& context) {
  const eval::WriteOptions how{questions.chat, static_cast<std::uint64_t>(flags.samples),
                               static_cast<std::uint64_t>(flags.max_tokens)};
  Samples samples = known_samples(record);
  if (!samples.empty()) {
    context.progress->note(fmt::format("{} completions are there already", samples.size()));
  }
  std::vector<std::vector<std::int32_t>> prompts;
  const auto model = open_asked(
      models.model, models.given_model, models.pre_tokenizer, engine,
      [&](const model::TextModel& text) {
        prompts = eval::code_prompts(problems, text, how.chat);
        std::size_t longest = 0;
        for (const auto& prompt : prompts) longest = std::max(longest, prompt.size());
        return longest + how.max_tokens;
      },
      context);
  context.progress->begin("Writing", problems.size() * how.samples, "programs");
  model->naming_bad_weights([&] {
    eval::write_code(
        model->engine(), model->text(), problems, prompts, how,
        [&](std::size_t i, std::size_t s) {
          return samples.contains({problems[i].id, s});
        },
        [&](std::size_t i, std::size_t s, std::string code) {
          record.add(kName, {{"task_id", problems[i].id}, {"sample", s}, {"completion", code}});
          samples[{problems[i].id, s}] = std::move(code);
        },
        *context.progress, context.stop);
  });
  context.progress->end();
  eval::Completions completions(problems.size());
  for (std::size_t i = 0; i < problems.size(); ++i) {
    for (std::size_t s = 0; s < how.samples; ++s) {
      completions[i].push_back(samples.at({problems[i].id, s}));
    }
  }
  return completions;
}

std::string kept_section(const std::vector<eval::CodeProblem>& problems,
                         const eval::Completions& completions,
                         const std::vector<std::vector<eval::Verdict>>& verdicts) {
  std::string text = "{\"completions\": [";
  bool first = true;
  for (std::size_t i = 0; i < completions.size(); ++i) {
    for (std::size_t s = 0; s < completions[i].size(); ++s) {
      const eval::Verdict& verdict = verdicts[i][s];
      const ordered_json one = {{"task_id", problems[i].id},
                                {"sample", s},
                                {"completion", completions[i][s]},
                                {"passed", verdict.passed},
                                {"why", verdict.why}};
      text +=
          (first ? "\n" : ",\n") + one.dump(-1, ' ', false, ordered_json::error_handler_t::replace);
      first = false;
    }
  }
  return text + "\n]}";
}

}  // namespace

void add_humaneval_options(const Command& command, HumanEvalFlags& flags) {
  command
      .add_option("--samples", flags.samples,
                  "Draw N programs for each problem of HumanEval, for pass@k (default: 1, the "
                  "likeliest)")
      .type_name("N");
  command
      .add_option("--max-tokens", flags.max_tokens,
                  "Of a program that HumanEval asks for (default: 512)")
      .type_name("N");
  command
      .add_option("--completions", flags.completions,
                  "Judge these of HumanEval (JSON lines of task_id and completion) instead of a "
                  "model's; needs no MODEL")
      .type_name("FILE");
  command.add_flag("--unsafe-execution", flags.unsafe,
                   "Run what was written for HumanEval without a sandbox, as yourself");
}

void check_humaneval_flags(const HumanEvalFlags& flags, bool asked) {
  require_between("--samples", flags.samples, 1, kMostSamples);
  require_between("--max-tokens", flags.max_tokens, 1, kMostTokens);
  require_metric(flags.samples != 1, asked, "--samples", kName);
  require_metric(!flags.completions.empty(), asked, "--completions", kName);
  require_metric(flags.unsafe, asked, "--unsafe-execution", kName);
  if (flags.completions.empty() || flags.samples == 1) return;
  throw Error(ErrorCode::kUsage, "nothing is drawn where completions are given",
              "leave it out: each problem has as many samples as the file has lines of it")
      .at("--samples");
}

ordered_json humaneval_identity(const QuestionFlags& questions, const HumanEvalFlags& flags) {
  return {{"data", questions.data},
          {"completions", flags.completions},
          {"samples", flags.samples},
          {"max_tokens", flags.max_tokens},
          {"chat", questions.chat}};
}

eval::PythonJudge make_judge(const HumanEvalFlags& flags, const StopFlag& stop) {
  const auto how = flags.unsafe ? eval::Confinement::kNone : eval::Confinement::kBubblewrap;
  return {how, eval::judge_limits(how), stop};
}

eval::HumanEvalReport run_humaneval(const QuestionFlags& questions, const HumanEvalFlags& flags,
                                    const AskedModels& models, const runtime::EngineOptions& engine,
                                    const eval::PythonJudge& judge, eval::RunRecord& record,
                                    Context& context) {
  std::vector<eval::CodeProblem> problems = eval::load_humaneval(questions.data);
  const auto limit = static_cast<std::uint64_t>(questions.limit);
  eval::Completions completions;
  if (!flags.completions.empty()) {
    completions = eval::load_completions(flags.completions, problems, limit);
  } else {
    if (limit > 0 && limit < problems.size()) problems.resize(limit);
    completions = write_all(questions, flags, models, engine, problems, record, context);
  }
  const auto verdicts =
      eval::judge_all(judge, problems, completions, *engine.pool, *context.progress, context.stop);
  record.finish(kName, kept_section(problems, completions, verdicts));
  return eval::humaneval_report(verdicts);
}

void print_humaneval(const eval::HumanEvalReport& report) {
  if (report.problems == 0) {
    fmt::print("HumanEval        no problem has a completion\n");
    return;
  }
  fmt::print("HumanEval        {:.2f} % pass@1 +/- {:.2f}  (of {} problems, {} passed)\n",
             report.pass_at.at(1) * 100, report.error * 100, report.problems, report.passed);
  for (const auto& [k, share] : report.pass_at) {
    if (k > 1) fmt::print("  pass@{:<10} {:.2f} %\n", k, share * 100);
  }
  if (report.timed_out > 0) fmt::print("  took too long  {}\n", report.timed_out);
}

}  // namespace pajamas::cli
