// What came of MMLU's questions: kept while they are asked, and summed up.
#pragma once

#include <map>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "eval/mmlu.h"
#include "eval/run_record.h"

namespace pajamas::eval {

enum class MmluAsked : std::uint8_t { kModel, kReference };

// The answers so far, with those that an earlier run left in a RunRecord, which lives longer.
class MmluRecord {
 public:
  explicit MmluRecord(RunRecord& kept);

  const MmluAnswer* find(MmluAsked who, const std::string& subject, std::size_t index) const;
  std::size_t known() const noexcept { return answers_.size(); }
  void add(MmluAsked who, const std::string& subject, std::size_t index, const MmluAnswer& answer);
  // {"questions": [...]}
  void finish(const std::vector<MmluSubject>& subjects);

 private:
  using Key = std::pair<MmluAsked, std::pair<std::string, std::size_t>>;

  RunRecord& kept_;
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
