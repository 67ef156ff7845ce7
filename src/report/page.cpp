#include "report/page.h"

#include <fmt/format.h>

#include <algorithm>
#include <nlohmann/json.hpp>
#include <vector>

#include "base/readable.h"
#include "base/utf8.h"
#include "report/assets.h"
#include "report/sections.h"

namespace pajamas::report {
namespace {

constexpr std::string_view kReplacement = "\xEF\xBF\xBD";
constexpr std::size_t kShortTable = 12;  // rows that are shown without being asked for

std::string dumped(const ordered_json& document) {
  return document.dump(1, ' ', false, ordered_json::error_handler_t::replace);
}

std::string table_html(const Table& table, const std::string& caption) {
  std::string html = fmt::format(
      "<div class=\"scroll\" role=\"region\" tabindex=\"0\" aria-label=\"{0}\">"
      "<table><caption class=\"unseen\">{0}</caption><thead><tr>",
      html_text(caption));
  for (const std::string& column : table.columns) {
    html += fmt::format("<th scope=\"col\">{}</th>", html_text(column));
  }
  html += "</tr></thead><tbody>\n";
  for (const std::vector<Cell>& row : table.rows) {
    html += "<tr>";
    for (std::size_t i = 0; i < row.size(); ++i) {
      std::string text = html_text(row[i].text);
      if (row[i].value) {
        text = fmt::format("<data value=\"{}\">{}</data>", *row[i].value, text);
      }
      if (!row[i].note.empty()) text += fmt::format("<small>{}</small>", html_text(row[i].note));
      html += i == 0 ? fmt::format("<th scope=\"row\">{}</th>", text)
                     : fmt::format("<td>{}</td>", text);
    }
    html += "</tr>\n";
  }
  return html + "</tbody></table></div>\n";
}

// The canvas is for eyes; who has none has the table, and the keyboard walks over the points.
std::string figure_html(const Figure& figure, std::size_t number) {
  const Table table = figure.table ? *figure.table : table_of(figure);
  const std::string title = html_text(figure.title);
  return fmt::format(
      "<figure><figcaption><h3>{0}</h3><p>{1}</p></figcaption><div class=\"pair\">"
      "<div class=\"plot\"><canvas id=\"figure-{2}\" role=\"img\" tabindex=\"0\" "
      "aria-label=\"{0}. Its figures are in the table beside it; arrow keys go through "
      "them.\"></canvas><output class=\"unseen\" for=\"figure-{2}\"></output></div>"
      "<details{3}><summary>Table</summary>\n{4}</details></div></figure>\n",
      title, html_text(figure.about), number, table.rows.size() <= kShortTable ? " open" : "",
      table_html(table, figure.title));
}

std::string about_html(const Origin& origin) {
  const ordered_json& about = origin.about;
  std::vector<std::pair<std::string, std::string>> facts;
  const auto add = [&](const char* name, const std::string& text) {
    if (!text.empty()) facts.emplace_back(name, text);
  };
  add("When", text_at(about, "date"));
  add("Processor", text_at(about, "processor"));
  const auto count = [&](const char* name, const char* key, Unit unit) {
    if (const auto value = number_at(about, key)) add(name, number_cell(value, unit).text);
  };
  count("Cores", "cores", Unit::kCount);
  count("Threads used", "threads", Unit::kCount);
  add("Kernels", text_at(about, "kernels"));
  count("Memory", "memory_bytes", Unit::kBytes);
  if (const auto rate = number_at(about, "memory_read_bytes_per_second")) {
    add("Memory reads", readable_byte_rate(*rate));
  }
  count("Load before", "load_average", Unit::kNumber);
  for (const auto& [name, value] : object_at(about, "settings").items()) {
    add("Setting", name + " = " + (value.is_string() ? value.get<std::string>() : value.dump()));
  }
  add("Program", "llama-pajamas " + text_at(about, "version"));
  std::string html =
      "<section aria-labelledby=\"origin\"><h2 id=\"origin\">How to repeat it</h2>\n";
  html += fmt::format("<pre class=\"command\" tabindex=\"0\"><code>{}</code></pre>\n<dl>\n",
                      html_text(origin.repeat));
  for (const auto& [name, text] : facts) {
    html += fmt::format("<div><dt>{}</dt><dd>{}</dd></div>\n", name, html_text(text));
  }
  html += "</dl>\n";
  html += fmt::format(
      "<p><a id=\"save\" download=\"{}.json\" href=\"#data\">Save the data as JSON</a></p>\n"
      "</section>\n",
      html_text(origin.command));
  return html;
}

std::string title_of(const Origin& origin, const ordered_json& document) {
  std::string names;
  const auto add = [&](const std::string& path) {
    if (!path.empty()) names += (names.empty() ? "" : ", ") + short_path(path);
  };
  add(text_at(document, "model"));
  for (const ordered_json& model : array_at(document, "models")) add(text_at(model, "path"));
  return origin.command + (names.empty() ? "" : ": " + names);
}

}  // namespace

std::string html_text(std::string_view text) {
  std::string html;
  while (!text.empty()) {
    const Utf8Front front = utf8_front(text);
    const std::string_view piece = text.substr(0, front.bytes);
    text.remove_prefix(front.bytes);
    const char c = piece[0];
    if (!front.whole || (static_cast<unsigned char>(c) < ' ' && c != '\n' && c != '\t')) {
      html += kReplacement;
    } else if (c == '&') {
      html += "&amp;";
    } else if (c == '<') {
      html += "&lt;";
    } else if (c == '>') {
      html += "&gt;";
    } else if (c == '"') {
      html += "&quot;";
    } else if (c == '\'') {
      html += "&#39;";
    } else {
      html += piece;
    }
  }
  return html;
}

// A '<' stands in strings alone, where an escape means the same.
std::string script_json(const ordered_json& document) {
  std::string html;
  for (const char c : dumped(document)) {
    if (c == '<') {
      html += "\\u003c";
    } else {
      html += c;
    }
  }
  return html;
}

ordered_json data_of(const Origin& origin, const ordered_json& document) {
  return {{"command", origin.command},
          {"repeat", origin.repeat},
          {"about", origin.about},
          {"result", document}};
}

std::string page_of(const Origin& origin, const ordered_json& document) {
  const std::string title = html_text(title_of(origin, document));
  std::string html =
      "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n"
      "<meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; "
      "script-src 'unsafe-inline'; style-src 'unsafe-inline'; img-src data:; base-uri 'none'; "
      "form-action 'none'\">\n"
      "<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n"
      "<meta name=\"color-scheme\" content=\"light dark\">\n"
      "<link rel=\"icon\" href=\"data:,\">\n";
  html += fmt::format("<title>{}</title>\n<style>\n", title);
  html += page_style();
  html += fmt::format("</style>\n</head>\n<body>\n<header><h1>{}</h1>\n", title);
  const auto partial = document.find("partial");
  if (partial != document.end() && *partial == true) {
    html +=
        "<p class=\"partial\" role=\"note\">Stopped before all was measured: what is here is a "
        "part.</p>\n";
  }
  html +=
      "<noscript><p>Charts need JavaScript; every figure is in the tables too.</p></noscript>\n"
      "</header>\n<main>\n";
  ordered_json figures = ordered_json::array();
  for (const Section& section : sections_of(document)) {
    html += fmt::format("<section><h2>{}</h2>\n", html_text(section.title));
    if (!section.text.empty()) html += fmt::format("<p>{}</p>\n", html_text(section.text));
    if (!section.table.columns.empty()) html += table_html(section.table, section.title);
    for (const Figure& figure : section.figures) {
      html += figure_html(figure, figures.size());
      figures.push_back(to_json(figure));
    }
    html += "</section>\n";
  }
  html += about_html(origin);
  html += "</main>\n<script type=\"application/json\" id=\"data\">";
  html += script_json(data_of(origin, document));
  html += "</script>\n<script type=\"application/json\" id=\"figures\">";
  html += script_json(figures);
  html += "</script>\n<script>";
  html += chart_library();
  html += "\n</script>\n<script>\n";
  html += page_script();
  html += "</script>\n</body>\n</html>\n";
  return html;
}

}  // namespace pajamas::report
