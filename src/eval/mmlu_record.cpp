#include "eval/mmlu_record.h"

#include <algorithm>
#include <array>
#include <string_view>

#include "base/error.h"

namespace pajamas::eval {
namespace {

using nlohmann::ordered_json;

ordered_json entry(const std::string& subject, std::size_t index, const MmluAnswer& answer) {
  return {{"subject", subject}, {"index", index}, {"logprobs", answer.logprobs}};
}

std::optional<MmluAnswer> kept_answer(const ordered_json& line) {
  const auto found = line.find("logprobs");
  if (found == line.end() || !found->is_array() || found->size() != 4) return std::nullopt;
  MmluAnswer answer;
  for (std::size_t i = 0; i < 4; ++i) {
    if (!(*found)[i].is_number()) return std::nullopt;
    answer.logprobs[i] = (*found)[i].get<double>();
  }
  return answer;
}

void count(MmluFigures& figures, bool right) {
  ++figures.questions;
  figures.right += right ? 1 : 0;
}

void count(MmluReport::Row& row, bool right, std::optional<bool> reference) {
  count(row.model, right);
  if (!reference) return;
  if (!row.reference) row.reference.emplace();
  count(*row.reference, *reference);
}

ordered_json row_json(const MmluReport::Row& row) {
  ordered_json out = {{"accuracy", row.model.accuracy()},
                      {"stderr", row.model.error()},
                      {"questions", row.model.questions},
                      {"interval", row.model.interval()}};
  if (row.reference) out["reference_accuracy"] = row.reference->accuracy();
  return out;
}

}  // namespace

MmluRecord::MmluRecord(RunRecord& kept) : kept_(kept) {
  for (const ordered_json& line : kept.known("mmlu")) {
    const auto subject = line.find("subject");
    const auto index = line.find("index");
    const auto answer = kept_answer(line);
    if (!answer || subject == line.end() || !subject->is_string() || index == line.end() ||
        !index->is_number_unsigned()) {
      continue;
    }
    const auto who = line.contains("reference") ? MmluAsked::kReference : MmluAsked::kModel;
    answers_[{who, {subject->get<std::string>(), index->get<std::size_t>()}}] = *answer;
  }
}

const MmluAnswer* MmluRecord::find(MmluAsked who, const std::string& subject,
                                   std::size_t index) const {
  const auto found = answers_.find({who, {subject, index}});
  return found == answers_.end() ? nullptr : &found->second;
}

void MmluRecord::add(MmluAsked who, const std::string& subject, std::size_t index,
                     const MmluAnswer& answer) {
  answers_[{who, {subject, index}}] = answer;
  ordered_json line = entry(subject, index, answer);
  if (who == MmluAsked::kReference) line["reference"] = true;
  kept_.add("mmlu", line);
}

void MmluRecord::finish(const std::vector<MmluSubject>& subjects) {
  std::string text = "{\"questions\": [";
  bool first = true;
  for (const MmluSubject& subject : subjects) {
    for (std::size_t i = 0; i < subject.questions.size(); ++i) {
      const MmluAnswer* answer = find(MmluAsked::kModel, subject.name, i);
      if (answer == nullptr) continue;
      ordered_json one = entry(subject.name, i, *answer);
      one["choice"] = answer->choice();
      one["answer"] = subject.questions[i].answer;
      if (const MmluAnswer* other = find(MmluAsked::kReference, subject.name, i)) {
        one["reference_logprobs"] = other->logprobs;
      }
      text += (first ? "\n" : ",\n") + one.dump();
      first = false;
    }
  }
  kept_.finish("mmlu", text + "\n]}");
}

MmluReport mmlu_report(const std::vector<MmluSubject>& subjects, const MmluRecord& record,
                       bool compared) {
  MmluReport report;
  report.all.name = "all";
  constexpr std::array<std::string_view, 4> kOrder{"stem", "humanities", "social sciences",
                                                   "other"};
  std::array<MmluReport::Row, 4> categories;
  std::uint64_t only_model = 0;
  std::uint64_t only_reference = 0;
  for (const MmluSubject& subject : subjects) {
    MmluReport::Row& row = report.subjects.emplace_back();
    row.name = subject.name;
    const auto at = std::ranges::find(kOrder, mmlu_category(subject.name)) - kOrder.begin();
    MmluReport::Row& category = categories[static_cast<std::size_t>(at)];
    category.name = kOrder[static_cast<std::size_t>(at)];
    for (std::size_t i = 0; i < subject.questions.size(); ++i) {
      const MmluAnswer* answer = record.find(MmluAsked::kModel, subject.name, i);
      const MmluAnswer* other = record.find(MmluAsked::kReference, subject.name, i);
      PJ_CHECK(answer != nullptr && (other != nullptr || !compared));
      const bool right = answer->choice() == subject.questions[i].answer;
      std::optional<bool> reference;
      if (compared) reference = other->choice() == subject.questions[i].answer;
      only_model += reference && right && !*reference ? 1 : 0;
      only_reference += reference && !right && *reference ? 1 : 0;
      for (MmluReport::Row* each : {&row, &category, &report.all}) count(*each, right, reference);
    }
  }
  for (MmluReport::Row& category : categories) {
    if (category.model.questions > 0) report.categories.push_back(std::move(category));
  }
  if (compared) {
    report.difference = mcnemar(report.all.model.questions, only_model, only_reference);
  }
  return report;
}

ordered_json mmlu_json(const MmluReport& report) {
  ordered_json out = row_json(report.all);
  if (report.difference) {
    const MmluDifference& d = *report.difference;
    out["difference"] = d.accuracy;
    out["difference_stderr"] = d.error;
    out["only_model_right"] = d.only_model;
    out["only_reference_right"] = d.only_reference;
    out["mcnemar_p"] = d.p;
  }
  ordered_json& categories = out["categories"] = ordered_json::object();
  for (const MmluReport::Row& row : report.categories) categories[row.name] = row_json(row);
  ordered_json& subjects = out["subjects"] = ordered_json::object();
  for (const MmluReport::Row& row : report.subjects) subjects[row.name] = row_json(row);
  return out;
}

}  // namespace pajamas::eval
