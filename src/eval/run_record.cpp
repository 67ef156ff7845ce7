#include "eval/run_record.h"

#include <fmt/format.h>

#include <algorithm>
#include <string_view>

#include "base/bytes.h"
#include "base/error.h"
#include "base/file.h"
#include "base/json.h"
#include "base/output.h"

namespace pajamas::eval {
namespace {

namespace fs = std::filesystem;
using nlohmann::ordered_json;

fs::path partial_of(const fs::path& file) {
  fs::path partial = file;
  partial += ".partial";
  return partial;
}

// A line of a partial file; nothing for one that was cut.
std::optional<ordered_json> whole_line(std::string_view line) {
  try {
    ordered_json out = parse_ordered_json(line, 8);
    if (out.is_object()) return out;
  } catch (const Error&) {  // it is asked again
  }
  return std::nullopt;
}

}  // namespace

RunRecord::RunRecord(const fs::path& file, const ordered_json& identity, bool replace)
    : file_(file), replace_(replace) {
  require_absent(file, {.replace = replace});
  partial_.emplace(partial_of(file));
  read_partial(partial_->size() > 0 ? read_text_file(partial_of(file)) : "", identity);
}

void RunRecord::read_partial(const std::string& text, const ordered_json& identity) {
  std::string_view rest = text;
  bool ours = false;
  for (bool first = true; !rest.empty(); first = false) {
    const std::size_t end = std::min(rest.find('\n'), rest.size());
    auto line = whole_line(rest.substr(0, end));
    rest.remove_prefix(std::min(end + 1, rest.size()));
    if (first) {
      ours = line && *line == identity;
      if (ours) continue;
      if (line && !replace_) {
        throw Error(ErrorCode::kExists, "it has answers of another run",
                    "finish that one, give another name, or --force")
            .at(printable(partial_of(file_).native(), 300));
      }
      break;
    }
    if (line) lines_.push_back(std::move(*line));
  }
  if (!ours) {
    partial_->clear();
    partial_->append(as_byte_span(identity.dump() + "\n"));
  } else if (!text.ends_with('\n')) {
    partial_->append(as_byte_span("\n"));
  }
}

std::vector<ordered_json> RunRecord::known(const std::string& metric) const {
  std::vector<ordered_json> out;
  for (const ordered_json& line : lines_) {
    const auto found = line.find(metric);
    if (found != line.end() && found->is_object()) out.push_back(*found);
  }
  return out;
}

void RunRecord::add(const std::string& metric, const ordered_json& entry) {
  if (!partial_) return;
  const ordered_json line = {{metric, entry}};
  partial_->append(
      as_byte_span(line.dump(-1, ' ', false, ordered_json::error_handler_t::replace) + "\n"));
}

void RunRecord::finish(const std::string& metric, std::string section) {
  sections_.emplace_back(metric, std::move(section));
}

void RunRecord::commit() {
  if (!partial_) return;
  std::string text = "{";
  for (const auto& [metric, section] : sections_) {
    text += fmt::format("{}\"{}\": {}", text.size() > 1 ? ",\n" : "", metric, section);
  }
  text += "}\n";
  OutputFile file(file_, text.size(), {.replace = replace_});
  file.write_at(0, as_byte_span(text));
  file.commit();
  partial_.reset();
  std::error_code ignored;
  fs::remove(partial_of(file_), ignored);
}

}  // namespace pajamas::eval
