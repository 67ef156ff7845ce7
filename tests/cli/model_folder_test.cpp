// Which model a folder means.
#include "cli/model_folder.h"

#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "io/temp.h"

namespace pajamas::cli {
namespace {

namespace fs = std::filesystem;
using test::expect_error;
using test::TempFolder;

class Notes final : public Progress {
 public:
  void begin(std::string_view, std::uint64_t, std::string_view) override {}
  void advance(std::uint64_t) override {}
  void end() override {}
  void note(std::string_view text) override { all.emplace_back(text); }

  std::vector<std::string> all;
};

class ModelFolder : public testing::Test {
 protected:
  void add(const std::string& name) {
    fs::create_directories((folder_.path() / name).parent_path());
    folder_.write(name, "x");
  }
  // What `inside` means; without a note where it is itself.
  void expect_model(const std::string& inside, const std::string& wanted) {
    Notes notes;
    EXPECT_EQ(model_of_folder(folder_.path() / inside, notes), folder_.path() / wanted);
    EXPECT_EQ(notes.all.size(), inside == wanted ? 0u : 1u);
  }

  TempFolder folder_;
};

TEST_F(ModelFolder, IsTheOneGgufInIt) {
  add("a/one.gguf");
  add("a/README.md");
  add("a/mmproj-one.gguf");
  add("a/.two.gguf.partial-3");
  expect_model("a", "a/one.gguf");
  for (const char* part : {"m-00001-of-00003", "m-00002-of-00003", "m-00003-of-00003"}) {
    add("parts/" + std::string(part) + ".gguf");
  }
  expect_model("parts", "parts/m-00001-of-00003.gguf");
  // In a folder of their name, as they are written.
  for (const char* part : {"m-00001-of-00002", "m-00002-of-00002"}) {
    add("out/m/" + std::string(part) + ".gguf");
    add("both/gguf/m/" + std::string(part) + ".gguf");
  }
  expect_model("out", "out/m/m-00001-of-00002.gguf");
  expect_model("both", "both/gguf/m/m-00001-of-00002.gguf");
  // As GGUF files are published.
  add("published/config.json");
  add("published/one.Q4_K_M.GGUF");
  expect_model("published", "published/one.Q4_K_M.GGUF");
}

TEST_F(ModelFolder, IsWhatQuantizeHasWritten) {
  add("out/gguf/model-q4_k_m.gguf");
  expect_model("out", "out/gguf/model-q4_k_m.gguf");
  expect_model("out/gguf", "out/gguf/model-q4_k_m.gguf");
  add("out/mlx/model-4bit/config.json");
  add("out/mlx/model-4bit/model.safetensors");
  expect_model("out/mlx", "out/mlx/model-4bit");
  Notes notes;
  expect_error(ErrorCode::kUsage, "holds 2 models",
               [&] { model_of_folder(folder_.path() / "out", notes); });
  for (const char* name : {"out/gguf/model-q4_k_m.gguf", "out/mlx/model-4bit"}) {
    expect_error(ErrorCode::kUsage, (folder_.path() / name).native(),
                 [&] { model_of_folder(folder_.path() / "out", notes); });
  }
}

TEST_F(ModelFolder, IsItselfWhereItIsAModelOrNone) {
  add("model/config.json");
  add("model/model.safetensors");
  add("model/extra.gguf");
  expect_model("model", "model");
  add("plain/config.json");  // to plan with
  expect_model("plain", "plain");
  add("text/tokenizer.json");
  expect_model("text", "text");
  add("none/notes.txt");
  expect_model("none", "none");
  add("deep/a/b/c/one.gguf");
  expect_model("deep", "deep");
}

}  // namespace
}  // namespace pajamas::cli
