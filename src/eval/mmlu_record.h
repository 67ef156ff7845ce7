// What came of MMLU's questions: kept while they are asked, so that a run that was stopped goes on,
// and summed up.
#pragma once

#include <filesystem>
#include <map>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "base/append_file.h"
#include "eval/mmlu.h"

namespace pajamas::eval {

enum class MmluAsked : std::uint8_t { kModel, kReference };

// The answers so far. With a file, each is a line of `FILE.partial` as soon as it is there; a line
// that a crash cut is asked again.
class MmluRecord {
 public:
  MmluRecord() = default;
  // `identity` says what is asked of what: a record of something else is refused, or with `replace`
  // begun anew. Throws Error{kExists} for that and where FILE itself is there, kIo, kNoSpace.
  MmluRecord(const std::filesystem::path& file, const nlohmann::ordered_json& identity,
             bool replace);

  const MmluAnswer* find(MmluAsked who, const std::string& subject, std::size_t index) const;
  std::size_t known() const noexcept { return answers_.size(); }
  void add(MmluAsked who, const std::string& subject, std::size_t index, const MmluAnswer& answer);
  // {"mmlu": {"questions": [...]}} under its final name; the partial file goes.
  void commit(const std::vector<MmluSubject>& subjects);

 private:
  using Key = std::pair<MmluAsked, std::pair<std::string, std::size_t>>;
  void read_partial(const std::string& text, const nlohmann::ordered_json& identity, bool replace);

  std::filesystem::path file_;
  bool replace_ = false;
  std::optional<AppendFile> partial_;
  std::map<Key, MmluAnswer> answers_;
};

struct MmluReport {
  struct Row {
    std::string name;
    MmluFigures model;
    std::optional<MmluFigures> reference;
  };
  std::vector<Row> subjects;    // in the order of their names
  std::vector<Row> categories;  // those that have questions
  Row all;
  std::optional<MmluDifference> difference;
};

// All questions must have been answered, by the reference too where `compared`.
MmluReport mmlu_report(const std::vector<MmluSubject>& subjects, const MmluRecord& record,
                       bool compared);

// {accuracy, stderr, questions, interval, subjects: {...}, categories: {...}, ...}
nlohmann::ordered_json mmlu_json(const MmluReport& report);

}  // namespace pajamas::eval
