// `--report FILE`: the page of a command that measures (report/page.h).
#pragma once

#include <initializer_list>
#include <nlohmann/json_fwd.hpp>
#include <optional>
#include <string>
#include <string_view>

#include "base/output.h"
#include "cli/command.h"

namespace pajamas::cli {

void add_report_option(const Command& command, std::string& path);

// The page in the making. Destroyed without `write`, nothing is left of it.
class ReportFile {
 public:
  // Without a `path` nothing is written. Else the place is taken now, so that one that cannot be
  // written is told before the work. `others`: what the command writes besides. Throws Error,
  // naming
  // --report: kUsage for one of `others` or a place inside one, and as OutputFile does.
  ReportFile(const std::string& path, bool force, std::string command, const Context& context,
             std::initializer_list<std::string_view> others = {});

  // As for `others`, of what is known later; for a page that nobody wants it does nothing.
  void require_apart_from(std::string_view other) const;

  bool is_wanted() const noexcept { return file_.has_value(); }
  // `document`: what the command prints as JSON; `about`: as bench::machine_json.
  void write(const nlohmann::ordered_json& document, nlohmann::ordered_json about);

 private:
  std::string command_;
  const Context& context_;
  std::optional<OutputFile> file_;
};

}  // namespace pajamas::cli
