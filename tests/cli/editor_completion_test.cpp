#include <gtest/gtest.h>
#include <unistd.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <string>
#include <vector>

#include "cli/chat/commands.h"
#include "cli/editor/completion.h"

namespace pajamas::cli {
namespace {

namespace fs = std::filesystem;
using Texts = std::vector<std::string>;

class Paths : public testing::Test {
 protected:
  void SetUp() override {
    fs::create_directories(folder_ / "sub folder");
    for (const char* name : {"chat.json", "chart.txt", ".hidden", "änd.json", "änderung",
                             "bad\x1b"
                             "c",
                             "bad\xff", "line\nend"}) {
      std::ofstream(folder_ / name) << "x";
    }
  }
  void TearDown() override { fs::remove_all(folder_); }

  Texts matches(const std::string& begin) const {
    Texts found = matching_paths((folder_ / begin).native());
    for (std::string& path : found) path.erase(0, folder_.native().size() + 1);
    return found;
  }

  const fs::path folder_ =
      fs::temp_directory_path() / ("pajamas-completion-" + std::to_string(::getpid()));
};

TEST_F(Paths, AreThoseThatCanBeTyped) {
  EXPECT_EQ(matches(""), (Texts{"chart.txt", "chat.json", "sub folder/", "änd.json", "änderung"}));
  EXPECT_EQ(matches("cha"), (Texts{"chart.txt", "chat.json"}));
  EXPECT_EQ(matches("."), Texts{".hidden"});
  EXPECT_EQ(matches("sub f"), Texts{"sub folder/"});
  EXPECT_EQ(matches("none"), Texts{});
  EXPECT_EQ(matching_paths("/nowhere/at/all"), Texts{});
}

TEST_F(Paths, BeginAtHomeToo) {
  const char* before = std::getenv("HOME");
  const std::string home = before != nullptr ? before : "";
  ::setenv("HOME", folder_.c_str(), 1);
  EXPECT_EQ(matching_paths("~/chat"), Texts{"~/chat.json"});
  ::setenv("HOME", home.c_str(), 1);
}

TEST_F(Paths, AreWhatCommandsTake) {
  const std::string path = (folder_ / "sub").native();
  for (const std::string& line : {"/load " + path, "/save! \t" + path, "look at " + path}) {
    const Completion completion = complete_chat_line(line);
    EXPECT_TRUE(completion.applies && completion.paths);
    EXPECT_EQ(completion.candidates, Texts{path + " folder/"});
    EXPECT_EQ(completion.begin, line.size() - path.size()) << line;
  }
  EXPECT_TRUE(complete_chat_line("/load ").applies);  // what is in this folder
  EXPECT_FALSE(complete_chat_line("/system ").applies);
}

TEST(Completion, OfCommands) {
  EXPECT_EQ(complete_chat_line("/s").candidates, (Texts{"/save", "/save!", "/stats", "/system"}));
  const Completion one = complete_chat_line("/lo");
  EXPECT_EQ(one.candidates, Texts{"/load"});
  EXPECT_EQ(one.behind, " ");
  EXPECT_EQ(complete_chat_line("/qu").behind, "");
  for (const char* text : {"", "word", "two words", "1/2\n"}) {
    EXPECT_FALSE(complete_chat_line(text).applies) << text;
  }
}

TEST(Completion, CommonPrefixEndsWhereACharacterDoes) {
  EXPECT_EQ(common_prefix({}), "");
  EXPECT_EQ(common_prefix({"one"}), "one");
  EXPECT_EQ(common_prefix({"chat", "chart", "cha"}), "cha");
  EXPECT_EQ(common_prefix({"aä", "aö"}), "a");  // which share a byte
  EXPECT_EQ(common_prefix({"ae\u0301", "ae\u0302"}), "a");
  EXPECT_EQ(common_prefix({"a", "b"}), "");
}

TEST(Completion, ListsInColumns) {
  Completion completion;
  completion.candidates = {"/a", "/b", "/cc", "/d", "/e"};
  EXPECT_EQ(candidate_rows(completion, 13, 9), (Texts{"/a   /cc  /e", "/b   /d"}));
  EXPECT_EQ(candidate_rows(completion, 1, 9), completion.candidates);
  EXPECT_EQ(candidate_rows(completion, 3, 3), (Texts{"/a", "/b", "and 3 more"}));
  completion.paths = true;
  completion.candidates = {"x/日本", "x/folder/", "/"};
  EXPECT_EQ(candidate_rows(completion, 80, 9), Texts{"日本     folder/  /"});
}

}  // namespace
}  // namespace pajamas::cli
