// What `compare` says of several models.
#include <fmt/format.h>

#include "report/sections.h"

namespace pajamas::report {
namespace {

// "2 model-4bit": short, and no two alike.
std::vector<std::string> names_of(const ordered_json& models) {
  std::vector<std::string> names;
  for (const ordered_json& model : models) {
    names.push_back(fmt::format("{} {}", names.size() + 1, short_path(text_at(model, "path"))));
  }
  return names;
}

Cell with_error(const ordered_json& model, const char* key, const char* error) {
  Cell cell = number_cell(number_at(model, key));
  if (const auto spread = number_at(model, error); spread && cell.value) {
    cell.note = "± " + number_cell(spread).text;
  }
  return cell;
}

Section models_section(const ordered_json& models, const std::vector<std::string>& names) {
  Section section{.title = "Models"};
  section.table.columns = {"model",         "format",        "file",
                           "memory to run", "perplexity",    "KL divergence",
                           "loading",       "bits a weight", "backend"};
  for (std::size_t i = 0; i < models.size(); ++i) {
    const ordered_json& model = models[i];
    section.table.rows.push_back({{names[i], {}, text_at(model, "path")},
                                  {text_at(model, "format")},
                                  number_cell(number_at(model, "size_bytes"), Unit::kBytes),
                                  number_cell(number_at(model, "memory_bytes"), Unit::kBytes),
                                  with_error(model, "perplexity", "perplexity_stderr"),
                                  with_error(model, "kl_mean", "kl_stderr"),
                                  number_cell(number_at(model, "load_seconds"), Unit::kSeconds),
                                  number_cell(number_at(model, "bits_per_weight")),
                                  {text_at(model, "backend")}});
  }
  return section;
}

// `winner` is a path, and where one has it twice that with its number.
std::string winner_name(const ordered_json& models, const std::vector<std::string>& names,
                        const std::string& winner) {
  for (std::size_t i = 0; i < models.size(); ++i) {
    const std::string path = text_at(models[i], "path");
    if (winner == path || winner == fmt::format("{} (model{})", path, i + 1)) return names[i];
  }
  return winner.empty() ? "no difference beyond noise" : winner;
}

std::string metric_name(const std::string& metric) {
  if (metric == "speed") return "generation speed";
  if (metric == "prompt_speed") return "prompt speed";
  if (metric == "quality") return "quality (perplexity)";
  return metric == "size" ? "file size" : metric;
}

Section verdict_section(const ordered_json& verdicts, const ordered_json& models,
                        const std::vector<std::string>& names) {
  Section section{.title = "Verdicts",
                  .text =
                      "How many times better the best is than the next one, and the interval "
                      "that holds it with 95 % certainty. Nobody wins inside the noise."};
  if (verdicts.empty()) return section;
  section.table.columns = {"metric", "best", "times better", "from", "to"};
  for (const ordered_json& verdict : verdicts) {
    section.table.rows.push_back({{metric_name(text_at(verdict, "metric"))},
                                  {winner_name(models, names, text_at(verdict, "winner"))},
                                  number_cell(number_at(verdict, "ratio")),
                                  number_cell(number_at(verdict, "low")),
                                  number_cell(number_at(verdict, "high"))});
  }
  return section;
}

// `error`: the key of what one standard error is, in `of` such hundredths where that is a key.
Figure against_size(const ordered_json& models, const std::vector<std::string>& names,
                    const char* key, const char* error, const char* of) {
  Figure figure{.mark = Mark::kPoints, .x = {"file size", Unit::kBytes}};
  for (std::size_t i = 0; i < models.size(); ++i) {
    Series& series = figure.series.emplace_back(Series{names[i]});  // the same colour everywhere
    const auto size = number_at(models[i], "size_bytes");
    const auto value = number_at(models[i], key);
    if (!size || !value) continue;
    Point point{*size, value};
    if (auto spread = number_at(models[i], error)) {
      if (const auto whole = number_at(models[i], of)) *spread *= *whole / 100;
      point.low = *value - *spread;
      point.high = *value + *spread;
    }
    series.points.push_back(point);
  }
  return figure;
}

Section quality_section(const ordered_json& models, const std::vector<std::string>& names) {
  Section section{.title = "Quality against size"};
  Figure perplexity =
      against_size(models, names, "perplexity", "loss_percent_stderr", "reference_perplexity");
  perplexity.title = "Perplexity against file size";
  perplexity.about =
      "How well each model predicts the text: less is better, and so is further left. Dashed: what "
      "they are compared with. The lines are one standard error of the difference to it, position "
      "by position, so that what both find hard does not count.";
  perplexity.y = {"perplexity"};
  // That of the reference where one was given, else the first model is it.
  for (const ordered_json& model : models) {
    const std::string from = text_at(model, "kl_from");
    if (const auto level = number_at(model, "reference_perplexity"); level && !perplexity.level) {
      perplexity.level = Level{short_path(from) + " (reference)", *level};
    }
  }
  add_figure(section, std::move(perplexity));
  Figure divergence = against_size(models, names, "kl_mean", "kl_stderr", "");
  divergence.title = "KL divergence against file size";
  divergence.about =
      "How far each model's predictions lie from those of the reference, in nats a token; 0 is the "
      "reference itself.";
  divergence.y = {"mean KL divergence, nats"};
  add_figure(section, std::move(divergence));
  return section;
}

Section memory_section(const ordered_json& models, const std::vector<std::string>& names) {
  Section section{.title = "Memory"};
  Figure figure{.title = "File and memory",
                .about =
                    "The files, and what running takes: weights, keys and values of the "
                    "longest context here, work.",
                .mark = Mark::kBars,
                .x = {"model", Unit::kNumber, false, names},
                .y = {"size", Unit::kBytes}};
  figure.series = {{"file"}, {"memory to run"}};
  for (std::size_t i = 0; i < models.size(); ++i) {
    const auto x = static_cast<double>(i);
    figure.series[0].points.push_back({x, number_at(models[i], "size_bytes")});
    figure.series[1].points.push_back({x, number_at(models[i], "memory_bytes")});
  }
  add_figure(section, std::move(figure));
  return section;
}

}  // namespace

std::vector<Section> comparison_sections(const ordered_json& document) {
  const ordered_json& models = array_at(document, "models");
  if (models.empty()) return {};
  const std::vector<std::string> names = names_of(models);
  Section speed{.title = "Speed"};
  std::vector<NamedResults> results;
  for (std::size_t i = 0; i < models.size(); ++i) {
    results.push_back({names[i], &array_at(models[i], "results")});
  }
  add_speed_figures(speed, results);
  return {verdict_section(array_at(document, "verdicts"), models, names),
          models_section(models, names), quality_section(models, names), speed,
          memory_section(models, names)};
}

}  // namespace pajamas::report
