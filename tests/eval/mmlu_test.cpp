#include "eval/mmlu.h"

#include <gtest/gtest.h>

#include <cmath>
#include <filesystem>
#include <fstream>
#include <memory>
#include <nlohmann/json.hpp>
#include <set>
#include <string>
#include <vector>

#include "base/append_file.h"
#include "base/error.h"
#include "base/file.h"
#include "eval/csv.h"
#include "eval/divergence.h"
#include "eval/mmlu_record.h"
#include "model/checkpoint.h"
#include "model/text_assets.h"
#include "paths.h"
#include "runtime/native/cpu/device.h"
#include "runtime/native/engine.h"
#include "weights/mapped.h"

namespace pajamas::eval {
namespace {

const std::string kAskedModel = source_dir() + "/models/tiny-qwen2";
const std::string kData = source_dir() + "/tests/interop/data/mmlu";

void write(const std::filesystem::path& path, const std::string& text) {
  std::filesystem::create_directories(path.parent_path());
  std::ofstream(path, std::ios::binary) << text;
}

template <class Fn>
ErrorCode code_of(Fn&& fn) {
  try {
    fn();
  } catch (const Error& error) {
    return error.code();
  }
  return ErrorCode::kCount;
}

TEST(Csv, IsRfc4180) {
  const auto rows = parse_csv(
      "\xEF\xBB\xBF"
      "a,\"b,\"\"c\"\"\nd\",\r\n\n\"\",e f\n");
  ASSERT_EQ(rows.size(), 2u);
  EXPECT_EQ(rows[0].fields, (std::vector<std::string>{"a", "b,\"c\"\nd", ""}));
  EXPECT_EQ(rows[1].fields, (std::vector<std::string>{"", "e f"}));
  EXPECT_EQ(rows[1].line, 4u);
  // As some of MMLU's published tables are written.
  const auto loose = parse_csv("\"a \"b\", c\",\"\"d\" e\",1\n\"f\",\"\"\"g\"\"\",2\nh,i,j\n", 3);
  ASSERT_EQ(loose.size(), 3u);
  EXPECT_EQ(loose[0].fields, (std::vector<std::string>{"a \"b\", c", "\"d\" e", "1"}));
  EXPECT_EQ(loose[1].fields, (std::vector<std::string>{"f", "\"g\"", "2"}));
  EXPECT_EQ(loose[2].fields, (std::vector<std::string>{"h", "i", "j"}));
  EXPECT_EQ(loose[2].line, 3u);
  const auto comma = parse_csv("\"q\",\"say \"x\", or y\",3\n", 3);
  ASSERT_EQ(comma.size(), 1u);
  EXPECT_EQ(comma[0].fields, (std::vector<std::string>{"q", "say \"x\", or y", "3"}));
  for (const char* text : {"a,\"b", "\"a\"b,c", "\"a\" ,c"}) {
    EXPECT_EQ(code_of([&] { parse_csv(text); }), ErrorCode::kCorruptFile) << text;
  }
}

// As the paper's published code writes it, byte for byte.
TEST(Mmlu, ThePromptIsThePapers) {
  MmluSubject subject{"high_school_physics", {}, {}};
  subject.examples.push_back({"Why?\nReally, why?", {"So", " it, is ", "\"x\"", "4"}, 1});
  subject.questions.push_back({"What is é?", {"1", "2", "3", ""}, 0});
  const model::TextModel text(model::load_text_assets(kAskedModel));
  EXPECT_EQ(mmlu_text(subject, 0, text, false),
            "The following are multiple choice questions (with answers) about high school "
            "physics.\n\nWhy?\nReally, why?\nA. So\nB.  it, is \nC. \"x\"\nD. 4\nAnswer: B\n\n"
            "What is é?\nA. 1\nB. 2\nC. 3\nD. \nAnswer:");
  subject.examples.clear();
  EXPECT_EQ(mmlu_text(subject, 0, text, false),
            "The following are multiple choice questions (with answers) about high school "
            "physics.\n\nWhat is é?\nA. 1\nB. 2\nC. 3\nD. \nAnswer:");
}

TEST(Mmlu, EveryFormOfTheDataIsTheSameQuestions) {
  const TemporaryFolder folder;
  const std::string row = "\"1, or \"\"2\"\"?\",a,b,c,";
  write(folder.path() / "original/test/x_y_test.csv", row + "d,C\nq,1,2,3,4,A\n");
  write(folder.path() / "original/dev/x_y_dev.csv", "e,1,2,3,4,D\n");
  write(folder.path() / "header/test/x_y_test.csv",
        "question,A,B,C,D,answer\n" + row + "d,2\nq,1,2,3,4,0\n");
  write(folder.path() / "header/dev/x_y_dev.csv", "question,A,B,C,D,answer\ne,1,2,3,4,3\n");
  write(folder.path() / "lines/test.jsonl",
        R"({"subject":"x_y","question":"1, or \"2\"?","choices":["a","b","c","d"],"answer":2})"
        "\n\n"
        R"({"subject":"x_y","question":"q","A":"1","B":"2","C":"3","D":"4","answer":"A"})");
  write(folder.path() / "lines/dev.jsonl",
        R"({"subject":"x_y","question":"e","choices":["1","2","3","4"],"answer":3})");
  for (const char* form : {"original", "header", "lines"}) {
    const auto subjects = load_mmlu(folder.path() / form, {});
    ASSERT_EQ(subjects.size(), 1u) << form;
    EXPECT_EQ(subjects[0].name, "x_y");
    ASSERT_EQ(subjects[0].questions.size(), 2u) << form;
    EXPECT_EQ(subjects[0].questions[0].text, "1, or \"2\"?");
    EXPECT_EQ(subjects[0].questions[0].choices[3], "d");
    EXPECT_EQ(subjects[0].questions[0].answer, 2u);
    EXPECT_EQ(subjects[0].questions[1].answer, 0u);
    ASSERT_EQ(subjects[0].examples.size(), 1u) << form;
    EXPECT_EQ(subjects[0].examples[0].answer, 3u);
    EXPECT_EQ(load_mmlu(folder.path() / form, {{}, 1, 0})[0].questions.size(), 1u);
    EXPECT_TRUE(load_mmlu(folder.path() / form, {{}, 1, 0})[0].examples.empty());
  }
}

TEST(Mmlu, DataThatIsNoneIsRefused) {
  const TemporaryFolder folder;
  const auto with = [&](const std::string& text) {
    write(folder.path() / "test/x_test.csv", text);
    return code_of([&] { load_mmlu(folder.path(), {}); });
  };
  EXPECT_EQ(code_of([&] { load_mmlu(folder.path(), {}); }), ErrorCode::kNotFound);
  EXPECT_EQ(code_of([&] { load_mmlu(folder.path() / "none.jsonl", {}); }), ErrorCode::kNotFound);
  for (const char* text : {"", "question,A,B,C,D,answer\n", "q,1,2,3,A\n", "q,1,2,3,4,E\n",
                           "q,1,2,3,4,4\n", "q,1,2,3,4,\n", "\"q,1,2,3,4,A\n"}) {
    EXPECT_EQ(with(text), ErrorCode::kCorruptFile) << text;
  }
  EXPECT_EQ(code_of([&] { load_mmlu(kData, {{"managment"}, 0, 5}); }), ErrorCode::kUsage);
  for (const char* line : {"", "[]", "{", R"({"subject":"a"})",
                           R"({"subject":"a","question":"q","choices":["1"],"answer":0})",
                           R"({"subject":"a","question":"q","choices":["1","2","3",4],"answer":0})",
                           R"({"subject":"a","question":"q","choices":["","","",""]})"}) {
    write(folder.path() / "x.jsonl", line);
    EXPECT_EQ(code_of([&] { load_mmlu(folder.path() / "x.jsonl", {}); }), ErrorCode::kCorruptFile)
        << line;
  }
}

TEST(Mmlu, SubjectsHaveTheCategoriesOfThePaper) {
  EXPECT_EQ(mmlu_category("abstract_algebra"), "stem");
  EXPECT_EQ(mmlu_category("machine_learning"), "stem");
  EXPECT_EQ(mmlu_category("formal_logic"), "humanities");
  EXPECT_EQ(mmlu_category("us_foreign_policy"), "social sciences");
  EXPECT_EQ(mmlu_category("professional_medicine"), "other");
  EXPECT_EQ(mmlu_category("physics"), "other");  // part of a name
  EXPECT_EQ(mmlu_category(""), "other");
}

struct TinyText {
  explicit TinyText(const std::string& path = kAskedModel)
      : pool(2),
        engine(std::make_unique<runtime::CpuDevice>(
            std::make_unique<weights::MappedWeights>(model::Checkpoint::open(path)), pool,
            kernels::best_kernels())),
        text(model::load_text_assets(path), engine.config().vocab) {}

  // ln p of `tokens` behind `before`, from one pass over all of them.
  double sum(std::vector<std::int32_t> before, const std::vector<std::int32_t>& tokens) {
    const auto session = engine.create_session();
    std::vector<runtime::BatchRow> batch;
    const std::size_t length = before.size();
    before.insert(before.end(), tokens.begin(), tokens.end());
    for (std::uint32_t i = 0; i < before.size(); ++i) {
      batch.push_back({session, i, before[i], true});
    }
    std::vector<float> logits(before.size() * engine.config().vocab);
    runtime::forward(engine, batch, logits, StopFlag{});
    engine.release(session);
    double total = 0;
    for (std::size_t i = 0; i < tokens.size(); ++i) {
      const auto row = std::span<const float>(logits).subspan(
          (length + i - 1) * engine.config().vocab, engine.config().vocab);
      total += static_cast<double>(row[static_cast<std::size_t>(tokens[i])]) - log_total(row);
    }
    return total;
  }

  std::vector<MmluAnswer> ask(const MmluPrompts& prompts, std::size_t at_once = kMmluAtOnce,
                              const std::set<std::size_t>& known = {}) {
    std::vector<MmluAnswer> answers;
    NoProgress progress;
    std::size_t last = 0;
    ask_mmlu(
        engine, prompts, at_once, [&](std::size_t i) { return known.contains(i); },
        [&](std::size_t i, const MmluAnswer& answer) {
          EXPECT_TRUE(i >= last && !known.contains(i));
          last = i;
          answers.push_back(answer);
        },
        progress, StopFlag{});
    return answers;
  }

  TaskPool pool;
  runtime::NativeEngine engine;
  model::TextModel text;
};

TEST(Mmlu, AnswersAreTheSumsOverTheContinuations) {
  TinyText tiny;
  // Made up: a shared prefix, rests of several lengths, continuations of one to three tokens.
  MmluPrompts prompts;
  prompts.shared = 3;
  prompts.questions.push_back({{5, 6, 7, 8}, {{{9}, {10, 11}, {12, 13, 14}, {9, 9}}}});
  prompts.questions.push_back({{5, 6, 7, 100, 101, 102}, {{{1}, {2}, {3}, {4, 5}}}});
  EXPECT_EQ(prompts.longest(), 8u);
  const auto answers = tiny.ask(prompts);
  ASSERT_EQ(answers.size(), 2u);
  for (std::size_t q = 0; q < 2; ++q) {
    for (std::size_t i = 0; i < 4; ++i) {
      const MmluPrompt& prompt = prompts.questions[q];
      EXPECT_NEAR(answers[q].logprobs[i], tiny.sum(prompt.tokens, prompt.continuations[i]), 1e-5)
          << q << " " << i;
    }
  }
}

// `count` questions behind a prefix: rests of 1 to 90 tokens and one of 530, continuations of
// one to four.
MmluPrompts made_up(std::size_t count, std::size_t shared) {
  MmluPrompts prompts;
  prompts.shared = shared;
  std::int32_t next = 3;
  const auto tokens = [&](std::size_t n) {
    std::vector<std::int32_t> out;
    for (std::size_t i = 0; i < n; ++i) out.push_back(3 + (next = (next * 37 + 11) % 997));
    return out;
  };
  const auto prefix = tokens(shared);
  for (std::size_t q = 0; q < count; ++q) {
    MmluPrompt& prompt = prompts.questions.emplace_back();
    prompt.tokens = prefix;
    const auto rest = tokens(q == 2 ? 530 : 1 + q * 53 % 90);
    prompt.tokens.insert(prompt.tokens.end(), rest.begin(), rest.end());
    for (std::size_t k = 0; k < 4; ++k) prompt.continuations[k] = tokens(1 + (q % 3) * k / 2);
  }
  return prompts;
}

// Bit for bit: with experts and sliding windows too, and where the context that a model was made
// for is exceeded.
TEST(Mmlu, QuestionsThatRunTogetherHaveTheAnswersOfEachAlone) {
  for (const char* name : {"tiny-qwen2", "tiny-gpt-oss"}) {
    TinyText tiny(source_dir() + "/models/" + name);
    const bool beyond = std::string(name) == "tiny-qwen2";
    const MmluPrompts prompts = made_up(8, beyond ? tiny.engine.config().context_length : 70);
    const auto alone = tiny.ask(prompts, 1);
    const auto together = tiny.ask(prompts);
    ASSERT_EQ(alone.size(), 8u);
    ASSERT_EQ(together.size(), 8u);
    for (std::size_t q = 0; q < alone.size(); ++q) {
      EXPECT_EQ(together[q].logprobs, alone[q].logprobs) << name << " " << q;
    }
    if (beyond) continue;
    const auto others = tiny.ask(prompts, 3, {0, 2, 7});  // as after a run cut short
    ASSERT_EQ(others.size(), 5u);
    EXPECT_EQ(others[0].logprobs, alone[1].logprobs);
    EXPECT_EQ(others[4].logprobs, alone[6].logprobs);
  }
}

TEST(Mmlu, WhatIsAnsweredIsKeptWhenARunIsStopped) {
  TinyText tiny;
  NoProgress progress;
  StopFlag stop;
  std::vector<std::size_t> answered;
  EXPECT_EQ(code_of([&] {
              ask_mmlu(
                  tiny.engine, made_up(6, 10), 2, [](std::size_t) { return false; },
                  [&](std::size_t i, const MmluAnswer&) {
                    answered.push_back(i);
                    stop.request();
                  },
                  progress, stop);
            }),
            ErrorCode::kInterrupted);
  EXPECT_EQ(answered, (std::vector<std::size_t>{0}));
}

TEST(Mmlu, WhatASubjectsPromptsShareIsItsExamples) {
  const TinyText tiny;
  for (const bool chat : {false, true}) {
    const MmluSubject subject = load_mmlu(kData, {{"management"}, 3, 5})[0];
    const MmluPrompts prompts = mmlu_prompts(subject, tiny.text, chat);
    const std::size_t preamble = tiny.text.encode(mmlu_preamble(subject)).size();
    EXPECT_GE(prompts.shared + 4, preamble) << chat;
    for (std::size_t i = 0; i < 3; ++i) {
      const MmluPrompt& prompt = prompts.questions[i];
      const std::string text = mmlu_text(subject, i, tiny.text, chat);
      EXPECT_EQ(tiny.text.tokenizer().decode(prompt.tokens), text);
      for (std::size_t k = 0; k < 4; ++k) {
        EXPECT_EQ(tiny.text.tokenizer().decode(prompt.continuations[k]),
                  std::string(" ") + kLetters[k]);
      }
      EXPECT_EQ(text.ends_with("Answer:"), true);
      EXPECT_EQ(text.find("<|im_start|>assistant\nAnswer:") != std::string::npos, chat);
    }
  }
}

TEST(Mmlu, IntervalsAndTestsAreTheTextbooks) {
  const MmluFigures figures{50, 20};
  EXPECT_NEAR(figures.error(), std::sqrt(0.4 * 0.6 / 49), 1e-12);
  EXPECT_NEAR(figures.interval()[0], 0.276, 1e-3);  // Wilson's
  EXPECT_NEAR(figures.interval()[1], 0.538, 1e-3);
  const MmluFigures all{3, 3};
  EXPECT_EQ(all.interval()[1], 1);
  EXPECT_LT(all.interval()[0], 0.5);
  const MmluDifference d = mcnemar(100, 8, 2);
  EXPECT_NEAR(d.accuracy, 0.06, 1e-12);
  EXPECT_NEAR(d.error, std::sqrt(10 - 0.36) / 100, 1e-12);
  EXPECT_NEAR(d.p, 2 * (1 + 10 + 45) / 1024.0, 1e-9);
  EXPECT_EQ(mcnemar(100, 4, 4).p, 1);
  EXPECT_EQ(mcnemar(100, 0, 0).p, 1);
}

TEST(MmluRecord, GoesOnWhereItWasStopped) {
  const TemporaryFolder folder;
  const auto file = folder.path() / "a.json";
  const nlohmann::ordered_json identity = {{"model", "m"}};
  const MmluAnswer answer{{-1, -0.5, -2, -3}};
  {
    RunRecord kept(file, identity, false);
    MmluRecord record(kept);
    record.add(MmluAsked::kModel, "management", 0, answer);
    record.add(MmluAsked::kReference, "management", 0, {{-1, -2, -3, -4}});
  }
  std::ofstream(file.string() + ".partial", std::ios::app)
      << R"({"mmlu":{"subject":"manag)";  // a crash
  EXPECT_EQ(code_of([&] { RunRecord(file, {{"model", "other"}}, false); }), ErrorCode::kExists);
  {
    RunRecord kept(file, identity, false);
    MmluRecord record(kept);
    EXPECT_EQ(record.known(), 2u);
    ASSERT_NE(record.find(MmluAsked::kModel, "management", 0), nullptr);
    EXPECT_EQ(record.find(MmluAsked::kModel, "management", 0)->logprobs, answer.logprobs);
    EXPECT_EQ(record.find(MmluAsked::kModel, "management", 1), nullptr);
    record.add(MmluAsked::kModel, "management", 1, answer);
  }
  RunRecord kept(file, identity, false);
  MmluRecord record(kept);
  EXPECT_EQ(record.known(), 3u);
  record.add(MmluAsked::kReference, "management", 1, {{-1, -2, -3, -4}});
  const auto subjects = load_mmlu(kData, {{"management"}, 2, 0});
  record.finish(subjects);
  kept.commit();
  EXPECT_FALSE(std::filesystem::exists(file.string() + ".partial"));
  const auto saved = nlohmann::json::parse(read_text_file(file));
  const auto& questions = saved.at("mmlu").at("questions");
  ASSERT_EQ(questions.size(), 2u);
  EXPECT_EQ(questions[0].at("choice"), 1);
  EXPECT_EQ(questions[0].at("answer"), subjects[0].questions[0].answer);
  EXPECT_EQ(questions[1].at("logprobs"), nlohmann::json(answer.logprobs));
  EXPECT_EQ(code_of([&] { RunRecord(file, identity, false); }), ErrorCode::kExists);
  const MmluReport report = mmlu_report(subjects, record, true);
  EXPECT_EQ(report.all.model.questions, 2u);
  ASSERT_TRUE(report.difference.has_value());
  EXPECT_EQ(report.categories.size(), 1u);
  EXPECT_EQ(report.categories[0].name, "other");
}

}  // namespace
}  // namespace pajamas::eval
