#include "cli/mmlu_options.h"

#include <fmt/format.h>

#include <utility>

#include "base/error.h"
#include "cli/load_model.h"
#include "cli/text_option.h"
#include "eval/mmlu.h"
#include "runtime/loaded_model.h"

namespace pajamas::cli {
namespace {

constexpr std::int64_t kMostShots = 5;
constexpr std::int64_t kMostQuestions = 1 << 30;

void require_mmlu_range(const char* option, std::int64_t value, std::int64_t most) {
  if (value >= 0 && value <= most) return;
  throw Error(ErrorCode::kUsage, fmt::format("{} is out of range", value),
              fmt::format("give a number from 0 to {}", most))
      .at(option);
}

// Chat models are told apart from their text: which questions are asked in which form.
nlohmann::ordered_json identity_of(const MmluFlags& flags, const MmluModels& models) {
  return {{"model", models.given_model},
          {"reference", models.given_reference},
          {"data", flags.data},
          {"shots", flags.shots},
          {"chat", flags.chat}};
}

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

void ask(const std::string& path, const std::string& given, eval::MmluAsked who,
         const std::vector<eval::MmluSubject>& subjects, const MmluFlags& flags,
         const std::string& pre_tokenizer, runtime::EngineOptions engine, eval::MmluRecord& record,
         Context& context) {
  model::Checkpoint checkpoint = model::Checkpoint::open(path);
  model::TextAssets assets = load_text(checkpoint, pre_tokenizer, *context.progress);
  std::vector<eval::MmluPrompts> prompts;
  {
    const model::TextModel text(assets, checkpoint.config().vocab);
    for (const eval::MmluSubject& subject : subjects) {
      prompts.push_back(eval::mmlu_prompts(subject, text, flags.chat));
    }
  }
  engine.context = 0;
  for (const eval::MmluPrompts& each : prompts) {
    engine.context = std::max<std::uint64_t>(engine.context, each.longest());
  }
  if (engine.context > checkpoint.config().context_length) {
    context.progress->note(fmt::format(
        "the longest question has {} tokens, more than the {} positions {} was made for",
        engine.context, checkpoint.config().context_length, printable(given, 200)));
  }
  tell_of_running(checkpoint, engine);
  const runtime::LoadedModel model(std::move(checkpoint), engine, std::move(assets));
  context.progress->begin(who == eval::MmluAsked::kModel ? "Asking" : "Asking the reference",
                          all_questions(subjects), "questions");
  for (std::size_t s = 0; s < subjects.size(); ++s) {
    const std::string& name = subjects[s].name;
    eval::ask_mmlu(
        model.engine(), prompts[s],
        [&](std::size_t i) { return record.find(who, name, i) != nullptr; },
        [&](std::size_t i, const eval::MmluAnswer& answer) { record.add(who, name, i, answer); },
        *context.progress, context.stop);
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
  command
      .add_option("--data", flags.data,
                  "MMLU's questions: a folder with dev/ and test/ (CSV), or JSON lines")
      .type_name("PATH");
  command.add_option("--subjects", flags.subjects, "Ask these subjects of MMLU (default: all)")
      .delimiter(',')
      .type_name("LIST");
  command
      .add_option("--limit", flags.limit,
                  "Ask the first N questions of each subject (default: all)")
      .type_name("N");
  command.add_option("--shots", flags.shots, "Examples in front of a question (default: 5)")
      .type_name("N");
  command.add_flag("--apply-chat-template", flags.chat,
                   "Ask MMLU through the model's chat template");
  command
      .add_option("--save", flags.save,
                  "Keep every question's answer; a run that was stopped goes on from there")
      .type_name("FILE.json");
}

void check_mmlu_flags(const MmluFlags& flags, bool asked) {
  require_mmlu_range("--limit", flags.limit, kMostQuestions);
  require_mmlu_range("--shots", flags.shots, kMostShots);
  const auto needs_mmlu = [&](bool given, const char* option) {
    if (!given || asked) return;
    throw Error(ErrorCode::kUsage, "it is for mmlu, which is not measured", "add mmlu to --metrics")
        .at(option);
  };
  needs_mmlu(!flags.data.empty(), "--data");
  needs_mmlu(!flags.subjects.empty(), "--subjects");
  needs_mmlu(flags.limit != 0, "--limit");
  needs_mmlu(flags.chat, "--apply-chat-template");
  needs_mmlu(!flags.save.empty(), "--save");
  if (asked && flags.data.empty()) {
    throw Error(ErrorCode::kUsage, "mmlu needs its questions",
                "name the folder that holds their `dev` and `test`")
        .at("--data");
  }
}

eval::MmluReport run_mmlu(const MmluFlags& flags, const MmluModels& models,
                          const runtime::EngineOptions& engine, bool replace, Context& context) {
  const std::vector<eval::MmluSubject> subjects =
      eval::load_mmlu(flags.data, {flags.subjects, static_cast<std::uint64_t>(flags.limit),
                                   static_cast<std::uint64_t>(flags.shots)});
  tell_of_examples(subjects, flags.shots, *context.progress);
  eval::MmluRecord record = flags.save.empty()
                                ? eval::MmluRecord()
                                : eval::MmluRecord(flags.save, identity_of(flags, models), replace);
  if (record.known() > 0) {
    context.progress->note(fmt::format("{} answers are there already", record.known()));
  }
  const auto ask_one = [&](const std::string& path, const std::string& given, eval::MmluAsked who) {
    naming_bad_weights({path}, engine, [&] {
      ask(path, given, who, subjects, flags, models.pre_tokenizer, engine, record, context);
    });
  };
  ask_one(models.model, models.given_model, eval::MmluAsked::kModel);
  const bool compared = !models.reference.empty();
  if (compared) ask_one(models.reference, models.given_reference, eval::MmluAsked::kReference);
  record.commit(subjects);
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
