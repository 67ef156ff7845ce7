#include <gtest/gtest.h>

#include <algorithm>
#include <filesystem>
#include <limits>
#include <nlohmann/json.hpp>

#include "base/error.h"
#include "base/file.h"
#include "base/json_numbers.h"
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

// As a file has it: whole numbers have no sign there.
ModelConfig parsed(const json& config) { return parse_config_json(dump_json(config, -1)); }

bool told(const ModelConfig& config, const char* part, const char* also) {
  return std::ranges::any_of(config.notes, [&](const std::string& note) {
    return note.find(part) != std::string::npos && note.find(also) != std::string::npos;
  });
}

// As an older transformers saves a checkpoint of transformers 5 again: the default of its class at
// the top. transformers 5 and llama.cpp's converter take what is inside.
TEST(Config, RopeParametersWinOverStaleKeys) {
  json config = tiny_config();
  config["rope_parameters"] = {{"rope_theta", 1e6}, {"rope_type", "default"}};
  config["rope_theta"] = 10000.0;
  const ModelConfig read = parsed(config);
  EXPECT_EQ(read.rope_theta, 1e6);
  EXPECT_TRUE(told(read, "rope_theta", "10000")) << read.notes.size();
  EXPECT_TRUE(told(read, "1000000", "rope_parameters"));
  config["rope_theta"] = 1000000;
  EXPECT_TRUE(parsed(config).notes.empty());
}

TEST(Config, RopeParametersWinForEveryKey) {
  const json inside = {{"rope_theta", 5e5},
                       {"rope_type", "yarn"},
                       {"factor", 4.0},
                       {"original_max_position_embeddings", 128}};
  struct Stale {
    const char* key;
    json value;
    const char* name;  // in the note
  };
  for (const Stale& stale :
       {Stale{"type", "linear", "rope_type"},
        {"factor", 2.0, "factor"},
        {"rope_type", "linear", "rope_type"},
        {"original_max_position_embeddings", 64, "original_max_position_embeddings"}}) {
    json config = tiny_config();
    config["rope_theta"] = 10000.0;
    config["rope_parameters"] = inside;
    config["rope_scaling"] = {{stale.key, stale.value}};
    const ModelConfig read = parsed(config);
    EXPECT_EQ(read.rope_theta, 5e5);
    EXPECT_EQ(read.rope_scaling.kind, RopeScaling::Kind::kYarn);
    EXPECT_EQ(read.rope_scaling.factor, 4);
    EXPECT_EQ(read.rope_scaling.original_context, 128u);
    EXPECT_TRUE(told(read, stale.name, "rope_scaling")) << stale.key;
  }
  json config = tiny_config();
  config["rope_parameters"] = {{"rope_theta", 1e6}, {"rope_type", "default"}};
  config["rope_scaling"] = {{"type", "linear"}, {"factor", 2.0}};
  EXPECT_EQ(parsed(config).rope_scaling.kind, RopeScaling::Kind::kNone);
  EXPECT_TRUE(told(parsed(config), "default", "linear"));
  // What one place leaves open, another one says.
  config["rope_parameters"] = {{"rope_theta", 1e6}};
  EXPECT_EQ(parsed(config).rope_scaling.kind, RopeScaling::Kind::kLinear);
  // A base within the older spelling wins over the top too.
  config.erase("rope_parameters");
  config["rope_scaling"]["rope_theta"] = 2e6;
  EXPECT_EQ(parsed(config).rope_theta, 2e6);
  // The newer of the two names of the type, as in transformers.
  config["rope_scaling"] = {{"type", "linear"}, {"rope_type", "default"}, {"factor", 2.0}};
  EXPECT_EQ(parsed(config).rope_scaling.kind, RopeScaling::Kind::kNone);
  EXPECT_TRUE(told(parsed(config), "rope_type", "linear"));
}

// transformers' Qwen2Config: a layer has a window where use_sliding_window is true, sliding_window
// is a number and the layer is not below max_window_layers, or where layer_types says so.
TEST(Config, FlagsThatWindowNoLayerAreFullAttention) {
  const auto with = [](json changes) {
    json config = tiny_config();
    config.update(changes);
    return config;
  };
  for (const json& full : {json{{"max_window_layers", 4}}, json{{"max_window_layers", 28}},
                           json{{"max_window_layers", 0}, {"sliding_window", nullptr}},
                           json{{"max_window_layers", nullptr}},
                           json{{"max_window_layers", 0},
                                {"layer_types", std::vector<std::string>(4, "full_attention")}}}) {
    json config = with(full);
    config["use_sliding_window"] = true;
    EXPECT_EQ(parsed(config).window(3), 0u) << full;
    config["model_type"] = "qwen3";
    config["head_dim"] = 64;
    EXPECT_EQ(parsed(config).window(3), 0u) << full;
  }
  for (const json& real :
       {json{{"max_window_layers", 2}}, json{{"max_window_layers", 0}},
        json{{"max_window_layers", 2}, {"sliding_window", 4096}},
        json{{"layer_types",
              {"full_attention", "full_attention", "full_attention", "sliding_attention"}}},
        json{{"layer_types", "full_attention"}}, json{{"max_window_layers", -1}}}) {
    json config = with(real);
    config["use_sliding_window"] = true;
    EXPECT_THROW(parsed(config), Error) << real;
  }
  json config = with({{"layer_types", {"sliding_attention"}}});
  EXPECT_THROW(parsed(config), Error);  // whatever the flag says
  config["model_type"] = "llama";       // mlx-lm heeds it there
  EXPECT_THROW(parsed(config), Error);
}

// transformers' defaults of head_dim.
TEST(Config, KnowsTheUsualHeadDimOfEachArchitecture) {
  json config = tiny_config();
  EXPECT_EQ(parsed(config).head_dim, 64u);
  config["model_type"] = "qwen3";
  EXPECT_EQ(parsed(config).head_dim, 128u);
  EXPECT_TRUE(parsed(config).states_head_dim);
}

TEST(Config, ReadsNumbersThatAreNotFinite) {
  std::string text = tiny_config().dump();
  text.insert(1, R"("initializer_range": NaN, "some_limit": [Infinity, -Infinity],)");
  EXPECT_EQ(parse_config_json(text).layers, 4u);
  json config = tiny_config();
  config["rope_theta"] = std::numeric_limits<double>::infinity();
  try {
    parsed(config);
    ADD_FAILURE();
  } catch (const Error& error) {
    EXPECT_NE(std::string(error.what()).find("Infinity"), std::string::npos) << error.what();
  }
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
      {"use_sliding_window", 1, ErrorCode::kCorruptFile},
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
