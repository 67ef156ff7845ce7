#include "report/figure.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <map>
#include <nlohmann/json.hpp>

#include "base/readable.h"

namespace pajamas::report {
namespace {

using nlohmann::ordered_json;

constexpr std::array kUnitNames{"number", "count", "bytes", "seconds", "share"};
constexpr std::array kMarkNames{"points", "line", "bars", "tiles"};

std::string number_text(double value, Unit unit) {
  const double size = std::abs(value);
  const std::string sign = value < 0 ? "-" : "";
  const auto whole = static_cast<std::uint64_t>(std::min(std::round(size), 1e18));
  switch (unit) {
    case Unit::kCount:
      return sign + with_thousands(whole);
    case Unit::kBytes:
      return sign + readable_bytes(whole);
    case Unit::kSeconds:
      return fmt::format("{:.3g} s", value);
    case Unit::kShare:
      return fmt::format("{:.1f} %", value * 100);
    case Unit::kNumber:
      break;
  }
  return size >= 1000 ? sign + with_thousands(whole) : fmt::format("{:.4g}", value);
}

std::string name_on(const Axis& axis, double at) {
  const auto index = static_cast<std::size_t>(at);
  return index < axis.names.size() ? axis.names[index] : number_cell(at, axis.unit).text;
}

Cell point_cell(const Point& point, Unit unit) {
  Cell cell = number_cell(point.y, unit);
  if (point.y && point.low && point.high) {
    cell.note = fmt::format("{} to {}", number_cell(point.low, unit).text,
                            number_cell(point.high, unit).text);
  }
  return cell;
}

ordered_json axis_json(const Axis& axis) {
  return {{"label", axis.label},
          {"unit", kUnitNames[static_cast<std::size_t>(axis.unit)]},
          {"logarithmic", axis.logarithmic},
          {"names", axis.names}};
}

ordered_json number_json(const std::optional<double>& value) {
  return value && std::isfinite(*value) ? ordered_json(*value) : ordered_json();
}

}  // namespace

Cell number_cell(std::optional<double> value, Unit unit) {
  if (!value || !std::isfinite(*value)) return {"-"};
  return {number_text(*value, unit), value};
}

bool has_marks(const Figure& figure) {
  return std::ranges::any_of(figure.series, [](const Series& series) {
    return std::ranges::any_of(series.points, [](const Point& point) {
      return point.y.has_value() && std::isfinite(*point.y);
    });
  });
}

Table table_of(const Figure& figure) {
  Table table;
  if (figure.mark == Mark::kPoints) {
    table.columns = {"", figure.x.label, figure.y.label};
    for (const Series& series : figure.series) {
      for (const Point& point : series.points) {
        table.rows.push_back({{series.name, {}},
                              number_cell(point.x, figure.x.unit),
                              point_cell(point, figure.y.unit)});
      }
    }
    return table;
  }
  table.columns = {figure.x.label};
  std::map<double, std::vector<Cell>> rows;
  for (std::size_t i = 0; i < figure.series.size(); ++i) {
    table.columns.push_back(figure.series[i].name);
    for (const Point& point : figure.series[i].points) {
      std::vector<Cell>& row = rows[point.x];
      row.resize(figure.series.size() + 1, {"-"});
      row[0] = {name_on(figure.x, point.x)};
      row[i + 1] = point_cell(point, figure.y.unit);
    }
  }
  for (auto& [x, row] : rows) table.rows.push_back(std::move(row));
  return table;
}

ordered_json to_json(const Figure& figure) {
  ordered_json series = ordered_json::array();
  for (const Series& each : figure.series) {
    ordered_json points = ordered_json::array();
    for (const Point& point : each.points) {
      ordered_json one = {{"x", number_json(point.x)}, {"y", number_json(point.y)}};
      if (point.low && point.high) {
        one["low"] = number_json(point.low);
        one["high"] = number_json(point.high);
      }
      points.push_back(std::move(one));
    }
    series.push_back({{"name", each.name}, {"points", std::move(points)}});
  }
  ordered_json out = {{"title", figure.title},
                      {"mark", kMarkNames[static_cast<std::size_t>(figure.mark)]},
                      {"x", axis_json(figure.x)},
                      {"y", axis_json(figure.y)},
                      {"series", std::move(series)}};
  if (figure.level) out["level"] = {{"name", figure.level->name}, {"y", figure.level->y}};
  return out;
}

}  // namespace pajamas::report
