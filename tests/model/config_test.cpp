#include <gtest/gtest.h>

#include <filesystem>
#include <nlohmann/json.hpp>

#include "base/error.h"
#include "base/file.h"
#include "model/architecture.h"
#include "paths.h"

namespace pajamas::model {
namespace {

using nlohmann::json;

json tiny_config() {
  return json::parse(
      read_text_file(std::filesystem::path(source_dir()) / "models/tiny-qwen2/config.json"));
}

TEST(Config, ReadsQwen2) {
  const ModelConfig config = config_of(tiny_config());
  EXPECT_EQ(config.layers, 4u);
  EXPECT_EQ(config.head_dim, 64u);
  EXPECT_EQ(config.kv_rows(), 128u);
  EXPECT_FALSE(config.tied_output);
  EXPECT_EQ(parameter_count(config), 4'198'656u);
  EXPECT_EQ(tensors_of(config).size(), 4u * 12 + 3);
}

TEST(Config, TiedModelHasNoOutputMatrix) {
  json config = tiny_config();
  config["tie_word_embeddings"] = true;
  const auto tensors = tensors_of(config_of(config));
  EXPECT_EQ(tensors.size(), 4u * 12 + 2);
  EXPECT_EQ(tensors.back().gguf, "output_norm.weight");
}

TEST(Config, ReadsTheNewerSpellingOfRope) {
  json config = tiny_config();
  config.erase("rope_theta");
  config["rope_parameters"] = {{"rope_theta", 5e5}, {"rope_type", "default"}};
  EXPECT_EQ(config_of(config).rope_theta, 5e5);
}

struct Broken {
  const char* key;
  json value;
  ErrorCode code;
};

// Each value alone makes the configuration impossible or something this program does not compute.
TEST(Config, RefusesAndNamesTheKey) {
  const Broken cases[] = {
      {"num_hidden_layers", 0, ErrorCode::kCorruptFile},
      {"num_hidden_layers", -4, ErrorCode::kCorruptFile},
      {"num_hidden_layers", "four", ErrorCode::kCorruptFile},
      {"num_hidden_layers", 4.5, ErrorCode::kCorruptFile},
      {"num_hidden_layers", 4e9, ErrorCode::kCorruptFile},
      {"num_hidden_layers", 18446744073709551615u, ErrorCode::kCorruptFile},
      {"num_hidden_layers", json::array({4}), ErrorCode::kCorruptFile},
      {"hidden_size", nullptr, ErrorCode::kCorruptFile},
      {"hidden_size", 257, ErrorCode::kCorruptFile},
      {"hidden_size", 1000000000, ErrorCode::kCorruptFile},
      {"vocab_size", 0, ErrorCode::kCorruptFile},
      {"intermediate_size", -1, ErrorCode::kCorruptFile},
      {"max_position_embeddings", 0, ErrorCode::kCorruptFile},
      {"rms_norm_eps", "small", ErrorCode::kCorruptFile},
      {"rope_theta", nullptr, ErrorCode::kCorruptFile},
      {"tie_word_embeddings", "no", ErrorCode::kCorruptFile},
      {"use_sliding_window", true, ErrorCode::kUnsupported},
      {"hidden_act", "relu", ErrorCode::kUnsupported},
      {"rope_scaling", {{"type", "dynamic"}, {"factor", 4.0}}, ErrorCode::kUnsupported},
      {"rope_scaling", "yarn", ErrorCode::kCorruptFile},
      {"model_type", "mamba", ErrorCode::kUnsupported},
      {"model_type", 7, ErrorCode::kCorruptFile},
  };
  for (const Broken& broken : cases) {
    json config = tiny_config();
    config[broken.key] = broken.value;
    try {
      config_of(config);
      ADD_FAILURE() << broken.key << " = " << broken.value;
    } catch (const Error& error) {
      EXPECT_EQ(error.code(), broken.code) << error.what();
      if (broken.value.is_object()) continue;
      EXPECT_NE(std::string(error.what()).find(broken.key), std::string::npos) << error.what();
    }
  }
}

TEST(Config, RefusesNumbersThatDoNotDivide) {
  for (const auto& [key, value] :
       {std::pair{"num_attention_heads", 3}, {"num_key_value_heads", 3}, {"head_dim", 63}}) {
    json config = tiny_config();
    config[key] = value;
    EXPECT_THROW(config_of(config), Error) << key;
  }
}

TEST(Config, RefusesWhatIsNoConfiguration) {
  for (const char* text :
       {"", "{", "[]", "null", "{}", "\"qwen2\"", "{\"model_type\":\"qwen2\"}", "\xff\xfe"}) {
    EXPECT_THROW(parse_config_json(text), Error) << text;
  }
  EXPECT_THROW(parse_config_json(std::string(100'000, '[')), Error);
}

}  // namespace
}  // namespace pajamas::model
