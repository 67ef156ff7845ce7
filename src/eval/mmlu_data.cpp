#include "eval/mmlu_data.h"

#include <fmt/format.h>

#include <algorithm>
#include <map>
#include <nlohmann/json.hpp>
#include <optional>

#include "base/error.h"
#include "base/file.h"
#include "base/suggest.h"
#include "eval/csv.h"
#include "eval/json_lines.h"
#include "eval/shipped.h"

namespace pajamas::eval {
namespace {

namespace fs = std::filesystem;
using nlohmann::json;
using Subjects = std::map<std::string, MmluSubject>;

std::uint32_t answer_of(std::string_view text, std::size_t line) {
  if (text.size() == 1) {
    const char c = text.front();
    if (c >= 'A' && c <= 'D') return static_cast<std::uint32_t>(c - 'A');
    if (c >= 'a' && c <= 'd') return static_cast<std::uint32_t>(c - 'a');
    if (c >= '0' && c <= '3') return static_cast<std::uint32_t>(c - '0');
  }
  bad_line(line, fmt::format("\"{}\" is no answer", printable(text, 20)),
           "a letter from A to D, or an index from 0 to 3");
}

bool is_header(const CsvRow& row) {
  return row.fields.size() == 6 && row.fields[0] == "question" && row.fields[5] == "answer";
}

std::vector<MmluQuestion> read_csv(const fs::path& path) {
  return with_context(printable(path.native(), 300), [&] {
    std::vector<MmluQuestion> questions;
    std::vector<CsvRow> rows = parse_csv(read_text_file(path), 6);
    for (CsvRow& row : rows) {
      if (row.line == rows.front().line && is_header(row)) continue;
      if (row.fields.size() != 6) {
        bad_line(row.line, fmt::format("{} fields instead of six", row.fields.size()),
                 "a question, four choices and the answer");
      }
      MmluQuestion& question = questions.emplace_back();
      question.answer = answer_of(row.fields[5], row.line);
      question.text = std::move(row.fields[0]);
      for (std::size_t i = 0; i < 4; ++i) question.choices[i] = std::move(row.fields[i + 1]);
    }
    if (questions.empty()) throw Error(ErrorCode::kCorruptFile, "there are no questions in it");
    return questions;
  });
}

MmluQuestion question_of(const json& object, std::size_t line) {
  MmluQuestion question;
  question.text = text_at(object, "question", line);
  if (const auto choices = object.find("choices"); choices != object.end()) {
    if (!choices->is_array() || choices->size() != 4) bad_line(line, "\"choices\" are not four");
    for (std::size_t i = 0; i < 4; ++i) {
      if (!(*choices)[i].is_string()) bad_line(line, "a choice is no text");
      question.choices[i] = (*choices)[i].get<std::string>();
    }
  } else {
    for (std::size_t i = 0; i < 4; ++i) {
      question.choices[i] = text_at(object, std::string(1, kLetters[i]), line);
    }
  }
  const auto answer = object.find("answer");
  if (answer == object.end()) bad_line(line, "no \"answer\"");
  question.answer =
      answer_of(answer->is_string() ? answer->get<std::string>() : answer->dump(), line);
  return question;
}

void take_lines(const std::string& text, const std::string& place, bool examples,
                Subjects& subjects) {
  with_context(place, [&] {
    for_each_line(text, [&](const json& object, std::size_t line) {
      const std::string name = text_at(object, "subject", line);
      MmluSubject& subject = subjects[name];
      subject.name = name;
      const bool dev = examples || object.value("split", json("test")) == "dev";
      (dev ? subject.examples : subject.questions).push_back(question_of(object, line));
    });
  });
}

void read_lines(const fs::path& path, bool examples, Subjects& subjects) {
  take_lines(read_lines_file(path), printable(path.native(), 300), examples, subjects);
}

// NAME of NAME_test.csv, for all of them.
void read_folders(const fs::path& folder, Subjects& subjects) {
  constexpr std::string_view kEnding = "_test.csv";
  std::error_code code;
  for (const auto& entry : fs::directory_iterator(folder / "test", code)) {
    const std::string file = entry.path().filename().string();
    if (!file.ends_with(kEnding)) continue;
    const std::string name = file.substr(0, file.size() - kEnding.size());
    subjects[name].name = name;
  }
  if (subjects.empty()) {
    throw Error(ErrorCode::kNotFound, "there is no test/*_test.csv and no test.jsonl in it",
                "give the folder that holds MMLU's `dev` and `test`, or a file of JSON lines")
        .at(printable(folder.native(), 300));
  }
}

void keep_only(const std::vector<std::string>& names, Subjects& subjects) {
  if (names.empty()) return;
  std::vector<std::string_view> known;
  for (const auto& [name, subject] : subjects) known.push_back(name);
  Subjects kept;
  for (const std::string& name : names) {
    const auto found = subjects.find(name);
    if (found == subjects.end()) {
      throw Error(ErrorCode::kUsage, fmt::format("there is no subject \"{}\"", printable(name, 60)),
                  did_you_mean(name, known) + fmt::format("{} are there", known.size()))
          .at("--subjects");
    }
    kept.emplace(name, found->second);
  }
  subjects = std::move(kept);
}

constexpr std::string_view kStem =
    " abstract_algebra astronomy college_biology college_chemistry college_computer_science "
    "college_mathematics college_physics computer_security conceptual_physics "
    "electrical_engineering elementary_mathematics high_school_biology high_school_chemistry "
    "high_school_computer_science high_school_mathematics high_school_physics "
    "high_school_statistics machine_learning ";
constexpr std::string_view kHumanities =
    " formal_logic high_school_european_history high_school_us_history high_school_world_history "
    "international_law jurisprudence logical_fallacies moral_disputes moral_scenarios philosophy "
    "prehistory professional_law world_religions ";
constexpr std::string_view kSocial =
    " econometrics high_school_geography high_school_government_and_politics "
    "high_school_macroeconomics high_school_microeconomics high_school_psychology human_sexuality "
    "professional_psychology public_relations security_studies sociology us_foreign_policy ";

}  // namespace

std::vector<MmluSubject> load_mmlu(const fs::path& path, const MmluOptions& options) {
  std::error_code code;
  Subjects subjects;
  const bool folder = fs::is_directory(path, code);
  const fs::path lines = folder ? path / "test.jsonl" : path;
  const bool tables = folder && !fs::exists(lines, code);
  if (path.empty()) {
    take_lines(inflated(std::string(shipped_mmlu())), "the questions that are built in", false,
               subjects);
  } else if (tables) {
    read_folders(path, subjects);
  } else {
    read_lines(lines, false, subjects);
    const fs::path dev = lines.parent_path() / "dev.jsonl";
    if (fs::exists(dev, code) && !fs::equivalent(dev, lines, code)) read_lines(dev, true, subjects);
    std::erase_if(subjects, [](const auto& entry) { return entry.second.questions.empty(); });
    if (subjects.empty()) {
      throw Error(ErrorCode::kCorruptFile, "there are no questions in it")
          .at(printable(lines.native(), 300));
    }
  }
  keep_only(options.subjects, subjects);
  std::vector<MmluSubject> out;
  for (auto& [name, subject] : subjects) {
    if (tables) {
      subject.questions = read_csv(path / "test" / (name + "_test.csv"));
      const fs::path dev = path / "dev" / (name + "_dev.csv");
      if (options.shots > 0 && fs::exists(dev, code)) subject.examples = read_csv(dev);
    }
    const auto cut = [](std::vector<MmluQuestion>& list, std::uint64_t most) {
      if (list.size() > most) list.resize(most);
    };
    cut(subject.examples, options.shots);
    if (options.limit > 0) cut(subject.questions, options.limit);
    out.push_back(std::move(subject));
  }
  return out;
}

std::string_view mmlu_category(std::string_view subject) noexcept {
  const auto is_in = [&](std::string_view list) {
    for (std::size_t at = list.find(subject); at != std::string_view::npos && !subject.empty();
         at = list.find(subject, at + 1)) {
      if (list[at - 1] == ' ' && list[at + subject.size()] == ' ') return true;
    }
    return false;
  };
  if (is_in(kStem)) return "stem";
  if (is_in(kHumanities)) return "humanities";
  return is_in(kSocial) ? "social sciences" : "other";
}

std::string mmlu_question(const MmluQuestion& question) {
  std::string text = question.text + "\n";
  for (std::size_t i = 0; i < 4; ++i) {
    text += fmt::format("{}. {}\n", kLetters[i], question.choices[i]);
  }
  return text;
}

std::string mmlu_preamble(const MmluSubject& subject) {
  std::string name = subject.name;
  std::ranges::replace(name, '_', ' ');
  std::string text =
      fmt::format("The following are multiple choice questions (with answers) about {}.\n\n", name);
  for (const MmluQuestion& example : subject.examples) {
    text += mmlu_question(example) + fmt::format("Answer: {}\n\n", kLetters[example.answer]);
  }
  return text;
}

}  // namespace pajamas::eval
