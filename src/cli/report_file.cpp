#include "cli/report_file.h"

#include <fmt/format.h>

#include <algorithm>
#include <filesystem>
#include <nlohmann/json.hpp>
#include <span>

#include "base/error.h"
#include "base/place.h"
#include "cli/log.h"
#include "cli/shell_words.h"
#include "report/page.h"

namespace pajamas::cli {
namespace {

namespace fs = std::filesystem;

constexpr std::string_view kReportOption = "--report";

bool is_within(const fs::path& path, const fs::path& folder) {
  const auto [end, rest] = std::ranges::mismatch(folder, path);
  return end == folder.end();
}

// A folder that appears as a whole has no room for what was there before.
void require_place_of_its_own(const std::string& path, std::string_view other) {
  if (other.empty()) return;
  std::error_code code;
  const fs::path ours = fs::weakly_canonical(path, code);
  const fs::path theirs = fs::weakly_canonical(fs::path(other) / "", code).parent_path();
  if (code || !is_within(ours, theirs)) return;
  throw Error(ErrorCode::kUsage,
              fmt::format("{} is {} {}, which is written too", place_of(path),
                          ours == theirs ? "the same as" : "inside of", place_of(fs::path(other))),
              "give another place")
      .at(kReportOption);
}

// What was not said on the command line, and changes figures.
nlohmann::ordered_json settings_for_page(const Settings& settings) {
  nlohmann::ordered_json found = nlohmann::ordered_json::object();
  for (const SettingKey key : {SettingKey::kThreads, SettingKey::kText, SettingKey::kKernels}) {
    const Setting& setting = settings.get(key);
    if (setting.value.empty() || !settings.is_set(key) || setting.source.starts_with('-')) continue;
    for (const SettingInfo& info : kSettings) {
      if (info.key == key) found[std::string(info.name)] = setting.value;
    }
  }
  return found;
}

}  // namespace

void add_report_option(const Command& command, std::string& path) {
  command
      .add_option("--report", path,
                  "Write a page there too, with charts, tables and the data, for any browser")
      .type_name("FILE");
}

ReportFile::ReportFile(const std::string& path, bool force, std::string command,
                       const Context& context, std::initializer_list<std::string_view> others)
    : command_(std::move(command)), context_(context) {
  if (path.empty()) return;
  for (const std::string_view other : others) require_place_of_its_own(path, other);
  with_context(std::string(kReportOption),
               [&] { file_.emplace(path, 0, OutputOptions{.replace = force}); });
}

void ReportFile::require_apart_from(std::string_view other) const {
  if (file_) require_place_of_its_own(file_->path().native(), other);
}

void ReportFile::write(const nlohmann::ordered_json& document, nlohmann::ordered_json about) {
  if (!file_) return;
  about["settings"] = settings_for_page(context_.settings);
  const std::string page = report::page_of(
      {.command = command_, .repeat = shell_command(context_.arguments), .about = std::move(about)},
      document);
  with_context(std::string(kReportOption), [&] {
    file_->write_at(0, std::as_bytes(std::span(page)));
    file_->commit();
  });
  log_info(fmt::format("report: {}", printable(file_->path().native(), 300)));
  file_.reset();
}

}  // namespace pajamas::cli
