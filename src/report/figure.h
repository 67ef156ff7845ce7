// What a page shows, without how: tables, and figures that have one beside them.
#pragma once

#include <cstdint>
#include <nlohmann/json_fwd.hpp>
#include <optional>
#include <string>
#include <vector>

namespace pajamas::report {

// How numbers are written, in tables and at axes; page.js knows these names too.
enum class Unit : std::uint8_t { kNumber, kCount, kBytes, kSeconds, kShare };

struct Cell {
  std::string text = {};
  std::optional<double> value = {};  // that the text is of
  std::string note = {};             // smaller, below it
};
// Three to four significant figures; "-" for nothing.
Cell number_cell(std::optional<double> value, Unit unit = Unit::kNumber);

struct Table {
  std::vector<std::string> columns;
  std::vector<std::vector<Cell>> rows;  // as many cells each as there are columns
};

enum class Mark : std::uint8_t {
  kPoints,  // by two numbers
  kLine,    // along an axis of numbers or of names
  kBars,    // lying, one for each name and series
  kTiles,   // the fields of a map of names by names, a series a colour
};

struct Axis {
  std::string label = {};
  Unit unit = Unit::kNumber;
  bool logarithmic = false;
  std::vector<std::string> names = {};  // of 0, 1, 2, ... on it; none: an axis of numbers
};

struct Point {
  double x = 0;
  std::optional<double> y = {};  // nothing: it was not measured
  std::optional<double> low = {}, high = {};
};

struct Series {
  std::string name = {};
  std::vector<Point> points = {};
};

// A line through the whole figure that the rest is compared with.
struct Level {
  std::string name = {};
  double y = 0;
};

struct Figure {
  std::string title = {};
  std::string about = {};  // one or two sentences: what is shown, and how it is read
  Mark mark = Mark::kLine;
  Axis x = {}, y = {};
  std::vector<Series> series = {};
  std::optional<Level> level = {};
  std::optional<Table> table = {};  // nothing: every point of it, by table_of
};

// Whether there is a point to draw.
bool has_marks(const Figure& figure);
// A row for each x that has a point and a column a series; for points a row each.
Table table_of(const Figure& figure);
// What page.js draws. Numbers are exact; those that are not finite are null.
nlohmann::ordered_json to_json(const Figure& figure);

struct Section {
  std::string title = {};
  std::string text = {};  // may be empty
  Table table = {};       // may have no columns
  std::vector<Figure> figures = {};
};

}  // namespace pajamas::report
