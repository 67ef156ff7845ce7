#include "eval/write_code.h"

#include <algorithm>
#include <map>
#include <memory>
#include <optional>
#include <utility>

#include "base/error.h"
#include "eval/chat_prompt.h"
#include "eval/humaneval.h"
#include "runtime/schedule.h"
#include "text/answer.h"

namespace pajamas::eval {
namespace {

// Each has keys and values; with more the weights, read once for all of them, cost no less.
constexpr std::size_t kTogether = 8;

// The paper's for many samples.
constexpr double kTemperature = 0.8;
constexpr double kTopP = 0.95;

runtime::SamplerOptions sampling_of(std::uint64_t samples, std::size_t problem,
                                    std::size_t sample) {
  runtime::SamplerOptions out;
  out.temperature = samples == 1 ? 0 : kTemperature;
  out.top_p = kTopP;
  out.top_k = 0;
  out.min_p = 0;
  out.seed = (static_cast<std::uint64_t>(problem) << 32) + sample;
  return out;
}

// A sample on its way.
class Draft {
 public:
  Draft(std::size_t of_problem, std::size_t number, const model::TextModel& model,
        std::span<const std::int32_t> prompt, bool chat)
      : problem(of_problem), sample(number), model_(model) {
    if (chat) answer_.emplace(model.tokenizer(), model.answer_format(), prompt);
  }

  void add(std::span<const std::int32_t> tokens) {
    if (!answer_) text_ += model_.tokenizer().decode(tokens);
    for (const std::int32_t token : tokens) {
      if (answer_) answer_->push(token, [](text::AnswerPart, std::string_view) {});
    }
  }
  bool is_complete() const { return !answer_ && end_of_body(text_) != std::string::npos; }
  std::string code(const std::string& entry_point) {
    if (!answer_) return text_.substr(0, end_of_body(text_));
    answer_->finish([](text::AnswerPart, std::string_view) {});
    return code_of_answer(answer_->answer().content, entry_point);
  }

  const std::size_t problem, sample;

 private:
  const model::TextModel& model_;
  std::string text_;
  std::optional<text::AnswerSplitter> answer_;  // of a chat
};

}  // namespace

std::vector<std::vector<std::int32_t>> code_prompts(const std::vector<CodeProblem>& problems,
                                                    const model::TextModel& model, bool chat) {
  std::vector<std::vector<std::int32_t>> prompts;
  for (const CodeProblem& problem : problems) {
    prompts.push_back(chat ? model.tokenizer().encode(chat_prompt(model, code_request(problem)),
                                                      {.parse_special = true})
                           : model.encode(problem.prompt));
  }
  return prompts;
}

void write_code(
    runtime::Engine& engine, const model::TextModel& model,
    const std::vector<CodeProblem>& problems, const std::vector<std::vector<std::int32_t>>& prompts,
    const WriteOptions& options,
    const std::function<bool(std::size_t problem, std::size_t sample)>& known,
    const std::function<void(std::size_t problem, std::size_t sample, std::string)>& written,
    Progress& progress, const StopFlag& stop) {
  runtime::Scheduler scheduler(engine);
  std::map<runtime::SequenceId, Draft> drafts;
  const std::size_t all = problems.size() * options.samples;
  std::size_t next = 0;
  const auto begin_more = [&] {
    for (; next < all && drafts.size() < kTogether; ++next) {
      const std::size_t problem = next / options.samples;
      const std::size_t sample = next % options.samples;
      if (known(problem, sample)) {
        progress.advance(1);
        continue;
      }
      const auto& prompt = prompts[problem];
      const auto id =
          scheduler.add({prompt,
                         runtime::Sampler(sampling_of(options.samples, problem, sample)),
                         {options.max_tokens, prompt.size() + options.max_tokens, model.stop()}});
      drafts.try_emplace(id, problem, sample, model, prompt, options.chat);
    }
    return !drafts.empty();
  };
  while (begin_more()) {
    scheduler.step(stop);
    for (auto at = drafts.begin(); at != drafts.end();) {
      auto& [id, draft] = *at;
      runtime::Sequence& sequence = scheduler.at(id);
      sequence.check();
      draft.add(sequence.take_news());
      if (!sequence.is_over() && !draft.is_complete()) {
        ++at;
        continue;
      }
      written(draft.problem, draft.sample, draft.code(problems[draft.problem].entry_point));
      progress.advance(1);
      scheduler.remove(id);
      at = drafts.erase(at);
    }
  }
}

}  // namespace pajamas::eval
