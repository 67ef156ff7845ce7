// What `quantize` wrote: which tensor is stored as which type, as a map of the model, and what that
// takes.
#include <fmt/format.h>

#include <algorithm>
#include <map>
#include <set>
#include <utility>

#include "report/sections.h"

namespace pajamas::report {
namespace {

struct TypeUse {
  std::string name;
  std::uint64_t tensors = 0;
  double weights = 0;
  double bytes = 0;
  std::set<std::pair<double, double>> fields;  // of the map

  double bits() const { return weights > 0 ? 8 * bytes / weights : 0; }
};

constexpr double kOutside = 0;  // the column of what belongs to no layer

// Types from the narrowest to the widest, which is the order of their colours.
struct TypeMap {
  std::vector<TypeUse> types;
  std::vector<std::string> roles;
  double layers = 0;
};

TypeMap map_of(const ordered_json& tensors) {
  std::map<std::string, TypeUse> by_name;
  TypeMap map;
  for (const ordered_json& tensor : tensors) {
    TypeUse& type = by_name[text_at(tensor, "type")];
    double weights = 1;
    for (const ordered_json& dim : array_at(tensor, "shape")) weights *= dim.get<double>();
    ++type.tensors;
    type.weights += weights;
    type.bytes += number_at(tensor, "bytes").value_or(0);
    const std::string role = text_at(tensor, "role");
    if (role.empty()) continue;
    const auto found = std::ranges::find(map.roles, role);
    const auto y = static_cast<double>(found - map.roles.begin());
    if (found == map.roles.end()) map.roles.push_back(role);
    const auto layer = number_at(tensor, "layer");
    const double x = layer ? *layer + 1 : kOutside;
    map.layers = std::max(map.layers, x);
    type.fields.emplace(x, y);
  }
  for (auto& [name, type] : by_name) {
    type.name = name;
    map.types.push_back(std::move(type));
  }
  std::ranges::stable_sort(map.types, {}, &TypeUse::bits);
  return map;
}

// "0–3, 6, 9"; a layer is one less than its column.
std::string layers_text(const std::vector<double>& columns) {
  std::string text;
  for (std::size_t i = 0; i < columns.size();) {
    std::size_t end = i + 1;
    while (end < columns.size() && columns[end] == columns[end - 1] + 1) ++end;
    if (!text.empty()) text += ", ";
    text += fmt::format("{}", columns[i] - 1);
    if (end > i + 1) text += fmt::format("–{}", columns[end - 1] - 1);
    i = end;
  }
  return text;
}

Table map_table(const TypeMap& map) {
  Table table{{"tensor", "type", "layers"}, {}};
  for (std::size_t role = 0; role < map.roles.size(); ++role) {
    for (const TypeUse& type : map.types) {
      std::vector<double> columns;
      bool outside = false;
      for (const auto& [x, y] : type.fields) {
        if (y != static_cast<double>(role)) continue;
        if (x == kOutside) outside = true;
        if (x != kOutside) columns.push_back(x);
      }
      if (!outside && columns.empty()) continue;
      table.rows.push_back({{map.roles[role], {}},
                            {type.name, {}},
                            {columns.empty() ? "outside of layers" : layers_text(columns), {}}});
    }
  }
  return table;
}

Figure map_figure(const TypeMap& map, const std::string& output) {
  Figure figure{.title = "Types of " + output,
                .about =
                    "Every tensor of the model, a row for what it is for and a column for its "
                    "layer; the first column has what belongs to none. The stronger a colour, "
                    "the more bits a weight.",
                .mark = Mark::kTiles,
                .x = {"layer", Unit::kCount, false, {"–"}},
                .y = {"tensor", Unit::kCount, false, map.roles}};
  for (double layer = 0; layer < map.layers; ++layer) {
    figure.x.names.push_back(fmt::format("{}", layer));
  }
  for (const TypeUse& type : map.types) {
    Series& series = figure.series.emplace_back(Series{type.name});
    for (const auto& [x, y] : type.fields) series.points.push_back({x, y});
  }
  figure.table = map_table(map);
  return figure;
}

Figure bytes_figure(const TypeMap& map, const std::string& output) {
  Figure figure{.title = "Bytes of " + output,
                .about = "What the tensors of each type take together.",
                .mark = Mark::kBars,
                .x = {"type"},
                .y = {"bytes", Unit::kBytes}};
  Series& series = figure.series.emplace_back(Series{"bytes"});
  Table table{{"type", "bits a weight", "tensors", "weights", "bytes"}, {}};
  for (const TypeUse& type : map.types) {
    series.points.push_back({place_on(figure.x, type.name), type.bytes});
    table.rows.push_back({{type.name, {}},
                          number_cell(type.bits()),
                          number_cell(static_cast<double>(type.tensors), Unit::kCount),
                          number_cell(type.weights, Unit::kCount),
                          number_cell(type.bytes, Unit::kBytes)});
  }
  figure.table = std::move(table);
  return figure;
}

Section sizes_section(const ordered_json& document, const std::vector<std::string>& names) {
  const ordered_json& outputs = array_at(document, "outputs");
  Section section{.title = "Outputs"};
  section.table.columns = {"output", "size", "bits a weight"};
  Figure figure{.title = "Sizes",
                .about = "All files of each output together.",
                .mark = Mark::kBars,
                .x = {"output", Unit::kNumber, false, names},
                .y = {"size", Unit::kBytes}};
  Series& series = figure.series.emplace_back(Series{"size"});
  for (std::size_t i = 0; i < outputs.size(); ++i) {
    const auto bytes = number_at(outputs[i], "file_bytes");
    series.points.push_back({static_cast<double>(i), bytes});
    section.table.rows.push_back({{names[i], {}, text_at(outputs[i], "path")},
                                  number_cell(bytes, Unit::kBytes),
                                  number_cell(number_at(outputs[i], "bits_per_weight"))});
  }
  add_figure(section, std::move(figure));
  const auto seconds = number_at(document, "seconds"), weights = number_at(document, "weights");
  if (seconds && weights) {
    section.text =
        fmt::format("{} weights in {}, peak memory {}.", number_cell(weights, Unit::kCount).text,
                    number_cell(seconds, Unit::kSeconds).text,
                    number_cell(number_at(document, "peak_memory_bytes"), Unit::kBytes).text);
  }
  return section;
}

}  // namespace

std::vector<Section> type_sections(const ordered_json& document) {
  const ordered_json& outputs = array_at(document, "outputs");
  if (outputs.empty()) return {};
  std::vector<std::string> names;
  for (const ordered_json& output : outputs) {
    names.push_back(text_at(output, "format") + " " + text_at(output, "method"));
  }
  std::vector<Section> sections{sizes_section(document, names)};
  for (std::size_t i = 0; i < outputs.size(); ++i) {
    const TypeMap map = map_of(array_at(outputs[i], "tensors"));
    Section section{.title = names[i]};
    add_figure(section, map_figure(map, names[i]));
    add_figure(section, bytes_figure(map, names[i]));
    sections.push_back(std::move(section));
  }
  return sections;
}

}  // namespace pajamas::report
