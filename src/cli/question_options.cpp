#include "cli/question_options.h"

#include <fmt/format.h>

#include <utility>

#include "base/error.h"
#include "cli/engine_options.h"
#include "cli/load_model.h"
#include "cli/text_option.h"

namespace pajamas::cli {
namespace {

constexpr std::int64_t kMostQuestions = 1 << 30;

}  // namespace

void add_question_options(const Command& command, QuestionFlags& flags) {
  command
      .add_option("--data", flags.data,
                  "MMLU's questions: a folder with dev/ and test/ (CSV), or JSON lines; or "
                  "HumanEval's problems (default: the built-in ones)")
      .type_name("PATH");
  command
      .add_option("--limit", flags.limit,
                  "Ask the first N questions of each subject, or N problems (default: all)")
      .type_name("N");
  command.add_flag("--apply-chat-template", flags.chat,
                   "Ask MMLU and HumanEval through the model's chat template");
  command
      .add_option("--save", flags.save,
                  "Keep every question's answer; a run that was stopped goes on from there")
      .type_name("FILE.json");
}

void require_between(const char* option, std::int64_t value, std::int64_t least,
                     std::int64_t most) {
  if (value >= least && value <= most) return;
  throw Error(ErrorCode::kUsage, fmt::format("{} is out of range", value),
              fmt::format("give a number from {} to {}", least, most))
      .at(option);
}

void require_metric(bool given, bool asked, const char* option, const char* metric) {
  if (!given || asked) return;
  throw Error(ErrorCode::kUsage, fmt::format("it is for {}, which is not measured", metric),
              fmt::format("add {} to --metrics", metric))
      .at(option);
}

void check_question_flags(const QuestionFlags& flags, int sets) {
  require_between("--limit", flags.limit, 0, kMostQuestions);
  const bool asked = sets > 0;
  const char* const metrics = "mmlu or humaneval";
  require_metric(!flags.data.empty(), asked, "--data", metrics);
  require_metric(flags.limit != 0, asked, "--limit", metrics);
  require_metric(flags.chat, asked, "--apply-chat-template", metrics);
  require_metric(!flags.save.empty(), asked, "--save", metrics);
  if (sets < 2 || flags.data.empty()) return;
  throw Error(ErrorCode::kUsage, "it is one set, and two are asked",
              "measure mmlu and humaneval one after the other, or leave --data out")
      .at("--data");
}

std::unique_ptr<const runtime::LoadedModel> open_asked(
    const std::string& path, const std::string& given, const std::string& pre_tokenizer,
    runtime::EngineOptions engine,
    const std::function<std::uint64_t(const model::TextModel&)>& longest, Context& context) {
  model::Checkpoint checkpoint = model::Checkpoint::open(path);
  settle_backend(checkpoint, engine);
  model::TextAssets assets = load_text(checkpoint, pre_tokenizer, *context.progress);
  engine.context = longest(model::TextModel(assets, checkpoint.config().vocab));
  if (engine.context > checkpoint.config().context_length) {
    context.progress->note(fmt::format(
        "the longest question has {} tokens, more than the {} positions {} was made for",
        engine.context, checkpoint.config().context_length, printable(given, 200)));
  }
  tell_of_running(checkpoint, engine);
  return std::make_unique<runtime::LoadedModel>(std::move(checkpoint), engine, std::move(assets));
}

}  // namespace pajamas::cli
