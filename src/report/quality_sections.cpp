// What `validate` found: on a text, and in questions and programs.
#include <fmt/format.h>

#include <span>
#include <string>

#include "report/sections.h"

namespace pajamas::report {
namespace {

struct Row {
  const char* name;
  const char* key;
  const char* error;  // "": none
  Unit unit;
};
constexpr Row kTextRows[] = {
    {"Perplexity", "perplexity", "perplexity_stderr", Unit::kNumber},
    {"Perplexity of the reference", "reference_perplexity", "", Unit::kNumber},
    {"Loss, %", "loss_percent", "loss_percent_stderr", Unit::kNumber},
    {"Mean KL divergence, nats", "kl_mean", "kl_stderr", Unit::kNumber},
    {"Same top token", "top1", "", Unit::kShare},
    {"Tokens that were predicted", "tokens", "", Unit::kCount},
    {"Chunks of the text", "chunks", "", Unit::kCount},
    {"Tokens of a chunk", "context", "", Unit::kCount},
    {"KV cache of a chunk", "kv_cache_bytes", "", Unit::kBytes},
    {"Perplexity with an f32 cache", "kv_cache_perplexity_f32", "", Unit::kNumber},
    {"What the KV cache costs, %", "kv_cache_loss_percent", "", Unit::kNumber},
    {"Mean KL divergence of the KV cache", "kv_cache_kl_mean", "kv_cache_kl_stderr", Unit::kNumber},
};

// What a built-in text beside has of the same.
constexpr Row kOtherTextRows[] = {
    {"Perplexity", "perplexity", "perplexity_stderr", Unit::kNumber},
    {"Loss, %", "loss_percent", "loss_percent_stderr", Unit::kNumber},
    {"Mean KL divergence, nats", "kl_mean", "kl_stderr", Unit::kNumber},
};

// `of`: behind each row's name.
void add_rows(Table& table, std::span<const Row> rows, const ordered_json& figures,
              const std::string& of) {
  for (const Row& row : rows) {
    const auto value = number_at(figures, row.key);
    if (!value) continue;
    Cell cell = number_cell(value, row.unit);
    if (const auto error = number_at(figures, row.error)) {
      cell.text += " ± " + number_cell(error, row.unit).text;
    }
    table.rows.push_back({{row.name + of, {}}, std::move(cell)});
  }
}

Table rows_of(const ordered_json& document) {
  Table table{{"", "value"}, {}};
  add_rows(table, kTextRows, document, "");
  for (const ordered_json& text : array_at(document, "texts")) {
    add_rows(table, kOtherTextRows, text, fmt::format(" (text: {})", text_at(text, "name")));
  }
  for (const auto& [name, key] :
       {std::pair{"Reference", "reference"}, {"Text", "text"}, {"KV cache", "kv_cache"}}) {
    if (const std::string text = text_at(document, key); !text.empty()) {
      table.rows.push_back({{name, {}}, {text, {}}});
    }
  }
  return table;
}

std::string band_name(const ordered_json& band) {
  const auto first = number_at(band, "first"), last = number_at(band, "last");
  return first && last ? fmt::format("{}–{}", *first, *last) : std::string();
}

std::string layer_name(const ordered_json& layer) {
  return number_cell(number_at(layer, "layer")).text;
}

// One line along the rows of a list.
Figure line_of(const ordered_json& rows, RowName name, const char* along, const char* key,
               const char* series) {
  Figure figure{.mark = Mark::kLine, .x = {along}};
  figure.series.push_back(by_name(series, rows, name, key, figure.x));
  return figure;
}

Figure percentiles(const ordered_json& shares) {
  Figure figure{.title = "KL divergence by percentile",
                .about =
                    "So many percent of the positions lie below. On a logarithmic axis: a few "
                    "positions usually hold most of the divergence.",
                .mark = Mark::kLine,
                .x = {"percentile"},
                .y = {"KL divergence, nats", Unit::kNumber, true}};
  Series& series = figure.series.emplace_back(Series{"KL divergence"});
  for (const auto& [name, value] : shares.items()) {
    const double x = place_on(figure.x, name);
    // A logarithm has no place for what is the same to the last bit.
    const bool shown = value.is_number() && value.get<double>() > 0;
    series.points.push_back({x, shown ? std::optional(value.get<double>()) : std::nullopt});
  }
  return figure;
}

Section layers_section(const ordered_json& layers) {
  Section section{.title = "Layer by layer"};
  Figure error = line_of(layers, layer_name, "layer", "error", "error");
  error.title = "Error by layer";
  error.about =
      "The difference between the outputs of both models' layers, over the reference's. Each model "
      "goes on from its own outputs, so that errors add up; a step shows where one enters.";
  error.y = {"relative error"};
  add_figure(section, std::move(error));
  Figure same = line_of(layers, layer_name, "layer", "same_experts", "same experts");
  same.title = "Agreement of the routers";
  same.about = "How many of the experts that the reference chooses the model chooses too.";
  same.y = {"same experts", Unit::kShare};
  add_figure(section, std::move(same));
  return section;
}

std::optional<double> item(const ordered_json& list, std::size_t index) {
  if (index >= list.size() || !list[index].is_number()) return std::nullopt;
  return list[index].get<double>();
}

Figure answers_figure(const char* title, const ordered_json& groups) {
  Figure figure{.title = title,
                .about = "The share of right answers; the lines are intervals of 95 %.",
                .mark = Mark::kBars,
                .x = {"subject"},
                .y = {"right answers", Unit::kShare}};
  Series model{"model"}, reference{"reference"};
  for (const auto& [name, group] : groups.items()) {
    const double x = place_on(figure.x, name);
    const ordered_json& interval = array_at(group, "interval");
    model.points.push_back({x, number_at(group, "accuracy"), item(interval, 0), item(interval, 1)});
    if (const auto other = number_at(group, "reference_accuracy")) {
      reference.points.push_back({x, other});
    }
  }
  figure.series.push_back(std::move(model));
  if (!reference.points.empty()) figure.series.push_back(std::move(reference));
  return figure;
}

Section mmlu_section(const ordered_json& mmlu) {
  Section section{.title = "MMLU"};
  if (mmlu.empty()) return section;
  ordered_json groups = {{"all", mmlu}};
  groups.update(object_at(mmlu, "categories"));
  add_figure(section, answers_figure("MMLU by category", groups));
  add_figure(section, answers_figure("MMLU by subject", object_at(mmlu, "subjects")));
  if (const auto questions = number_at(mmlu, "questions")) {
    section.text = number_cell(questions, Unit::kCount).text + " questions.";
  }
  if (const auto p = number_at(mmlu, "mcnemar_p")) {
    section.text += fmt::format(
        " Of those where model and reference differ, {} are right for the model alone and {} for "
        "the reference alone (McNemar's test: p = {}).",
        number_cell(number_at(mmlu, "only_model_right"), Unit::kCount).text,
        number_cell(number_at(mmlu, "only_reference_right"), Unit::kCount).text,
        number_cell(p).text);
  }
  return section;
}

Section humaneval_section(const ordered_json& humaneval) {
  Section section{.title = "HumanEval"};
  if (humaneval.empty()) return section;
  Figure figure{.title = "HumanEval, pass@k",
                .about = "The share of problems that one of k programs solves.",
                .mark = Mark::kBars,
                .x = {"k"},
                .y = {"solved", Unit::kShare}};
  Series& series = figure.series.emplace_back(Series{"model"});
  ordered_json shares = object_at(humaneval, "pass_at_k");
  if (shares.empty()) shares["1"] = number_at(humaneval, "pass_at_1").value_or(0);
  for (const auto& [k, share] : shares.items()) {
    series.points.push_back({place_on(figure.x, "pass@" + k), number_at(shares, k)});
  }
  section.text = number_cell(number_at(humaneval, "problems"), Unit::kCount).text + " problems.";
  add_figure(section, std::move(figure));
  return section;
}

}  // namespace

std::vector<Section> text_sections(const ordered_json& document) {
  if (!number_at(document, "perplexity")) return {};
  Section summary{.title = "On the text", .text = text_at(document, "verdict")};
  summary.table = rows_of(document);
  Section where{.title = "Position by position"};
  const ordered_json& positions = array_at(document, "positions");
  constexpr const char* kPosition = "position in the chunk";
  Figure kl = line_of(positions, band_name, kPosition, "kl_mean", "KL divergence");
  kl.title = "KL divergence by position";
  kl.about =
      "How far the predictions lie from the reference's, in nats a token, by how many tokens stand "
      "before: does the loss grow with the context?";
  kl.y = {"mean KL divergence, nats"};
  add_figure(where, std::move(kl));
  Figure perplexity = line_of(positions, band_name, kPosition, "perplexity", "perplexity");
  perplexity.title = "Perplexity by position";
  perplexity.about = "More context makes the rest of a text easier to predict.";
  perplexity.y = {"perplexity"};
  add_figure(where, std::move(perplexity));
  add_figure(where, percentiles(object_at(document, "kl_percentiles")));
  return {summary, where, layers_section(array_at(document, "layers"))};
}

std::vector<Section> question_sections(const ordered_json& document) {
  return {mmlu_section(object_at(document, "mmlu")),
          humaneval_section(object_at(document, "humaneval"))};
}

}  // namespace pajamas::report
