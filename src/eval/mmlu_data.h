// MMLU's questions, of whatever form they come in, and the paper's prompts.
#pragma once

#include <array>
#include <cstdint>
#include <filesystem>
#include <string>
#include <string_view>
#include <vector>

namespace pajamas::eval {

inline constexpr std::array<char, 4> kLetters{'A', 'B', 'C', 'D'};

struct MmluQuestion {
  std::string text;
  std::array<std::string, 4> choices;
  std::uint32_t answer = 0;  // index of the right choice
};

struct MmluSubject {
  std::string name;                     // "abstract_algebra"
  std::vector<MmluQuestion> examples;   // with answers in front of each question
  std::vector<MmluQuestion> questions;  // that are asked
};

struct MmluOptions {
  std::vector<std::string> subjects;  // empty: all
  std::uint64_t limit = 0;            // first questions of each subject; 0: all
  std::uint64_t shots = 5;            // examples, as far as there are
};

// From a folder with `dev/NAME_dev.csv` and `test/NAME_test.csv`: the original ones (no header, the
// answer a letter) or with a header (`question,A,B,C,D,answer`, a letter or an index); or from a
// file of JSON lines {"subject", "question", "choices", "answer"} (or one with A to D), whose lines
// with "split": "dev" are examples, as are those of `dev.jsonl` beside it; a folder with
// `test.jsonl` is that file; lines may be compressed by gzip. Without a path: the ones that are
// built in. Subjects come in the order of their names. Throws Error{kNotFound},
// Error{kUsage} for a subject that is not there, Error{kCorruptFile} with file and line.
std::vector<MmluSubject> load_mmlu(const std::filesystem::path& path, const MmluOptions& options);

// "stem", "humanities", "social sciences" or "other", as the paper has it; unknown ones are other.
std::string_view mmlu_category(std::string_view subject) noexcept;

// The paper's: what it is about, then examples with answers. Ends in an empty line.
std::string mmlu_preamble(const MmluSubject& subject);
// A question with its choices, up to and without "Answer:".
std::string mmlu_question(const MmluQuestion& question);

}  // namespace pajamas::eval
