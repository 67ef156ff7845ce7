// What make_text_files writes, read back from a folder.
#include "model/text_files.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <limits>
#include <map>
#include <nlohmann/json.hpp>

#include "paths.h"

namespace pajamas::model {
namespace {

namespace fs = std::filesystem;
using nlohmann::json;

class TextFiles : public testing::TestWithParam<const char*> {
 protected:
  void SetUp() override {
    folder_ = fs::temp_directory_path() / ("pajamas-text-files-" + std::to_string(::getpid()));
    fs::remove_all(folder_);
    fs::create_directories(folder_);
  }
  void TearDown() override { fs::remove_all(folder_); }

  TextAssets again(const TextAssets& assets, const io::GgufMetadata* gguf = nullptr) const {
    for (const TextFile& file : make_text_files(assets, gguf)) {
      std::ofstream(folder_ / file.name, std::ios::binary) << file.content;
      contents_[file.name] = json::parse(file.content);
    }
    return load_text_assets(folder_);
  }

  fs::path folder_;
  mutable std::map<std::string, json> contents_;
};

TEST_P(TextFiles, MeanWhatTheyWereMadeFrom) {
  TextAssets assets = load_text_assets(fs::path(source_dir()) / "models" / GetParam());
  for (const bool add_bos : {false, true}) {
    assets.add_bos = add_bos;
    const TextAssets back = again(assets);
    EXPECT_EQ(back.tokenizer.tokens, assets.tokenizer.tokens);
    EXPECT_EQ(back.tokenizer.adds_bos.value_or(false), add_bos);
    EXPECT_EQ(back.add_bos, add_bos);
    EXPECT_EQ(back.chat_templates, assets.chat_templates);
    for (const auto& [key, text] : assets.template_tokens) {
      EXPECT_EQ(back.template_tokens.at(key), text);
    }
    EXPECT_EQ(back.stop, assets.stop);
    EXPECT_EQ(back.special.eos, assets.special.eos);
    EXPECT_EQ(contents_["generation_config.json"]["eos_token_id"][0], *assets.special.eos);
    EXPECT_EQ(contents_["generation_config.json"]["bos_token_id"], *assets.special.bos);
  }
}

TEST_F(TextFiles, KeepEveryTemplateAndNameOfASpecialToken) {
  TextAssets assets = load_text_assets(fs::path(source_dir()) / "models/tiny-qwen2");
  assets.chat_templates = {{"default", "D"}, {"tool_use", "T"}};
  assets.template_tokens["image_token"] = "<image>";
  assets.template_tokens["boi"] = "<boi>";
  const TextAssets back = again(assets);
  EXPECT_EQ(back.chat_templates, assets.chat_templates);
  EXPECT_EQ(back.template_tokens.at("image_token"), "<image>");
  EXPECT_EQ(back.template_tokens.at("boi"), "<boi>");
  assets.chat_templates = {{"tool_use", "T"}};
  EXPECT_EQ(again(assets).chat_templates, assets.chat_templates);
  EXPECT_EQ(contents_["tokenizer_config.json"]["chat_template"],
            json::array({{{"name", "tool_use"}, {"template", "T"}}}));
}

INSTANTIATE_TEST_SUITE_P(Models, TextFiles,
                         testing::Values("tiny-qwen2", "tiny-qwen3-moe", "tiny-gpt-oss"));

TEST_F(TextFiles, KeepTheSamplingThatGgufRecommends) {
  const TextAssets assets = load_text_assets(fs::path(source_dir()) / "models/tiny-qwen2");
  io::GgufMetadata metadata;
  metadata.add("general.sampling.temp", 0.7F);
  metadata.add("general.sampling.top_k", std::int32_t{20});
  metadata.add("general.sampling.top_p", std::numeric_limits<float>::infinity());
  again(assets, &metadata);
  const json& config = contents_["generation_config.json"];
  EXPECT_EQ(config["temperature"], 0.7);
  EXPECT_EQ(config["top_k"], 20);
  EXPECT_EQ(config["do_sample"], true);
  EXPECT_FALSE(config.contains("top_p"));
}

}  // namespace
}  // namespace pajamas::model
