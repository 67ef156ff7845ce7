// What of a command's JSON is shown, by the keys that it has: `benchmark` and each model of
// `compare` have "results", `validate` has "perplexity", "mmlu" and "humaneval", `quantize` has
// "outputs" with their "tensors". A key that is missing, or null, is left out.
#pragma once

#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <vector>

#include "report/figure.h"

namespace pajamas::report {

using nlohmann::ordered_json;

// All of them, those without anything in them left out.
std::vector<Section> sections_of(const ordered_json& document);

std::vector<Section> speed_sections(const ordered_json& document);
std::vector<Section> comparison_sections(const ordered_json& document);
std::vector<Section> text_sections(const ordered_json& document);
std::vector<Section> question_sections(const ordered_json& document);
std::vector<Section> type_sections(const ordered_json& document);

// What is at a key; nothing where there is none, or something else.
std::optional<double> number_at(const ordered_json& object, const std::string& key);
std::string text_at(const ordered_json& object, const std::string& key);
// An empty array or object where there is none, so that it can be walked.
const ordered_json& array_at(const ordered_json& object, const std::string& key);
const ordered_json& object_at(const ordered_json& object, const std::string& key);

// A figure with something to see is added.
void add_figure(Section& section, Figure figure);

// Where a name stands on an axis of names: behind the others where it is new.
double place_on(Axis& axis, const std::string& name);
// How a row of a list is called; nothing: it is left out.
using RowName = std::string (*)(const ordered_json& row);
// The figure `key` of each row as a series along `axis`, with the least and the greatest of it
// (`key` and "_min", "_max") where they are there.
Series by_name(const std::string& series, const ordered_json& rows, RowName name,
               const std::string& key, Axis& axis);
// What every report on speed shows of models: {name, results} each.
struct NamedResults {
  std::string name;
  const ordered_json* results;
};
void add_speed_figures(Section& section, const std::vector<NamedResults>& models);

// The last part of a path: "model-q4_k_m.gguf".
std::string short_path(const std::string& path);

}  // namespace pajamas::report
