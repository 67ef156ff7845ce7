#include "cli/compare_report.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <nlohmann/json.hpp>

#include "base/readable.h"
#include "cli/measured_model.h"
#include "cli/terminal.h"

namespace pajamas::cli {
namespace {

using bench::Better;
using nlohmann::ordered_json;

// How a model is called where one of several has to be named: its path, unless another has it too.
std::string name_of(const std::vector<ComparedModel>& models, std::size_t number) {
  const std::string& path = models[number].path;
  const auto same =
      std::ranges::count_if(models, [&](const ComparedModel& model) { return model.path == path; });
  return same > 1 ? fmt::format("{} (model{})", path, number + 1) : path;
}

std::vector<double> figures(const std::vector<ComparedModel>& models,
                            std::uint64_t ComparedModel::*field) {
  std::vector<double> all;
  for (const ComparedModel& model : models) {
    all.push_back(static_cast<double>(std::max<std::uint64_t>(1, model.*field)));
  }
  return all;
}

// Nothing with fewer than two rounds of everybody: without noise no verdict.
void judge_speed(const std::vector<ComparedModel>& models, const char* metric,
                 std::vector<double> ComparedModel::*field, std::vector<bench::Verdict>& verdicts) {
  std::size_t rounds = SIZE_MAX;
  for (const ComparedModel& model : models) rounds = std::min(rounds, (model.*field).size());
  if (rounds < 2) return;
  std::vector<std::vector<double>> samples;
  for (const ComparedModel& model : models) {
    const std::vector<double>& all = model.*field;
    samples.emplace_back(all.begin(), all.begin() + static_cast<std::ptrdiff_t>(rounds));
  }
  verdicts.push_back(bench::judge_rounds(metric, Better::kMore, samples));
}

void judge_quality(const std::vector<ComparedModel>& models,
                   std::vector<bench::Verdict>& verdicts) {
  std::vector<bench::LogFigure> logs;
  for (const ComparedModel& model : models) {
    if (!model.quality) return;
    bench::LogFigure& figure = logs.emplace_back();
    figure.value = std::log(model.quality->perplexity);
    // Of the ratio to the first model, in percent; position by position, so that what both find
    // hard cancels.
    if (model.loss) figure.error = model.loss->error / (100 + model.loss->percent);
  }
  verdicts.push_back(bench::judge_logs("quality", Better::kLess, logs));
}

const char* word_of(const std::string& metric) {
  if (metric == "size") return "smaller";
  if (metric == "memory") return "smaller in memory";
  if (metric == "quality") return "better (perplexity)";
  return "faster";
}

}  // namespace

std::vector<bench::Verdict> verdicts_of(const std::vector<ComparedModel>& models,
                                        const std::vector<std::string>& metrics) {
  std::vector<bench::Verdict> verdicts;
  for (const std::string& metric : metrics) {
    if (metric == "speed") {
      judge_speed(models, "speed", &ComparedModel::generation_rates, verdicts);
      judge_speed(models, "prompt_speed", &ComparedModel::prompt_rates, verdicts);
    } else if (metric == "quality") {
      judge_quality(models, verdicts);
    } else {
      const auto field =
          metric == "size" ? &ComparedModel::size_bytes : &ComparedModel::memory_bytes;
      verdicts.push_back(bench::judge_exact(metric, Better::kLess, figures(models, field)));
    }
  }
  return verdicts;
}

ordered_json to_json(const ComparisonReport& report, const ordered_json& machine) {
  ordered_json models = ordered_json::array();
  for (const ComparedModel& model : report.models) {
    ordered_json row = {{"path", model.path},
                        {"format", model.format},
                        {"size_bytes", model.size_bytes},
                        {"bits_per_weight", model.bits_per_weight},
                        {"memory_bytes", model.memory_bytes},
                        {"backend", model.engine.backend->name()}};
    const auto& score = model.quality;
    row["perplexity"] = score ? ordered_json(score->perplexity) : ordered_json();
    row["perplexity_stderr"] = score ? ordered_json(score->perplexity_stderr) : ordered_json();
    const auto& apart = model.divergence;
    row["kl_mean"] = apart ? ordered_json(apart->kl_mean) : ordered_json();
    row["kl_stderr"] = apart ? ordered_json(apart->kl_stderr) : ordered_json();
    row["kl_from"] = !apart                     ? ordered_json()
                     : report.reference.empty() ? ordered_json(report.models.front().path)
                                                : ordered_json(report.reference);
    row["reference_perplexity"] =
        apart ? ordered_json(apart->reference_perplexity) : ordered_json();
    row["loss_percent"] = apart ? ordered_json(apart->loss_percent) : ordered_json();
    row["loss_percent_stderr"] = apart ? ordered_json(apart->loss_stderr) : ordered_json();
    row["load_seconds"] = model.speed ? ordered_json(model.speed->load_seconds) : ordered_json();
    row["results"] = model.speed ? bench::to_json(*model.speed, model.engine, {})["results"]
                                 : ordered_json::array();
    row["machine"] = machine;
    models.push_back(std::move(row));
  }
  ordered_json verdicts = ordered_json::array();
  for (const bench::Verdict& verdict : report.verdicts) {
    verdicts.push_back(
        {{"metric", verdict.metric},
         {"winner", verdict.beyond_noise ? ordered_json(name_of(report.models, verdict.best))
                                         : ordered_json()},
         {"ratio", verdict.ratio},
         {"low", verdict.low},
         {"high", verdict.high}});
  }
  ordered_json out = {{"models", std::move(models)}, {"verdicts", std::move(verdicts)}};
  if (report.partial) out["partial"] = true;
  return out;
}

std::string table_of(const ComparisonReport& report) {
  std::string text;
  for (std::size_t i = 0; i < report.models.size(); ++i) {
    const ComparedModel& model = report.models[i];
    text += paint(fmt::format("{}  {}", i + 1, model.about), Colour::kBold, stdout);
    text += fmt::format(" ({}, {})\n   memory {}", model.format, model.engine.backend->name(),
                        readable_bytes(model.memory_bytes));
    if (model.quality) {
      text += fmt::format(", perplexity {:.4f} +/- {:.4f}", model.quality->perplexity,
                          model.quality->perplexity_stderr);
    }
    if (model.divergence) {
      text += fmt::format(", KL {:.6f} +/- {:.6f} nats", model.divergence->kl_mean,
                          model.divergence->kl_stderr);
    }
    text += "\n";
    if (!model.speed) continue;
    text += fmt::format("   {:>9}  {:>24}  {:>24}  {:>12}\n", "context", "prompt tokens/s",
                        "generation tokens/s", "first token");
    for (const bench::DepthResult& result : model.speed->results) {
      const auto& first = result.first_token_seconds;
      text += fmt::format("   {:>9}  {:>24}  {:>24}  {:>12}\n", with_thousands(result.context),
                          spread_text(result.prompt_rate), spread_text(result.generation_rate),
                          first ? readable_seconds(first->median) : "-");
    }
  }
  for (const bench::Verdict& verdict : report.verdicts) {
    text += fmt::format("{:<13}", verdict.metric + ":");
    if (verdict.beyond_noise) {
      text += fmt::format("{} is {}", name_of(report.models, verdict.best),
                          bench::verdict_text(verdict, word_of(verdict.metric)));
      if (report.models.size() > 2) {
        text += fmt::format(" than {}", name_of(report.models, verdict.second));
      }
    } else {
      text += bench::verdict_text(verdict, word_of(verdict.metric));
    }
    text += "\n";
  }
  if (report.partial) text += "stopped before all was measured\n";
  return text;
}

}  // namespace pajamas::cli
