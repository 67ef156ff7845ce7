#include "cli/further_texts.h"

#include <fmt/format.h>

#include <algorithm>
#include <nlohmann/json.hpp>

#include "base/error.h"
#include "base/suggest.h"
#include "cli/terminal.h"
#include "eval/built_in_text.h"

namespace pajamas::cli {

using nlohmann::ordered_json;

namespace {

std::string further_place(const std::string& name) { return "embedded text " + name; }

}  // namespace

void add_further_texts_option(const Command& command, std::vector<std::string>& names) {
  command
      .add_option("--texts", names,
                  "Built-in texts to score beside: chat, code, languages (default: chat where "
                  "neither metrics, a reference nor a text is named)")
      .delimiter(',')
      .type_name("LIST");
}

void check_further_texts(const std::vector<std::string>& names, const std::string& reference) {
  const auto fail = [](const std::string& problem, const std::string& hint) {
    throw Error(ErrorCode::kUsage, problem, hint).at("--texts");
  };
  for (const std::string& name : names) {
    if (std::ranges::count(eval::kBuiltInTexts, name) == 0) {
      fail(fmt::format("\"{}\" is no built-in text", printable(name, 40)),
           did_you_mean(name, eval::kBuiltInTexts) +
               "give one or more of chat, code and languages; --text names a file");
    }
    if (std::ranges::count(names, name) > 1) {
      fail(fmt::format("{} stands there twice", name), "name it once");
    }
  }
  if (!names.empty() && eval::is_reference_file(reference)) {
    fail("a kept reference knows its own text alone",
         "name the model that it was computed with as --reference");
  }
}

std::vector<FurtherPassages> further_passages(const std::vector<std::string>& names,
                                              const model::TextModel& model,
                                              const eval::ScoreOptions& options) {
  std::vector<FurtherPassages> out;
  for (const std::string& name : names) {
    with_context(further_place(name), [&] {
      out.push_back({name, eval::built_in_text(name, model, options)});
    });
  }
  return out;
}

std::vector<FurtherText> score_further_texts(std::span<const FurtherPassages> texts,
                                             const FurtherRun& run, Context& context) {
  std::vector<FurtherText> out;
  for (const FurtherPassages& text : texts) {
    with_context(further_place(text.name), [&] {
      eval::ScoreAgainst against;
      against.reference = run.reference;
      out.push_back({text.name, eval::score_passages(run.model, against, text.passages, run.options,
                                                     run.pool, *context.progress, context.stop)});
    });
  }
  return out;
}

ordered_json further_texts_json(const std::vector<FurtherText>& texts) {
  ordered_json out = ordered_json::array();
  for (const auto& [name, score] : texts) {
    ordered_json& row =
        out.emplace_back(ordered_json{{"name", name},
                                      {"perplexity", score.perplexity},
                                      {"perplexity_stderr", score.perplexity_stderr},
                                      {"tokens", score.tokens}});
    if (!score.comparison) continue;
    const eval::Comparison& c = *score.comparison;
    row["reference_perplexity"] = c.reference_perplexity;
    row["loss_percent"] = c.loss_percent;
    row["loss_percent_stderr"] = c.loss_stderr;
    row["loss_counts"] = c.loss_counts;
    row["kl_mean"] = c.kl_mean;
    row["kl_stderr"] = c.kl_stderr;
    row["kl_p99"] = c.kl_p99;
    row["top1"] = c.top1;
    row["top1_stderr"] = c.top1_stderr;
  }
  return out;
}

void print_further_texts(const std::vector<FurtherText>& texts) {
  if (texts.empty()) return;
  const bool compared = texts.front().score.comparison.has_value();
  fmt::print("other texts      perplexity{}\n",
             compared ? "               loss %   mean KL  same top" : "");
  for (const auto& [name, score] : texts) {
    fmt::print("  {:<14} {:>10.4f} +/- {:.4f}", name, score.perplexity, score.perplexity_stderr);
    if (score.comparison) {
      const eval::Comparison& c = *score.comparison;
      fmt::print("  {:>+8.3f}  {:>8.6f}  {:>6.2f} %", c.loss_percent, c.kl_mean, c.top1 * 100);
    }
    fmt::print("  ({} tokens{})\n", with_thousands(score.tokens),
               name == eval::kChatText ? " of the assistant's" : "");
  }
}

}  // namespace pajamas::cli
