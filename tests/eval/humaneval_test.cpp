#include "eval/humaneval.h"

#include <gtest/gtest.h>
#include <zlib.h>

#include <cmath>
#include <fstream>
#include <nlohmann/json.hpp>
#include <string>

#include "base/append_file.h"
#include "base/error.h"
#include "base/file.h"
#include "eval/json_lines.h"
#include "eval/mmlu_data.h"
#include "eval/run_record.h"
#include "eval/shipped.h"

namespace pajamas::eval {
namespace {

template <class Fn>
std::string problem_of(Fn&& fn, ErrorCode code) {
  try {
    fn();
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), code) << error.what();
    return error.what();
  }
  ADD_FAILURE() << "nothing was thrown";
  return "";
}

TEST(HumanEval, ThePublishedProblemsAreBuiltIn) {
  const auto problems = load_humaneval({});
  ASSERT_EQ(problems.size(), 164u);
  EXPECT_EQ(problems.front().id, "HumanEval/0");
  EXPECT_EQ(problems.back().id, "HumanEval/163");
  EXPECT_EQ(problems.front().entry_point, "has_close_elements");
  EXPECT_TRUE(problems.front().prompt.starts_with("from typing import List\n"));
  EXPECT_NE(problems.back().test.find("def check(candidate):"), std::string::npos);
}

TEST(Mmlu, TenQuestionsOfEachSubjectAreBuiltIn) {
  const auto subjects = load_mmlu({}, {});
  ASSERT_EQ(subjects.size(), 57u);
  std::size_t few = 0;
  for (const MmluSubject& subject : subjects) {
    EXPECT_EQ(subject.questions.size(), 10u) << subject.name;
    few += subject.examples.size() < 5 ? 1 : 0;
  }
  EXPECT_EQ(few, 3u);
}

TEST(JsonLines, AreReadCompressedToo) {
  const TemporaryFolder folder;
  const auto file = folder.path() / "x.jsonl.gz";
  const std::string whole(shipped_humaneval());
  const auto write = [&](const std::string& bytes) {
    std::ofstream(file, std::ios::binary) << bytes;
    return file;
  };
  const std::string text = read_lines_file(write(whole));
  EXPECT_EQ(text, inflated(whole));
  EXPECT_EQ(read_lines_file(write(text)), text);
  EXPECT_EQ(read_lines_file(write(whole + whole)), text + text);  // as gzip does
  for (const std::size_t size :
       {std::size_t{2}, std::size_t{11}, whole.size() / 2, whole.size() - 1}) {
    const std::string said =
        problem_of([&] { read_lines_file(write(whole.substr(0, size))); }, ErrorCode::kCorruptFile);
    EXPECT_NE(said.find("cut"), std::string::npos) << size << said;
    EXPECT_NE(said.find("x.jsonl.gz"), std::string::npos) << said;
  }
  std::string broken = whole;
  broken[broken.size() / 2] = static_cast<char>(broken[broken.size() / 2] ^ 0x55);
  problem_of([&] { read_lines_file(write(broken)); }, ErrorCode::kCorruptFile);
  problem_of([&] { read_lines_file(write(whole + "more")); }, ErrorCode::kCorruptFile);
}

// Nothing that is small on disk may become as large as it likes.
TEST(JsonLines, ABombIsRefused) {
  const std::string zeros(64 << 20, '\0');
  std::string packed(1 << 20, '\0');
  ::z_stream stream{};
  ASSERT_EQ(::deflateInit2(&stream, 1, Z_DEFLATED, 16 + MAX_WBITS, 8, Z_DEFAULT_STRATEGY), Z_OK);
  stream.next_out = reinterpret_cast<::Bytef*>(packed.data());
  stream.avail_out = static_cast<::uInt>(packed.size());
  stream.next_in = reinterpret_cast<::Bytef*>(const_cast<char*>(zeros.data()));
  stream.avail_in = static_cast<::uInt>(zeros.size());
  ASSERT_EQ(::deflate(&stream, Z_FINISH), Z_STREAM_END);
  packed.resize(stream.total_out);
  ::deflateEnd(&stream);
  std::string all;
  for (int i = 0; i < 5; ++i) all += packed;
  const std::string said = problem_of([&] { inflated(all); }, ErrorCode::kCorruptFile);
  EXPECT_NE(said.find("larger than 256 MB"), std::string::npos) << said;
}

TEST(HumanEval, BadSetsAreNamedByLine) {
  const TemporaryFolder folder;
  const auto file = folder.path() / "x.jsonl";
  const auto with = [&](const std::string& text) {
    std::ofstream(file) << text;
    return problem_of([&] { load_humaneval(file); }, ErrorCode::kCorruptFile);
  };
  const std::string good = R"({"task_id":"a/0","prompt":"p","entry_point":"f","test":"t"})"
                           "\n";
  EXPECT_NE(with("").find("no problems"), std::string::npos);
  EXPECT_NE(with(good + good).find("line 2"), std::string::npos);
  EXPECT_NE(with(good + "{").find("line 2"), std::string::npos);
  EXPECT_NE(with(good + "\n[]").find("line 3"), std::string::npos);
  EXPECT_NE(with(R"({"task_id":"a/0","prompt":1})").find("\"prompt\""), std::string::npos);
  problem_of([&] { load_humaneval(folder.path() / "none"); }, ErrorCode::kNotFound);
}

TEST(HumanEval, CompletionsAreOfTheirProblems) {
  const TemporaryFolder folder;
  const auto file = folder.path() / "x.jsonl";
  const std::vector<CodeProblem> problems{
      {"a/0", "", "", ""}, {"a/1", "", "", ""}, {"a/2", "", "", ""}};
  std::ofstream(file) << R"({"task_id":"a/2","completion":"x"})"
                         "\n"
                         R"({"task_id":"a/0","completion":"y"})"
                         "\n\n"
                         R"({"task_id":"a/2","completion":"z","more":1})";
  EXPECT_EQ(load_completions(file, problems, 0), (Completions{{"y"}, {}, {"x", "z"}}));
  EXPECT_EQ(load_completions(file, problems, 2), (Completions{{"y"}, {}}));
  const auto refused = [&](const std::string& text) {
    std::ofstream(file) << text;
    return problem_of([&] { load_completions(file, problems, 0); }, ErrorCode::kCorruptFile);
  };
  EXPECT_NE(refused(R"({"task_id":"b/0","completion":"x"})").find("b/0"), std::string::npos);
  EXPECT_NE(refused(R"({"task_id":"a/0"})").find("completion"), std::string::npos);
  EXPECT_NE(refused("\n").find("no completions"), std::string::npos);
}

TEST(HumanEval, ACompletionEndsWhereTheBodyDoes) {
  const auto body = [](const std::string& text) { return text.substr(0, end_of_body(text)); };
  EXPECT_EQ(body("    return 1\n\n\ndef g():\n"), "    return 1\n\n");
  EXPECT_EQ(body("    if x:\n        return 1\n    # so\n    print(x)\n"),
            "    if x:\n        return 1\n    # so\n    print(x)\n");
  EXPECT_EQ(body("    return 1\nif __name__"), "    return 1");
  EXPECT_EQ(body("    return 1\n# then\nclass A"), "    return 1");
  EXPECT_EQ(body("    return 1\nprint(f(1))"), "    return 1");
}

TEST(HumanEval, TheCodeOfAChatsAnswerIsFound) {
  EXPECT_EQ(code_of_answer(
                "Here:\n```python\ndef f(x):\n    return 1\n```\nIt works.\n```py\nf(1)\n```", "f"),
            "\n\ndef f(x):\n    return 1\n");
  EXPECT_EQ(code_of_answer("```\n    return 1\n```", "f"), "    return 1\n");
  EXPECT_EQ(code_of_answer("    return 1\n", "f"), "    return 1\n");
  EXPECT_EQ(code_of_answer("```python\ndef f(x):\n    return", "f"), "\n\ndef f(x):\n    return");
  EXPECT_EQ(code_of_answer("```", "f"), "");
}

TEST(HumanEval, PassAtKIsTheMeanOverAllSubsets) {
  for (std::uint64_t n = 1; n <= 8; ++n) {
    for (std::uint64_t c = 0; c <= n; ++c) {
      for (std::uint64_t k = 1; k <= n; ++k) {
        double all = 0;
        double some = 0;
        for (unsigned set = 0; set < 1u << n; ++set) {  // the first c passed
          if (static_cast<std::uint64_t>(__builtin_popcount(set)) != k) continue;
          ++all;
          some += (set & ((1u << c) - 1)) != 0 ? 1 : 0;
        }
        EXPECT_NEAR(pass_at_k(n, c, k), some / all, 1e-12) << n << c << k;
      }
    }
  }
}

TEST(HumanEval, FiguresAreOverTheProblemsThatWereCounted) {
  const Verdict yes{true, false, ""};
  const Verdict no{false, false, ""};
  const Verdict late{false, true, ""};
  const HumanEvalReport one = humaneval_report({{yes}, {no}, {}, {late}, {yes}});
  EXPECT_EQ(one.problems, 4u);
  EXPECT_EQ(one.passed, 2u);
  EXPECT_EQ(one.timed_out, 1u);
  EXPECT_NEAR(one.error, std::sqrt(0.25 / 3), 1e-12);
  EXPECT_EQ(humaneval_json(one).dump(), R"({"pass_at_1":0.5,"passed":2,"problems":4})");
  const HumanEvalReport two = humaneval_report({{yes, no, no}, {no, late}});
  EXPECT_EQ(humaneval_json(two)["pass_at_k"].size(), 2u);
  EXPECT_NEAR(two.pass_at.at(1), 1.0 / 6, 1e-12);
  EXPECT_NEAR(two.pass_at.at(2), (2.0 / 3) / 2, 1e-12);
  EXPECT_EQ(two.passed, 1u);
  EXPECT_EQ(humaneval_report({{}, {}}).problems, 0u);
}

TEST(RunRecord, KeepsMetricsApart) {
  const TemporaryFolder folder;
  const auto file = folder.path() / "a.json";
  const nlohmann::ordered_json identity = {{"model", "m"}};
  {
    RunRecord record(file, identity, false);
    record.add("humaneval", {{"task_id", "a/0"}, {"completion", "caf\xC3"}});
    record.add("mmlu", {{"subject", "s"}});
    EXPECT_TRUE(record.known("mmlu").empty());  // of an earlier run alone
  }
  RunRecord record(file, identity, false);
  ASSERT_EQ(record.known("humaneval").size(), 1u);
  EXPECT_EQ(record.known("humaneval")[0].at("task_id"), "a/0");
  EXPECT_EQ(record.known("mmlu").size(), 1u);
  record.finish("mmlu", "[1]");
  record.finish("humaneval", "{}");
  record.commit();
  EXPECT_EQ(nlohmann::json::parse(read_text_file(file)),
            nlohmann::json::parse(R"({"mmlu":[1],"humaneval":{}})"));
  RunRecord().commit();  // nothing is kept, and nobody minds
}

}  // namespace
}  // namespace pajamas::eval
