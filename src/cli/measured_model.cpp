#include "cli/measured_model.h"

#include <fmt/format.h>

#include <algorithm>

#include "base/error.h"
#include "base/system.h"
#include "bench/bytes_read.h"
#include "cli/engine_options.h"
#include "cli/load_model.h"
#include "cli/model_summary.h"
#include "cli/terminal.h"
#include "cli/text_option.h"
#include "cli/whole_number.h"

namespace pajamas::cli {
namespace {

std::uint64_t count_of(std::int64_t number, std::string_view option) {
  constexpr std::int64_t kMost = 1 << 20;
  if (number >= 1 && number <= kMost) return static_cast<std::uint64_t>(number);
  throw Error(ErrorCode::kUsage, fmt::format("{} is out of range", number),
              fmt::format("give a number from 1 to {}", kMost))
      .at(option);
}

}  // namespace

void add_speed_options(const Command& command, SpeedFlags& flags) {
  command
      .add_option("--context-lengths", flags.contexts,
                  "Tokens in the KV cache before what is timed (default: 512,2048,8192, or those "
                  "that fit)")
      .delimiter(',')
      .type_name("LIST");
  command
      .add_option("--prompt-tokens", flags.prompt_tokens,
                  "Prompt tokens that are timed at each context")
      .capture_default_str()
      .type_name("N");
  command
      .add_option("--generation-tokens", flags.generation_tokens,
                  "Generated tokens that are timed at each context")
      .capture_default_str()
      .type_name("N");
  command.add_option("--repeats", flags.repeats, "Measure everything so often")
      .capture_default_str()
      .type_name("N");
}

bench::SpeedQuestion speed_question(const SpeedFlags& flags) {
  bench::SpeedQuestion question;
  for (const std::string& text : flags.contexts) {
    const std::string number = whole_number(text, "--context-lengths", true);
    const std::uint64_t context = std::stoull(number);
    if (context > runtime::kMaxContext) {
      throw Error(ErrorCode::kUsage, fmt::format("{} is out of range", number),
                  "give numbers of tokens, with commas between them")
          .at("--context-lengths");
    }
    question.contexts.push_back(context);
  }
  std::ranges::sort(question.contexts);
  question.contexts.erase(std::unique(question.contexts.begin(), question.contexts.end()),
                          question.contexts.end());
  question.prompt_tokens = count_of(flags.prompt_tokens, "--prompt-tokens");
  question.generation_tokens = count_of(flags.generation_tokens, "--generation-tokens");
  question.repeats = count_of(flags.repeats, "--repeats");
  return question;
}

void fit_question(const model::ModelConfig& config, runtime::EngineOptions& engine,
                  bench::SpeedQuestion& question) {
  if (question.contexts.empty()) {
    question.contexts = bench::default_contexts(config, engine, question);
  }
  with_context("--context-lengths", [&] { bench::require_room(config, engine, question); });
  engine.context = question.positions();
}

std::unique_ptr<MeasuredModel> open_measured(const std::string& path, const std::string& given,
                                             runtime::EngineOptions& engine,
                                             bench::SpeedQuestion& question, Context& context) {
  auto measured = std::make_unique<MeasuredModel>();
  const double began = seconds_now();
  model::Checkpoint checkpoint = model::Checkpoint::open(path);
  const double opened = seconds_now();
  settle_backend(checkpoint, engine);
  fit_question(checkpoint.config(), engine, question);
  tell_of_running(checkpoint, engine);
  measured->name = printable(given, 1000);
  measured->format = model::container_name(checkpoint.container());
  measured->file_bytes = file_bytes(checkpoint);
  measured->tensor_bytes = weights_bytes(checkpoint);
  measured->about = fmt::format("{}: {}, {}", short_name(given), quantization_name(checkpoint),
                                readable_bytes(measured->file_bytes));
  measured->weight_bytes_per_token = bench::bytes_per_token(checkpoint);
  const double loading = seconds_now();
  model::TextAssets text = load_text(checkpoint, {}, *context.progress);
  measured->loaded.emplace(std::move(checkpoint), engine, std::move(text));
  measured->load_seconds = (opened - began) + (seconds_now() - loading);
  return measured;
}

std::string spread_text(const std::optional<bench::Spread>& spread) {
  if (!spread) return "-";
  return fmt::format("{} ({}..{})", readable_rate(spread->median), readable_rate(spread->low),
                     readable_rate(spread->high));
}

}  // namespace pajamas::cli
