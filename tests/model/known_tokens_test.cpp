// What llama.cpp and transformers know of a vocabulary beside what its file says: ends of answers
// by their texts, BOS and pattern by the pre-tokenizer's name.
#include "model/known_tokens.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>

#include "base/error.h"
#include "base/file.h"
#include "model/text_assets.h"
#include "model/text_files.h"
#include "paths.h"

namespace pajamas::model {
namespace {

namespace fs = std::filesystem;
using nlohmann::json;
using Ids = std::vector<std::int32_t>;

constexpr std::int32_t kNormal = 1, kControl = 3, kUserDefined = 4;

// A vocabulary of three letters, then these tokens.
io::GgufMetadata metadata_with(const std::vector<std::string>& more, std::int32_t type,
                               const char* pre = "llama-bpe") {
  std::vector<std::string> tokens{"a", "b", "ab"};
  std::vector<std::int32_t> types{1, 1, 1};
  for (const std::string& token : more) tokens.push_back(token), types.push_back(type);
  io::GgufMetadata metadata;
  metadata.add("tokenizer.ggml.model", std::string("gpt2"));
  if (pre != nullptr) metadata.add("tokenizer.ggml.pre", std::string(pre));
  metadata.add("tokenizer.ggml.tokens", io::GgufArray(tokens));
  metadata.add("tokenizer.ggml.token_type", io::GgufArray(types));
  metadata.add("tokenizer.ggml.merges", io::GgufArray(std::vector<std::string>{"a b"}));
  return metadata;
}

TEST(KnownTokens, EndAnAnswerWhateverTheirType) {
  for (const std::int32_t type : {kNormal, kControl, kUserDefined}) {
    for (const char* text :
         {"<|im_end|>", "<|eot_id|>", "<|eom_id|>", "<|end|>", "<|return|>", "<|call|>",
          "<|endoftext|>", "<|end_of_text|>", "<end_of_turn>", "<end_of_utterance>", "<EOT>",
          "<|fim_pad|>", "<|repo_name|>", "<|file_sep|>"}) {
      io::GgufMetadata metadata = metadata_with({"<x>", text, "</s>"}, type);
      metadata.add("tokenizer.ggml.eos_token_id", std::uint32_t{2});
      const TextAssets assets = text_assets_of(metadata);
      EXPECT_EQ(assets.stop, type == kControl ? (Ids{2, 4, 5}) : (Ids{2, 4})) << text << type;
      const text::Tokenizer tokenizer(assets.tokenizer);
      const std::string around = std::string("ab") + text + "ab";
      EXPECT_EQ(tokenizer.encode(around, {.parse_special = true}), (Ids{2, 4, 2})) << text << type;
      EXPECT_EQ(tokenizer.decode(Ids{2, 4}, true), "ab") << text << type;
    }
  }
}

TEST(KnownTokens, AMessageIsNoAnswerWhereBothHaveEnds) {
  const auto stop = [](const std::vector<std::string>& tokens, std::uint32_t eos) {
    io::GgufMetadata metadata = metadata_with(tokens, kNormal);
    metadata.add("tokenizer.ggml.eos_token_id", eos);
    return text_assets_of(metadata).stop;
  };
  EXPECT_EQ(stop({"<|end|>", "<|return|>"}, 2), (Ids{2, 3, 4}));
  EXPECT_EQ(stop({"<|end|>", "<|call|>"}, 2), (Ids{2, 3, 4}));
  EXPECT_EQ(stop({"<|end|>", "<|return|>", "<|call|>"}, 2), (Ids{2, 4, 5}));
  EXPECT_EQ(stop({"<|end|>", "<|return|>", "<|call|>"}, 3), (Ids{4, 5}));
  EXPECT_EQ(stop({"<|end|>", "<|flush|>", "<|calls|>"}, 2), (Ids{2, 4, 5}));
}

TEST(KnownTokens, FillInTheMiddleIsOneTokenAndNoEnd) {
  const TextAssets assets = text_assets_of(metadata_with({"<|fim_prefix|>", "<fim_mid>"}, kNormal));
  EXPECT_TRUE(assets.stop.empty());
  ASSERT_EQ(assets.tokenizer.added_tokens.size(), 1U);
  EXPECT_EQ(assets.tokenizer.added_tokens[0].id, 3);
}

TEST(KnownTokens, KeepTheirMeaningInTheOtherForm) {
  io::GgufMetadata metadata = metadata_with({"<|eot_id|>", "<|begin_of_text|>"}, kNormal);
  metadata.add("tokenizer.ggml.bos_token_id", std::uint32_t{4});
  std::map<std::string, json> files;
  for (const TextFile& file : make_text_files(text_assets_of(metadata), nullptr)) {
    files[file.name] = json::parse(file.content);
  }
  EXPECT_EQ(files["generation_config.json"]["eos_token_id"], json({3}));
  EXPECT_EQ(files["tokenizer.json"]["added_tokens"][0]["content"], "<|eot_id|>");
  EXPECT_EQ(files["tokenizer.json"]["added_tokens"][0]["special"], true);
  // The name llama-bpe means that a text begins with BOS.
  EXPECT_EQ(files["tokenizer_config.json"]["add_bos_token"], true);
  EXPECT_EQ(files["tokenizer_config.json"]["bos_token"], "<|begin_of_text|>");
  const json& single = files["tokenizer.json"]["post_processor"]["processors"][1]["single"];
  EXPECT_EQ(single[0]["SpecialToken"]["id"], "<|begin_of_text|>");
}

// llama.cpp: whether BOS is added is the key's to say, else the pre-tokenizer's.
TEST(GgufPreTokenizer, DecidesAboutBosWhereNoKeyDoes) {
  const auto adds = [](const char* pre, std::optional<bool> key, bool has_bos = true) {
    io::GgufMetadata metadata = metadata_with({"<s>"}, kControl, pre);
    if (has_bos) metadata.add("tokenizer.ggml.bos_token_id", std::uint32_t{3});
    if (key) metadata.add("tokenizer.ggml.add_bos_token", *key);
    return text_assets_of(metadata).add_bos;
  };
  for (const char* pre : {"llama-bpe", "llama3", "llama-v3", "tekken", "falcon3", "pixtral"}) {
    EXPECT_TRUE(adds(pre, {})) << pre;
    EXPECT_TRUE(adds(pre, true)) << pre;
    EXPECT_FALSE(adds(pre, false)) << pre;
    EXPECT_FALSE(adds(pre, {}, false)) << pre;
  }
  for (const char* pre : {"qwen2", "gpt-4o", "smaug-bpe", "smollm", "deepseek-llm", "dbrx"}) {
    EXPECT_FALSE(adds(pre, {})) << pre;
    EXPECT_TRUE(adds(pre, true)) << pre;
  }
}

TEST(GgufPreTokenizer, IsTheOneAskedFor) {
  const io::GgufMetadata metadata = metadata_with({"<s>"}, kControl, "qwen2");
  EXPECT_EQ(text_assets_of(metadata).pre_tokenizer, "qwen2");
  const TextAssets asked = text_assets_of(metadata, {.pre_tokenizer = "tekken"});
  EXPECT_EQ(asked.pre_tokenizer, "tekken");
  EXPECT_TRUE(asked.tokenizer.ignore_merges);
  EXPECT_EQ(text::pre_tokenizer_name(asked.tokenizer), "tekken");
}

TEST(GgufPreTokenizer, ThatIsMissingIsAskedFor) {
  for (const char* pre : {static_cast<const char*>(nullptr), "default", "", "nonsense"}) {
    const io::GgufMetadata metadata = metadata_with({"<s>"}, kControl, pre);
    try {
      text_assets_of(metadata);
      ADD_FAILURE() << "no error";
    } catch (const Error& error) {
      const std::string text = error.what();
      EXPECT_NE(text.find("tokenizer.ggml.pre"), std::string::npos) << text;
      EXPECT_NE(text.find("--pre-tokenizer"), std::string::npos) << text;
    }
    const TextAssets asked = text_assets_of(metadata, {.pre_tokenizer = "smollm"});
    EXPECT_EQ(asked.pre_tokenizer, "smollm");
    EXPECT_TRUE(asked.notes.empty());
    try {
      text_assets_of(metadata, {.pre_tokenizer = "smolm"});
      ADD_FAILURE() << "no error";
    } catch (const Error& error) {
      EXPECT_EQ(error.code(), ErrorCode::kUsage);
      EXPECT_NE(error.hint().find("did you mean smollm?"), std::string::npos) << error.hint();
    }
  }
}

TEST(GgufPreTokenizer, ThatIsMissingFollowsFromAPublishedVocabulary) {
  io::GgufMetadata metadata = metadata_with({}, kNormal, nullptr);
  std::vector<std::string> tokens{"<|endoftext|>", "<|im_start|>", "<|im_end|>", "<repo_name>"};
  for (const char* token : {"a", "b", "ab"}) tokens.push_back(token);
  io::GgufMetadata known;
  for (const io::GgufPair& pair : metadata.pairs()) {
    if (pair.key == "tokenizer.ggml.tokens") {
      known.add(pair.key, io::GgufArray(tokens));
    } else if (pair.key != "tokenizer.ggml.token_type") {
      known.add(pair.key, pair.value);
    }
  }
  const TextAssets assets = text_assets_of(known);
  EXPECT_EQ(assets.pre_tokenizer, "smollm");
  ASSERT_EQ(assets.notes.size(), 1U);
  EXPECT_NE(assets.notes[0].find("smollm"), std::string::npos) << assets.notes[0];
  EXPECT_EQ(assets.stop, (Ids{0, 2}));
}

class FolderOfKnownTokens : public testing::Test {
 protected:
  void SetUp() override {
    folder_ = fs::temp_directory_path() / ("pajamas-known-" + std::to_string(::getpid()));
    fs::remove_all(folder_);
    fs::create_directories(folder_);
    for (const char* name :
         {"config.json", "generation_config.json", "tokenizer.json", "tokenizer_config.json"}) {
      fs::copy(fs::path(source_dir()) / "models/tiny-qwen2" / name, folder_ / name);
    }
  }
  void TearDown() override { fs::remove_all(folder_); }

  json read(const char* file) const { return json::parse(read_text_file(folder_ / file)); }
  void write(const char* file, const json& content) const {
    std::ofstream(folder_ / file) << content.dump();
  }

  fs::path folder_;
};

// As transformers has it: what tokenizer_config.json names is one token, even where tokenizer.json
// has it among its ordinary ones.
TEST_F(FolderOfKnownTokens, TokensThatOnlyTheConfigurationNamesAreOneToken) {
  json tokenizer = read("tokenizer.json");
  json added = json::array();
  for (const json& token : tokenizer["added_tokens"]) {
    tokenizer["model"]["vocab"][token["content"].get<std::string>()] = token["id"];
  }
  tokenizer["model"]["vocab"]["<x>"] = 2019;
  tokenizer["added_tokens"] = json::array();
  write("tokenizer.json", tokenizer);
  json config = read("tokenizer_config.json");
  config["added_tokens_decoder"] = {
      {"2019", {{"content", "<x>"}, {"special", false}, {"rstrip", true}}},
      {"5", {{"content", "<not the token>"}}},
      {"x", {{"content", "<x>"}}}};
  config["bos_token"] = "<|im_start|>";
  write("tokenizer_config.json", config);
  const TextAssets assets = load_text_assets(folder_);
  const text::Tokenizer one(assets.tokenizer);
  EXPECT_EQ(one.encode("<|im_start|><|im_end|><|endoftext|><x> ", {.parse_special = true}),
            (Ids{2017, 2018, 2016, 2019}));
  EXPECT_EQ(assets.special.bos, 2017);
  EXPECT_EQ(assets.stop, (Ids{2016, 2018}));
  EXPECT_EQ(assets.tokenizer.added_tokens.size(), 4U);
}

TEST_F(FolderOfKnownTokens, AnEndThatNobodyNamesEndsAnAnswer) {
  for (const char* file : {"config.json", "generation_config.json"}) {
    json content = read(file);
    content["eos_token_id"] = 2016;
    write(file, content);
  }
  json config = read("tokenizer_config.json");
  config["eos_token"] = "<|endoftext|>";
  write("tokenizer_config.json", config);
  EXPECT_EQ(load_text_assets(folder_).stop, (Ids{2016, 2018}));
}

TEST_F(FolderOfKnownTokens, ANameForGgufIsKept) {
  const TextAssets assets = load_text_assets(folder_, {.pre_tokenizer = "smollm"});
  EXPECT_EQ(assets.pre_tokenizer, "smollm");
  EXPECT_EQ(text::pre_tokenizer_name(assets.tokenizer), "qwen2");
  EXPECT_EQ(assets.notes.size(), 1U);
  EXPECT_THROW(load_text_assets(folder_, {.pre_tokenizer = "nonsense"}), Error);
}

}  // namespace
}  // namespace pajamas::model
