// Lines of a width, words of other tools, and commands that can be copied.
#include <gtest/gtest.h>

#include <sstream>

#include "cli/foreign_words.h"
#include "cli/program.h"
#include "cli/shell_words.h"
#include "cli/text_wrap.h"

namespace pajamas::cli {
namespace {

std::size_t widest(const std::string& text) {
  std::istringstream lines(text);
  std::size_t most = 0;
  for (std::string line; std::getline(lines, line);) most = std::max(most, columns_of(line));
  return most;
}

TEST(Wrap, BreaksAtWords) {
  EXPECT_EQ(wrapped("one two three four five six", 20), "one two three four\nfive six");
  EXPECT_EQ(wrapped("one two three four five six", 22, 2), "one two three four\n  five six");
  EXPECT_EQ(wrapped("one two three four five six", 24, 0, 7), "one two three\nfour five six");
  EXPECT_EQ(wrapped("short", 20), "short");
  EXPECT_EQ(wrapped("", 20), "");
  EXPECT_EQ(wrapped("two\nlines\n", 20), "two\nlines\n");
  // What has no blank stays whole.
  const std::string path(40, 'x');
  EXPECT_EQ(wrapped("in " + path + " there", 20), "in\n" + path + "\nthere");
  // Characters count, not bytes.
  EXPECT_EQ(wrapped("ääääääääää öööööööööö", 21), "ääääääääää öööööööööö");
}

TEST(Wrap, CommandsStayCommands) {
  const std::string command = "  program run model.gguf --prompt \"Why is the sky blue?\" --seed 1";
  const std::string text = wrapped(command, 34);
  EXPECT_LE(widest(text), 40u);
  EXPECT_NE(text.find(" \\\n"), std::string::npos);
  EXPECT_NE(text.find("\"Why is the sky blue?\""), std::string::npos) << text;
  // What a shell makes of it: the lines joined.
  std::string joined = text;
  for (std::size_t at; (at = joined.find(" \\\n")) != std::string::npos;) {
    std::size_t end = at + 3;
    while (joined[end] == ' ') ++end;
    joined.replace(at, end - at, " ");
  }
  EXPECT_EQ(joined, command);
}

TEST(ShellWords, AreQuotedWhereTheyHaveToBe) {
  EXPECT_EQ(shell_word("out/gguf/model-q4_k_m.gguf"), "out/gguf/model-q4_k_m.gguf");
  EXPECT_EQ(shell_word("my model.gguf"), "'my model.gguf'");
  EXPECT_EQ(shell_word("it's"), "'it'\\''s'");
  EXPECT_EQ(shell_word(""), "''");
  EXPECT_EQ(shell_word("a$b"), "'a$b'");
  EXPECT_EQ(shell_word("~/x"), "'~/x'");
  EXPECT_EQ(shell_command({"run", "a b", "-x"}), "run 'a b' -x");
  EXPECT_EQ(path_argument("-x.gguf"), "./-x.gguf");
}

TEST(ForeignWords, CommandsOfOtherTools) {
  for (const char* word : {"pull", "list", "ls", "ps", "rm", "serve", "bench", "show", "convert",
                           "perplexity", "llama-cli", "llama-imatrix", "create", "download"}) {
    const auto answer = answer_to_command(word, "a/b");
    ASSERT_TRUE(answer) << word;
    EXPECT_EQ(answer->code(), ErrorCode::kUsage);
    EXPECT_NE(answer->hint().find("`llama-pajamas "), std::string::npos) << word;
    EXPECT_EQ(std::string(answer->what()).find("no command"), std::string::npos) << word;
  }
  EXPECT_NE(answer_to_command("pull", "a/b")->hint().find("run a/b`"), std::string::npos);
  EXPECT_NE(answer_to_command("rm", "a/b")->hint().find("models --remove a/b`"), std::string::npos);
  EXPECT_FALSE(answer_to_command("zebra", ""));
  EXPECT_FALSE(answer_to_command("", ""));
}

TEST(ForeignWords, OptionsOfOtherTools) {
  const std::pair<const char*, const char*> kCases[] = {{"--n-predict", "--max-tokens"},
                                                        {"--ctx-size=4096", "--ctx"},
                                                        {"-ngl", "leave it out"},
                                                        {"--cache-type-k", "--kv-cache"},
                                                        {"--outtype", "--method"},
                                                        {"--q-bits", "--method"},
                                                        {"--flash-attn", "leave it out"},
                                                        {"--lora", "yet"},
                                                        {"-sys", "--system"}};
  for (const auto& [typed, said] : kCases) {
    const auto answer = answer_to_option(typed);
    ASSERT_TRUE(answer) << typed;
    EXPECT_NE(answer->hint().find(said), std::string::npos) << answer->what();
  }
  EXPECT_FALSE(answer_to_option("--zebra"));
  EXPECT_FALSE(answer_to_option("-x"));
  EXPECT_FALSE(answer_to_option("--"));
}

TEST(ForeignWords, OneDashAndSeveralLettersAreFoundWhereTheyAreOptions) {
  const Program program("program", "1", "");
  const Command app = program.root();
  const Command run = app.add_command("run", "");
  std::string prompt, number;
  run.add_option("-p,--prompt", prompt, "");
  run.add_option("-n", number, "");
  const auto find = [&](std::vector<const char*> arguments) {
    return find_foreign_option(app, arguments).has_value();
  };
  EXPECT_TRUE(find({"run", "m", "-ngl", "99"}));
  EXPECT_TRUE(find({"run", "m", "-p", "x", "-fa"}));
  EXPECT_FALSE(find({"run", "m", "-p", "-ngl"}));
  EXPECT_TRUE(find({"run", "m", "--prompt=x", "-ngl"}));
  EXPECT_FALSE(find({"run", "m", "--", "-ngl"}));
  EXPECT_FALSE(find({"run", "m", "-n", "9"}));
}

}  // namespace
}  // namespace pajamas::cli
