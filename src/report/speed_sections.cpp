// What `benchmark` and `compare` measured of speed and memory.
#include <utility>

#include "base/readable.h"
#include "report/sections.h"

namespace pajamas::report {
namespace {

struct SpeedFigure {
  const char* key;
  const char* title;
  const char* about;
  const char* label;
  Unit unit;
};
constexpr SpeedFigure kSpeedFigures[] = {
    {"generation_tokens_per_second", "Generation by context",
     "Tokens a second, one at a time, on top of a KV cache that holds the context. Median of the "
     "repeats; the lines end at the least and the greatest. More is better.",
     "tokens/s", Unit::kNumber},
    {"prompt_tokens_per_second", "Prompt by context",
     "Tokens a second of a prompt in batches, on top of the context. More is better.", "tokens/s",
     Unit::kNumber},
    {"first_token_seconds", "Time to the first token",
     "What a prompt of the context takes from an empty cache. Less is better.", "seconds",
     Unit::kSeconds},
};

std::string context_name(const ordered_json& result) {
  return number_cell(number_at(result, "context"), Unit::kCount).text;
}

Table loading_table(const ordered_json& document) {
  Table table{{"", "value"}, {}};
  const auto add = [&](const char* name, const char* key, Unit unit) {
    if (const auto value = number_at(document, key)) {
      table.rows.push_back({{name, {}}, number_cell(value, unit)});
    }
  };
  add("Loading", "load_seconds", Unit::kSeconds);
  add("Peak memory", "peak_memory_bytes", Unit::kBytes);
  const ordered_json& results = array_at(document, "results");
  if (results.empty()) return table;
  for (const ordered_json& result : results) {
    const std::string at = " at a context of " + context_name(result);
    if (const auto bytes = number_at(result, "bytes_per_token")) {
      table.rows.push_back({{"Read for a token" + at, {}}, number_cell(bytes, Unit::kBytes)});
    }
    if (const auto share = number_at(result, "memory_bandwidth_share")) {
      table.rows.push_back(
          {{"Of what memory can read" + at, {}}, number_cell(share, Unit::kShare)});
    }
  }
  return table;
}

Figure memory_by_context(const ordered_json& results) {
  Figure figure{.title = "Memory by context",
                .about =
                    "The resident set of the process at each context, and what of it are the "
                    "keys and values of the context's tokens.",
                .mark = Mark::kBars,
                .x = {"context"},
                .y = {"memory", Unit::kBytes}};
  for (const auto& [name, key] :
       {std::pair{"resident", "resident_memory_bytes"}, {"KV cache", "kv_cache_bytes"}}) {
    figure.series.push_back(by_name(name, results, context_name, key, figure.x));
  }
  return figure;
}

Figure memory_over_time(const ordered_json& samples) {
  Figure figure{.title = "Memory over time",
                .about =
                    "The resident set of the process after each piece of the work, since the "
                    "model was loaded. Mapped weights count once they have been read.",
                .mark = Mark::kLine,
                .x = {"seconds", Unit::kSeconds},
                .y = {"memory", Unit::kBytes}};
  Series& series = figure.series.emplace_back(Series{"resident"});
  for (const ordered_json& sample : samples) {
    const auto seconds = number_at(sample, "seconds");
    if (seconds) series.points.push_back({*seconds, number_at(sample, "resident_bytes")});
  }
  return figure;
}

}  // namespace

void add_speed_figures(Section& section, const std::vector<NamedResults>& models) {
  for (const SpeedFigure& one : kSpeedFigures) {
    Figure figure{.title = one.title,
                  .about = one.about,
                  .mark = Mark::kLine,
                  .x = {"context"},
                  .y = {one.label, one.unit}};
    for (const NamedResults& model : models) {
      figure.series.push_back(by_name(model.name, *model.results, context_name, one.key, figure.x));
    }
    add_figure(section, std::move(figure));
  }
}

std::vector<Section> speed_sections(const ordered_json& document) {
  const ordered_json& results = array_at(document, "results");
  if (!document.contains("results")) return {};
  Section speed{.title = "Speed"};
  add_speed_figures(speed, {{short_path(text_at(document, "model")), &results}});
  Section memory{.title = "Memory", .table = loading_table(document)};
  add_figure(memory, memory_by_context(results));
  add_figure(memory, memory_over_time(array_at(document, "memory_over_time")));
  return {speed, memory};
}

}  // namespace pajamas::report
