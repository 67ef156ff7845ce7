#include "model/checkpoint.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <functional>
#include <nlohmann/json.hpp>

#include "base/bytes.h"
#include "base/error.h"
#include "io/safetensors.h"
#include "paths.h"

namespace pajamas::model {
namespace {

namespace fs = std::filesystem;
using nlohmann::json;

const fs::path kTiny = fs::path(source_dir()) / "models/tiny-qwen2";

void write_file(const fs::path& path, const std::string& content) {
  std::ofstream(path, std::ios::binary) << content;
}

class CheckpointFolder : public testing::Test {
 protected:
  void SetUp() override {
    folder_ = fs::temp_directory_path() / ("pajamas-checkpoint-" + std::to_string(::getpid()));
    fs::remove_all(folder_);
    fs::copy(kTiny, folder_);
  }
  void TearDown() override { fs::remove_all(folder_); }

  // Rewrites the shard with its header changed; the weights stay where they were.
  void change_header(const std::function<void(json&)>& change) const {
    const std::string shard = read_text_file(folder_ / "model.safetensors");
    const auto length = load_le<std::uint64_t>(as_byte_span(shard).data());
    json header = json::parse(shard.substr(8, length));
    change(header);
    std::string text = header.dump();
    std::string size(8, '\0');
    store_le(reinterpret_cast<std::byte*>(size.data()), static_cast<std::uint64_t>(text.size()));
    write_file(folder_ / "model.safetensors", size + text + shard.substr(8 + length));
  }

  // Opens and returns the error; fails without one.
  Error error_of_open() const {
    try {
      Checkpoint::open(folder_);
    } catch (const Error& error) {
      return error;
    }
    ADD_FAILURE() << "opened";
    return Error(ErrorCode::kInternal, "opened");
  }

  fs::path folder_;
};

TEST_F(CheckpointFolder, OpensEveryTensorOfTheConfiguration) {
  const Checkpoint checkpoint = Checkpoint::open(folder_);
  EXPECT_EQ(checkpoint.container(), Container::kHuggingFace);
  EXPECT_EQ(checkpoint.tensors().size(), tensors_of(checkpoint.config()).size());
  const StoredTensor& down = checkpoint.get({Role::kFfnDown, 3, -1});
  EXPECT_EQ(down.name, "model.layers.3.mlp.down_proj.weight");
  EXPECT_EQ(down.shape, Shape({256, 768}));
  EXPECT_EQ(checkpoint.find({Role::kFfnDown, 4, -1}), nullptr);
}

TEST_F(CheckpointFolder, NamesAMissingTensor) {
  change_header([](json& header) {
    const json moved = header["model.norm.weight"];
    header.erase("model.norm.weight");
    header["model.layers.0.rotary_emb.inv_freq"] = moved;
  });
  const Error error = error_of_open();
  EXPECT_EQ(error.code(), ErrorCode::kCorruptFile);
  EXPECT_NE(error.place().find("model.norm.weight"), std::string::npos);
}

TEST_F(CheckpointFolder, NamesATensorThatIsNotTheModels) {
  change_header([](json& header) {
    header["model.vision.weight"] = header["model.norm.weight"];
    header["model.vision.weight"]["data_offsets"] = {8397312, 8397312};
    header["model.vision.weight"]["shape"] = {0};
  });
  EXPECT_NE(error_of_open().place().find("model.vision.weight"), std::string::npos);
}

TEST_F(CheckpointFolder, NamesAShapeThatContradictsTheConfiguration) {
  change_header([](json& header) {
    header["model.layers.1.mlp.up_proj.weight"]["shape"] = {256, 768};
  });
  const Error error = error_of_open();
  EXPECT_NE(error.problem().find("[256, 768]"), std::string::npos) << error.what();
  EXPECT_NE(error.place().find("layers.1.mlp.up_proj"), std::string::npos);
}

TEST_F(CheckpointFolder, NamesATypeThatIsNoNumber) {
  change_header([](json& header) { header["model.norm.weight"]["dtype"] = "I16"; });
  EXPECT_EQ(error_of_open().code(), ErrorCode::kUnsupported);
}

TEST_F(CheckpointFolder, NamesAMissingShard) {
  fs::rename(folder_ / "model.safetensors", folder_ / "model-00001-of-00002.safetensors");
  write_file(folder_ / "model.safetensors.index.json",
             R"({"weight_map": {"lm_head.weight": "model-00002-of-00002.safetensors"}})");
  const Error error = error_of_open();
  EXPECT_EQ(error.code(), ErrorCode::kNotFound);
  EXPECT_NE(error.place().find("model-00002-of-00002"), std::string::npos);
}

TEST_F(CheckpointFolder, DoesNotFollowAnIndexOutOfItsFolder) {
  fs::rename(folder_ / "model.safetensors", folder_ / "model-00001-of-00002.safetensors");
  write_file(folder_ / "model.safetensors.index.json",
             R"({"weight_map": {"lm_head.weight": "../other/model.safetensors"}})");
  EXPECT_EQ(error_of_open().code(), ErrorCode::kCorruptFile);
}

TEST_F(CheckpointFolder, RefusesTheSameTensorTwice) {
  fs::copy(folder_ / "model.safetensors", folder_ / "model-copy.safetensors");
  fs::rename(folder_ / "model.safetensors", folder_ / "model-1.safetensors");
  const Error error = error_of_open();
  EXPECT_EQ(error.code(), ErrorCode::kCorruptFile);
  EXPECT_NE(error.problem().find("too"), std::string::npos);
}

TEST_F(CheckpointFolder, RefusesAPyTorchCheckpoint) {
  fs::rename(folder_ / "model.safetensors", folder_ / "pytorch_model.bin");
  EXPECT_EQ(error_of_open().code(), ErrorCode::kUnsupported);
}

TEST_F(CheckpointFolder, RefusesAForeignQuantization) {
  json config = json::parse(read_text_file(folder_ / "config.json"));
  config["quantization_config"] = {{"quant_method", "awq"}};
  write_file(folder_ / "config.json", config.dump());
  const Error error = error_of_open();
  EXPECT_EQ(error.code(), ErrorCode::kUnsupported);
  EXPECT_NE(error.problem().find("awq"), std::string::npos);
}

TEST_F(CheckpointFolder, SaysWhatIsMissing) {
  fs::remove(folder_ / "config.json");
  EXPECT_EQ(error_of_open().code(), ErrorCode::kNotFound);
  try {
    Checkpoint::open(folder_ / "nothing");
    FAIL();
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), ErrorCode::kNotFound);
  }
}

}  // namespace
}  // namespace pajamas::model
