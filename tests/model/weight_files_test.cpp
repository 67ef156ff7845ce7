// Folders as training, merging and publishing leave them. What is right is what transformers 5
// does: a single file before an index; stored output matrices before a tied flag.
#include <gtest/gtest.h>

#include "model/adapter.h"
#include "model/model_folder.h"
#include "model/tensor_names.h"

namespace pajamas::model {
namespace {

namespace fs = std::filesystem;
using nlohmann::json;
using test::Bytes;
using test::ModelFolder;

json small_config() {
  return {{"model_type", "llama"},          {"num_hidden_layers", 1},  {"hidden_size", 16},
          {"num_attention_heads", 2},       {"intermediate_size", 24}, {"vocab_size", 10},
          {"max_position_embeddings", 100}, {"rms_norm_eps", 1e-6},    {"rope_theta", 10000.0}};
}

std::string row_of(const Checkpoint& checkpoint, Role role) {
  std::string bytes(10 * 16 * 2, '\0');
  Planes planes;
  planes.plane[0] = std::as_writable_bytes(std::span(bytes));
  checkpoint.read_rows(checkpoint.get({role}), 0, 10, planes);
  return bytes;
}

std::string notes_of(const Checkpoint& checkpoint) {
  std::string all;
  for (const std::string& note : checkpoint.config().notes) all += note + "\n";
  return all;
}

void expect_note(const Checkpoint& checkpoint, std::string_view part) {
  EXPECT_NE(notes_of(checkpoint).find(part), std::string::npos)
      << part << " in: " << notes_of(checkpoint);
}

constexpr const char* kEmbedding = "model.embed_tokens.weight";
constexpr const char* kOutput = "lm_head.weight";

class TiedOutput : public testing::Test {
 protected:
  TiedOutput() : folder(small_config()) { folder.config["tie_word_embeddings"] = true; }
  ModelFolder folder;
};

TEST_F(TiedOutput, AStoredOutputThatDiffersIsUsed) {
  for (const std::size_t at : {std::size_t{0}, std::size_t{10 * 16 * 2 - 1}}) {  // first and last
    folder.tensors[kOutput].data = folder.tensors[kEmbedding].data;
    folder.tensors[kOutput].data[at] ^= 1;
    const Checkpoint checkpoint = folder.open();
    EXPECT_FALSE(checkpoint.config().tied_output);
    EXPECT_EQ(row_of(checkpoint, Role::kOutput), folder.tensors[kOutput].data);
    expect_note(checkpoint, "the stored one is used");
  }
}

TEST_F(TiedOutput, EqualValuesAreTied) {
  folder.tensors[kOutput].data = folder.tensors[kEmbedding].data;
  const Checkpoint checkpoint = folder.open();
  EXPECT_TRUE(checkpoint.config().tied_output);
  EXPECT_EQ(checkpoint.find({Role::kOutput}), nullptr);
  EXPECT_EQ(notes_of(checkpoint), "");
  // The same numbers in another type.
  std::string wide;
  for (std::size_t i = 0; i < 10 * 16; ++i) {
    wide += std::string(2, '\0') + folder.tensors[kEmbedding].data.substr(2 * i, 2);
  }
  folder.add(kOutput, DType::kF32, {10, 16}, wide);
  EXPECT_TRUE(folder.open().config().tied_output);
  wide.back() ^= 1;
  folder.add(kOutput, DType::kF32, {10, 16}, wide);
  EXPECT_FALSE(folder.open().config().tied_output);
}

TEST_F(TiedOutput, WhatIsNotStoredIsTheOther) {
  folder.tensors.erase(kOutput);
  EXPECT_TRUE(folder.open().config().tied_output);
  ModelFolder without(small_config());
  without.config["tie_word_embeddings"] = true;
  without.tensors.erase(kEmbedding);
  const Checkpoint checkpoint = without.open();
  EXPECT_TRUE(checkpoint.config().tied_output);
  EXPECT_EQ(row_of(checkpoint, Role::kTokenEmbedding), without.tensors[kOutput].data);
}

TEST_F(TiedOutput, AnOutputOfAnotherShapeIsNotUsed) {
  folder.add(kOutput, DType::kBF16, {12, 16}, std::string(12 * 16 * 2, '\0'));
  const Checkpoint checkpoint = folder.open();
  EXPECT_TRUE(checkpoint.config().tied_output);
  expect_note(checkpoint, "[12, 16]");
}

TEST_F(TiedOutput, WithoutTheWeightsItIsCounted) {
  folder.tensors[kOutput].data = folder.tensors[kEmbedding].data = std::string(10 * 16 * 2, '\0');
  const Checkpoint checkpoint = folder.open();
  EXPECT_FALSE(checkpoint.config().tied_output);
  expect_note(checkpoint, "not known without the weights");
}

// --- one file or many ---

class Files : public testing::Test {
 protected:
  Files() : folder(small_config()) { folder.open(); }

  // The names of the two shards that folder.open() writes.
  static constexpr const char* kShards[] = {"model-0.safetensors", "model-1.safetensors"};
  static constexpr const char* kIndex = "model.safetensors.index.json";

  void write(const std::string& name, const std::string& text) const {
    std::ofstream(folder.path() / name, std::ios::binary) << text;
  }
  void write_index() const {
    json map = json::object();
    std::size_t i = 0;
    for (const auto& [name, tensor] : folder.tensors) map[name] = kShards[i++ % 3 == 0 ? 0 : 1];
    write(kIndex, json{{"weight_map", map}}.dump());
  }
  // All tensors but those of the given names, one file; norms changed, to tell them apart.
  void write_single(const std::string& name, const std::vector<std::string>& without = {}) const {
    std::vector<io::SafetensorsSpec> specs;
    std::string data;
    for (const auto& [tensor, stored] : folder.tensors) {
      if (std::ranges::find(without, tensor) != without.end()) continue;
      specs.push_back({tensor, stored.dtype, stored.shape});
      data += stored.data;
    }
    write(name, io::lay_out_safetensors(specs, {}).header + data);
  }
  void remove(const std::string& name) const { fs::remove(folder.path() / name); }

  Checkpoint open() const { return Checkpoint::open(folder.path()); }
  static std::string first_file(const Checkpoint& checkpoint) {
    return checkpoint.files()[0].path().filename();
  }

  ModelFolder folder;
};

TEST_F(Files, AWholeFileBesideAStaleIndexIsTheModel) {
  write_index();
  write_single("model.safetensors");
  remove(kShards[0]);
  for (int absent = 1; absent <= 2; ++absent) {
    const Checkpoint checkpoint = open();
    EXPECT_EQ(checkpoint.files().size(), 1u);
    EXPECT_EQ(first_file(checkpoint), "model.safetensors");
    expect_note(checkpoint, absent == 1 ? "2 files of which 1 is not here" : "2 are not here");
    remove(kShards[1]);
  }
  write(kIndex, "no JSON");
  EXPECT_EQ(first_file(open()), "model.safetensors");
}

TEST_F(Files, OfTwoCompleteFormsTheSingleFileWins) {
  write_index();
  write_single("model.safetensors");
  const Checkpoint checkpoint = open();
  EXPECT_EQ(first_file(checkpoint), "model.safetensors");
  expect_note(checkpoint, "hold the model too");
}

TEST_F(Files, APartBesideCompleteShardsIsLeftAside) {
  write_index();
  for (const bool broken : {false, true}) {
    if (broken) {
      write("model.safetensors", "version https://git-lfs.github.com/spec/v1");
    } else {
      write_single("model.safetensors", {kOutput});
    }
    const Checkpoint checkpoint = open();
    EXPECT_EQ(checkpoint.files().size(), 2u);
    expect_note(checkpoint, broken ? "lacks 12 tensors" : "lacks 1 tensor");
  }
}

TEST_F(Files, VariantsBesideTheModelAreLeftAside) {
  write_single("model.safetensors");
  remove(kShards[0]);
  remove(kShards[1]);
  write_single("model.fp16.safetensors");
  const Checkpoint checkpoint = open();
  EXPECT_EQ(checkpoint.files().size(), 1u);
  expect_note(checkpoint, "same tensors");
  // What only lies apart belongs together.
  write_single("model.safetensors", {kOutput});
  remove("model.fp16.safetensors");
  const auto& output = folder.tensors.at(kOutput);
  write(
      "model_head.safetensors",
      io::lay_out_safetensors({{{kOutput, output.dtype, output.shape}}}, {}).header + output.data);
  EXPECT_EQ(open().files().size(), 2u);
}

// --- names ---

TEST(Names, WhatTrainingPutsAroundThemIsTakenOff) {
  const std::pair<const char*, const char*> cases[] = {
      {"model.norm.weight", "model.norm.weight"},
      {"lm_head.weight", "lm_head.weight"},
      {"module.model.norm.weight", "model.norm.weight"},
      {"module.lm_head.weight", "lm_head.weight"},
      {"_orig_mod.model.layers.0.mlp.up_proj.weight", "model.layers.0.mlp.up_proj.weight"},
      {"model.layers.0._orig_mod.mlp.up_proj.weight", "model.layers.0.mlp.up_proj.weight"},
      {"module._orig_mod.model.norm.weight", "model.norm.weight"},
      {"_fsdp_wrapped_module.model.layers.3._checkpoint_wrapped_module.mlp.up_proj.weight",
       "model.layers.3.mlp.up_proj.weight"},
      {"base_model.model.model.norm.weight", "model.norm.weight"},
      {"base_model.model.lm_head.weight", "lm_head.weight"},
      {"model.language_model.norm.weight", "model.norm.weight"},
      {"model.language_model.lm_head.weight", "lm_head.weight"},
      {"language_model.model.norm.weight", "model.norm.weight"},
      {"layers.0.mlp.up_proj.weight", "model.layers.0.mlp.up_proj.weight"},
      {"embed_tokens.weight", "model.embed_tokens.weight"},
      {"model.layers.0.mlp.my_orig_mod.weight", "model.layers.0.mlp.my_orig_mod.weight"}};
  for (const auto& [stored, name] : cases) {
    EXPECT_EQ(plain_name(stored).name, name);
    EXPECT_EQ(plain_name(stored).difference.empty(), std::string_view(stored) == name) << stored;
  }
}

TEST(Names, AModelUnderAWrapperOpensWithANote) {
  for (const std::string wrapper : {"module.", "_orig_mod.", "base_model.model."}) {
    ModelFolder folder(small_config());
    auto tensors = std::move(folder.tensors);
    for (auto& [name, tensor] : tensors) folder.tensors[wrapper + name] = tensor;
    const Checkpoint checkpoint = folder.open();
    EXPECT_EQ(row_of(checkpoint, Role::kOutput), tensors[kOutput].data);
    expect_note(checkpoint, "12 tensors are named under \"" + wrapper + "\"");
  }
}

TEST(Names, AdaptersInsideAModelAreNotIgnored) {
  ModelFolder folder(small_config());
  folder.add("base_model.model.model.layers.0.self_attn.q_proj.lora_A.default.weight", DType::kBF16,
             {2, 16}, std::string(64, '\0'));
  test::expect_error(ErrorCode::kUnsupported, "merge", [&] { folder.open(); });
}

// --- adapters ---

TEST(Adapters, AFolderOfOneIsNamedAsWhatItIs) {
  const test::TempFolder folder;
  const auto expect = [&](std::string_view part) {
    test::expect_error(ErrorCode::kUnsupported, part, [&] { Checkpoint::open(folder.path()); });
  };
  folder.write("adapter_model.safetensors", "");
  expect("holds a LoRA adapter and no model");
  expect("merge it into its base model first");
  folder.write("adapter_config.json",
               R"({"peft_type": "LORA", "base_model_name_or_path": "Qwen/Qwen2.5-7B-Instruct"})");
  expect("merge it into its base model (Qwen/Qwen2.5-7B-Instruct) first");
  folder.write("adapter_config.json", R"({"peft_type": "IA3"})");
  expect("an adapter (IA3)");
  folder.write("adapter_config.json", R"({"fine_tune_type": "dora", "model": "mlx/base"})");
  expect("a DoRA adapter");
  // Some trainers copy the model's configuration beside it.
  folder.write("config.json", small_config().dump());
  expect("holds a DoRA adapter and no model");
}

TEST(Adapters, OneBesideTheWeightsIsTold) {
  ModelFolder folder(small_config());
  folder.open();
  std::ofstream(folder.path() / "adapter_model.safetensors") << "anything";
  expect_note(folder.open(), "is not applied");
}

}  // namespace
}  // namespace pajamas::model
