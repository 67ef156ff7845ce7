// What --save keeps: what came of each question, as soon as it is there, so that a run that was
// stopped goes on.
#pragma once

#include <filesystem>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "base/append_file.h"

namespace pajamas::eval {

// With a file, each entry is a line {metric: entry} of `FILE.partial` behind a first one that says
// what is asked of what; a line that a crash cut is as good as none. FILE itself appears at the
// end, {metric: section, ...}. Without one, nothing is kept.
class RunRecord {
 public:
  RunRecord() = default;
  // A record of another `identity` is refused, or with `replace` begun anew. Throws Error{kExists}
  // for that and where FILE itself is there, kIo, kNoSpace.
  RunRecord(const std::filesystem::path& file, const nlohmann::ordered_json& identity,
            bool replace);

  // What an earlier run has added of `metric`, in its order.
  std::vector<nlohmann::ordered_json> known(const std::string& metric) const;
  void add(const std::string& metric, const nlohmann::ordered_json& entry);
  // What FILE is to have of `metric`: the text of a JSON value.
  void finish(const std::string& metric, std::string section);
  // Writes FILE; the partial one goes.
  void commit();

 private:
  void read_partial(const std::string& text, const nlohmann::ordered_json& identity);

  std::filesystem::path file_;
  bool replace_ = false;
  std::optional<AppendFile> partial_;
  std::vector<nlohmann::ordered_json> lines_;
  std::vector<std::pair<std::string, std::string>> sections_;
};

}  // namespace pajamas::eval
