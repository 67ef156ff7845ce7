#include "cli/mmlu_options.h"

#include <fmt/format.h>

#include <algorithm>
#include <nlohmann/json.hpp>

#include "base/error.h"
#include "eval/mmlu.h"

namespace pajamas::cli {
namespace {

constexpr std::int64_t kMostShots = 5;

void tell_of_examples(const std::vector<eval::MmluSubject>& subjects, std::int64_t shots,
                      Progress& progress) {
  std::string names;
  for (const eval::MmluSubject& subject : subjects) {
    if (subject.examples.size() >= static_cast<std::size_t>(shots)) continue;
    names += fmt::format("{}{} ({})", names.empty() ? "" : ", ", printable(subject.name, 60),
                         subject.examples.size());
  }
  if (names.empty()) return;
  progress.note(fmt::format("fewer than {} examples are there for {}", shots, names));
}

std::uint64_t all_questions(const std::vector<eval::MmluSubject>& subjects) {
  std::uint64_t count = 0;
  for (const eval::MmluSubject& subject : subjects) count += subject.questions.size();
  return count;
}

// As many as together have room beside the longest one.
std::size_t questions_at_once(const runtime::LoadedModel& model) {
  const runtime::MemoryNeeds needs = model.memory_needs();
  const std::uint64_t beside =
      needs.per_position * eval::mmlu_positions_beside(model.engine(), eval::kMmluAtOnce);
  const std::uint64_t limit = runtime::memory_limit(model.options());
  return needs.total() <= limit && beside <= limit - needs.total() ? eval::kMmluAtOnce : 1;
}

void ask(const std::string& path, const std::string& given, eval::MmluAsked who,
         const std::vector<eval::MmluSubject>& subjects, bool chat,
         const std::string& pre_tokenizer, const runtime::EngineOptions& engine,
         eval::MmluRecord& record, Context& context) {
  std::vector<eval::MmluPrompts> prompts;
  const auto model = open_asked(
      path, given, pre_tokenizer, engine,
      [&](const model::TextModel& text) {
        std::uint64_t longest = 0;
        for (const eval::MmluSubject& subject : subjects) {
          prompts.push_back(eval::mmlu_prompts(subject, text, chat));
          longest = std::max<std::uint64_t>(longest, prompts.back().longest());
        }
        return longest;
      },
      context);
  context.progress->begin(who == eval::MmluAsked::kModel ? "Asking" : "Asking the reference",
                          all_questions(subjects), "questions");
  for (std::size_t s = 0; s < subjects.size(); ++s) {
    const std::string& name = subjects[s].name;
    model->naming_bad_weights([&] {
      eval::ask_mmlu(
          model->engine(), prompts[s], questions_at_once(*model),
          [&](std::size_t i) { return record.find(who, name, i) != nullptr; },
          [&](std::size_t i, const eval::MmluAnswer& answer) { record.add(who, name, i, answer); },
          *context.progress, context.stop);
    });
  }
  context.progress->end();
}

void print_row(const eval::MmluReport::Row& row) {
  const auto [low, high] = row.model.interval();
  fmt::print("  {:<38} {:>6}  {:>6.2f} %  {:>6.2f} to {:.2f}", printable(row.name, 60),
             row.model.questions, row.model.accuracy() * 100, low * 100, high * 100);
  if (row.reference) fmt::print("  (reference {:.2f} %)", row.reference->accuracy() * 100);
  fmt::print("\n");
}

}  // namespace

void add_mmlu_options(const Command& command, MmluFlags& flags) {
  command.add_option("--subjects", flags.subjects, "Ask these subjects of MMLU (default: all)")
      .delimiter(',')
      .type_name("LIST");
  command.add_option("--shots", flags.shots, "Examples in front of a question (default: 5)")
      .type_name("N");
}

void check_mmlu_flags(const MmluFlags& flags, bool asked) {
  require_between("--shots", flags.shots, 0, kMostShots);
  require_metric(!flags.subjects.empty(), asked, "--subjects", "mmlu");
}

nlohmann::ordered_json mmlu_identity(const QuestionFlags& questions, const MmluFlags& flags) {
  return {{"data", questions.data}, {"shots", flags.shots}, {"chat", questions.chat}};
}

eval::MmluReport run_mmlu(const QuestionFlags& questions, const MmluFlags& flags,
                          const AskedModels& models, const runtime::EngineOptions& engine,
                          eval::RunRecord& kept, Context& context) {
  const std::vector<eval::MmluSubject> subjects =
      eval::load_mmlu(questions.data, {flags.subjects, static_cast<std::uint64_t>(questions.limit),
                                       static_cast<std::uint64_t>(flags.shots)});
  if (questions.data.empty()) {
    context.progress->note(
        "the built-in questions are ten of each subject; --data names the whole set");
  }
  tell_of_examples(subjects, flags.shots, *context.progress);
  eval::MmluRecord record(kept);
  if (record.known() > 0) {
    context.progress->note(fmt::format("{} answers are there already", record.known()));
  }
  const auto ask_one = [&](const std::string& path, const std::string& given, eval::MmluAsked who) {
    ask(path, given, who, subjects, questions.chat, models.pre_tokenizer, engine, record, context);
  };
  ask_one(models.model, models.given_model, eval::MmluAsked::kModel);
  const bool compared = !models.reference.empty();
  if (compared) ask_one(models.reference, models.given_reference, eval::MmluAsked::kReference);
  record.finish(subjects);
  return eval::mmlu_report(subjects, record, compared);
}

void print_mmlu(const eval::MmluReport& report) {
  fmt::print("MMLU                                     asked     right    95 % interval\n");
  for (const eval::MmluReport::Row& row : report.subjects) print_row(row);
  for (const eval::MmluReport::Row& row : report.categories) print_row(row);
  print_row(report.all);
  if (!report.difference) return;
  const eval::MmluDifference& d = *report.difference;
  fmt::print(
      "against the reference  {:+.2f} % +/- {:.2f} %; only one of both right: {} and {}, "
      "p = {:.4f} (McNemar)\n",
      d.accuracy * 100, d.error * 100, d.only_model, d.only_reference, d.p);
}

}  // namespace pajamas::cli
