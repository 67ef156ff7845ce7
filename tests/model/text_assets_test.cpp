#include "model/text_assets.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>

#include "base/error.h"
#include "base/file.h"
#include "paths.h"

namespace pajamas::model {
namespace {

namespace fs = std::filesystem;
using nlohmann::json;
using Ids = std::vector<std::int32_t>;

class TextFolder : public testing::Test {
 protected:
  void SetUp() override {
    folder_ = fs::temp_directory_path() / ("pajamas-text-" + std::to_string(::getpid()));
    fs::remove_all(folder_);
    fs::create_directories(folder_);
    for (const char* name :
         {"config.json", "generation_config.json", "tokenizer.json", "tokenizer_config.json"}) {
      fs::copy(fs::path(source_dir()) / "models/tiny-qwen2" / name, folder_ / name);
    }
  }
  void TearDown() override { fs::remove_all(folder_); }

  void set(const char* file, const char* key, const json& value) const {
    json content = json::parse(read_text_file(folder_ / file));
    content[key] = value;
    std::ofstream(folder_ / file) << content.dump();
  }

  fs::path folder_;
};

TEST_F(TextFolder, ReadsWhoIsWho) {
  const TextAssets assets = load_text_assets(folder_);
  EXPECT_EQ(assets.special.bos, 2016);  // config.json: tokenizer_config.json says null
  EXPECT_EQ(assets.special.eos, 2018);
  EXPECT_EQ(assets.special.pad, 2016);
  EXPECT_EQ(assets.stop, (std::vector<std::int32_t>{2016, 2018}));
  EXPECT_FALSE(assets.add_bos);
  // A template sees only the tokens that tokenizer_config.json names.
  EXPECT_FALSE(assets.template_tokens.contains("bos_token"));
  EXPECT_EQ(assets.template_tokens.at("eos_token"), "<|im_end|>");
  EXPECT_FALSE(assets.chat_templates.empty());
}

TEST_F(TextFolder, ALoneTokenizerIsEnough) {
  const TextAssets assets = load_text_assets(folder_ / "tokenizer.json");
  EXPECT_EQ(assets.tokenizer.tokens.size(), 2019u);
  EXPECT_TRUE(assets.chat_templates.empty());
}

bool text_told(const TextAssets& assets, std::string_view part, std::string_view also) {
  return std::ranges::any_of(assets.notes, [&](const std::string& note) {
    return note.find(part) != std::string::npos && note.find(also) != std::string::npos;
  });
}

// -1 and the size of the vocabulary stand in published files for "none".
TEST_F(TextFolder, IgnoresIdsThatAreNoTokens) {
  const TextAssets plain = load_text_assets(folder_);
  EXPECT_TRUE(plain.notes.empty());
  for (const json& id : {json(2048), json(-1), json("<|im_end|>"), json(1e300), json(4294967295u),
                         json(18446744073709551615u), json(true)}) {
    set("generation_config.json", "eos_token_id", json::array({2018, id}));
    set("config.json", "pad_token_id", id);
    set("config.json", "sep_token_id", json::array({id, 7}));
    set("generation_config.json", "pad_token_id", id);
    // Told of even where a text says who it is.
    EXPECT_TRUE(text_told(load_text_assets(folder_), "config.json: pad_token_id", id.dump())) << id;
    set("tokenizer_config.json", "pad_token", nullptr);
    const TextAssets assets = load_text_assets(folder_);
    EXPECT_TRUE(text_told(assets, "generation_config.json: pad_token_id", id.dump())) << id;
    EXPECT_EQ(assets.stop, (std::vector<std::int32_t>{2016, 2018})) << id;
    EXPECT_FALSE(assets.special.pad) << id;
    EXPECT_EQ(assets.special.sep, 7) << id;
    EXPECT_TRUE(text_told(assets, "generation_config.json: eos_token_id", "ignored")) << id;
    EXPECT_TRUE(text_told(assets, "config.json: pad_token_id", id.dump())) << id;
  }
  // Without any end that is a token, the known ones end an answer.
  set("generation_config.json", "eos_token_id", -1);
  set("config.json", "eos_token_id", 2048);
  EXPECT_EQ(load_text_assets(folder_).stop, (std::vector<std::int32_t>{2016, 2018}));
}

TEST_F(TextFolder, ReadsNumbersThatAreNotFinite) {
  for (const char* file :
       {"config.json", "generation_config.json", "tokenizer_config.json", "tokenizer.json"}) {
    std::string text = read_text_file(folder_ / file);
    text.insert(text.find('{') + 1, R"("of no use": [NaN, -Infinity],)");
    std::ofstream(folder_ / file) << text;
  }
  EXPECT_EQ(load_text_assets(folder_).tokenizer.tokens.size(), 2019u);
}

// Metadata with this many tokens, the last of which are control tokens.
io::GgufMetadata metadata_with_control(const std::vector<std::string>& control) {
  std::vector<std::string> tokens{"a", "b", "ab"};
  std::vector<std::int32_t> types{1, 1, 1};
  for (const std::string& token : control) tokens.push_back(token), types.push_back(3);
  io::GgufMetadata metadata;
  metadata.add("tokenizer.ggml.model", std::string("gpt2"));
  metadata.add("tokenizer.ggml.pre", std::string("gpt-4o"));
  metadata.add("tokenizer.ggml.tokens", io::GgufArray(tokens));
  metadata.add("tokenizer.ggml.token_type", io::GgufArray(types));
  metadata.add("tokenizer.ggml.merges", io::GgufArray(std::vector<std::string>{"a b"}));
  return metadata;
}

TEST(GgufText, StopsOnEveryEndItNamesOrHas) {
  io::GgufMetadata metadata =
      metadata_with_control({"<|return|>", "<|call|>", "<|endoftext|>", "<x>"});
  metadata.add("tokenizer.ggml.eos_token_id", std::uint32_t{3});
  EXPECT_EQ(text_assets_of(metadata).stop, (Ids{3, 4, 5}));
  metadata.add("tokenizer.ggml.eot_token_id", std::uint32_t{6});
  metadata.add("tokenizer.ggml.eom_token_id", std::uint32_t{2});
  EXPECT_EQ(text_assets_of(metadata).stop, (Ids{2, 3, 4, 5, 6}));
  // <|end|> ends a turn, except where a turn is several messages.
  EXPECT_EQ(text_assets_of(metadata_with_control({"<|end|>", "<|user|>"})).stop, (Ids{3}));
  EXPECT_EQ(
      text_assets_of(metadata_with_control({"<|end|>", "<|channel|>", "<|message|>", "<|call|>"}))
          .stop,
      (Ids{6}));
}

TEST(GgufText, IgnoresIdsThatAreNoTokens) {
  io::GgufMetadata metadata = metadata_with_control({"<|endoftext|>"});
  metadata.add("tokenizer.ggml.bos_token_id", std::uint32_t{4294967295});
  metadata.add("tokenizer.ggml.padding_token_id", std::int32_t{-1});
  metadata.add("tokenizer.ggml.eot_token_id", std::uint64_t{4});
  metadata.add("tokenizer.ggml.eos_token_id", std::uint32_t{3});
  const TextAssets assets = text_assets_of(metadata);
  EXPECT_FALSE(assets.special.bos);
  EXPECT_FALSE(assets.special.pad);
  EXPECT_EQ(assets.stop, (std::vector<std::int32_t>{3}));
  EXPECT_TRUE(text_told(assets, "bos_token_id", "4294967295"));
  EXPECT_TRUE(text_told(assets, "padding_token_id", "-1"));
  EXPECT_EQ(assets.notes.size(), 3u);
}

TEST(GgufText, EndsThatNeedAKeyOfTheirOwn) {
  TextAssets assets =
      text_assets_of(metadata_with_control({"<|im_end|>", "<stop>", "<|endoftext|>"}));
  assets.special.eos = 2;
  assets.stop = {1, 2, 3, 4};
  EXPECT_EQ(ends_without_name(assets), (std::vector<std::int32_t>{1, 4}));
}

TEST_F(TextFolder, AFolderThatNamesNoEndHasTheKnownOnes) {
  for (const char* file : {"config.json", "generation_config.json"}) {
    set(file, "eos_token_id", nullptr);
  }
  EXPECT_EQ(load_text_assets(folder_).stop, (std::vector<std::int32_t>{2016, 2018}));
  set("tokenizer_config.json", "eos_token", nullptr);
  EXPECT_EQ(load_text_assets(folder_).stop, (std::vector<std::int32_t>{2016, 2018}));
}

TEST_F(TextFolder, RefusesBrokenCompanions) {
  std::ofstream(folder_ / "tokenizer_config.json") << "[1]";
  EXPECT_THROW(load_text_assets(folder_), Error);
  fs::remove(folder_ / "tokenizer.json");
  EXPECT_THROW(load_text_assets(folder_), Error);
}

}  // namespace
}  // namespace pajamas::model
