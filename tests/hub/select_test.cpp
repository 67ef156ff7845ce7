// Which of several GGUF files of a repository is taken.
#include "hub/select.h"

#include <gtest/gtest.h>

#include "base/error.h"

namespace pajamas::hub {
namespace {

Selection select(const std::string& file, const std::vector<std::string>& paths) {
  ModelId id{"a", "b", "main", {}};
  id.file = file;
  return select_files(id, paths);
}

TEST(Select, TheUsualOneOfSeveralIsTakenAndTold) {
  const std::vector<std::string> paths{"m-BF16.gguf", "m-q4_k_m.gguf", "m-Q8_0.gguf",
                                       "mmproj-F16.gguf"};
  const Selection usual = select("", paths);
  EXPECT_EQ(usual.weights, (std::vector<std::string>{"m-q4_k_m.gguf"}));
  for (const char* said :
       {"of 3 GGUF models m-q4_k_m.gguf is taken", "a/b:FILE", "m-BF16.gguf", "m-Q8_0.gguf"}) {
    EXPECT_NE(usual.note.find(said), std::string::npos) << usual.note;
  }
  EXPECT_EQ(usual.note.find("mmproj"), std::string::npos);
  // What was named needs no words, and what is alone neither.
  EXPECT_EQ(select("Q8_0", paths).note, "");
  EXPECT_EQ(select("", {"m-Q8_0.gguf"}).note, "");
  EXPECT_EQ(select("", {"m-Q8_0.gguf"}).weights.front(), "m-Q8_0.gguf");
}

TEST(Select, AllPartsOfTheUsualOneAreTaken) {
  const Selection parts =
      select("", {"Q4_K_M/m-00001-of-00002.gguf", "Q4_K_M/m-00002-of-00002.gguf", "Q8_0/m.gguf"});
  EXPECT_EQ(parts.weights.size(), 2u);
  EXPECT_NE(parts.note.find("of 2 GGUF models"), std::string::npos) << parts.note;
}

TEST(Select, NothingIsGuessed) {
  // None is the usual one, or several are.
  for (const std::vector<std::string>& paths :
       {std::vector<std::string>{"m-Q5_K_M.gguf", "m-Q8_0.gguf"},
        std::vector<std::string>{"small-Q4_K_M.gguf", "large-Q4_K_M.gguf"}}) {
    try {
      select("", paths);
      ADD_FAILURE() << paths.front();
    } catch (const Error& error) {
      EXPECT_EQ(error.code(), ErrorCode::kUsage);
      EXPECT_NE(error.hint().find(paths.back()), std::string::npos);
    }
  }
}

}  // namespace
}  // namespace pajamas::hub
