#include "report/sections.h"

#include <algorithm>
#include <utility>

namespace pajamas::report {

std::optional<double> number_at(const ordered_json& object, const std::string& key) {
  const auto found = object.find(key);
  if (found == object.end() || !found->is_number()) return std::nullopt;
  return found->get<double>();
}

std::string text_at(const ordered_json& object, const std::string& key) {
  const auto found = object.find(key);
  return found != object.end() && found->is_string() ? found->get<std::string>() : std::string();
}

const ordered_json& array_at(const ordered_json& object, const std::string& key) {
  static const ordered_json kNone = ordered_json::array();
  const auto found = object.find(key);
  return found != object.end() && found->is_array() ? *found : kNone;
}

const ordered_json& object_at(const ordered_json& object, const std::string& key) {
  static const ordered_json kNone = ordered_json::object();
  const auto found = object.find(key);
  return found != object.end() && found->is_object() ? *found : kNone;
}

void add_figure(Section& section, Figure figure) {
  if (has_marks(figure)) section.figures.push_back(std::move(figure));
}

double place_on(Axis& axis, const std::string& name) {
  const auto found = std::ranges::find(axis.names, name);
  const auto place = static_cast<double>(found - axis.names.begin());
  if (found == axis.names.end()) axis.names.push_back(name);
  return place;
}

Series by_name(const std::string& series, const ordered_json& rows, RowName name,
               const std::string& key, Axis& axis) {
  Series made{series};
  for (const ordered_json& row : rows) {
    const std::string called = name(row);
    if (called.empty()) continue;
    made.points.push_back({place_on(axis, called), number_at(row, key),
                           number_at(row, key + "_min"), number_at(row, key + "_max")});
  }
  return made;
}

std::string short_path(const std::string& path) {
  const std::size_t end = path.find_last_not_of('/');
  if (end == std::string::npos) return path;
  const std::size_t slash = path.find_last_of('/', end);
  const std::size_t begin = slash == std::string::npos ? 0 : slash + 1;
  return path.substr(begin, end - begin + 1);
}

std::vector<Section> sections_of(const ordered_json& document) {
  std::vector<Section> all;
  for (const auto make : {&comparison_sections, &speed_sections, &text_sections, &question_sections,
                          &type_sections}) {
    for (Section& section : make(document)) {
      if (section.table.columns.empty() && section.figures.empty()) continue;
      all.push_back(std::move(section));
    }
  }
  return all;
}

}  // namespace pajamas::report
