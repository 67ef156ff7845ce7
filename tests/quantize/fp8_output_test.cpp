// FP8 checkpoints: what is in the plan, and what of a source is kept bit for bit.
#include <gtest/gtest.h>

#include <cmath>
#include <nlohmann/json.hpp>

#include "base/file.h"
#include "io/safetensors.h"
#include "quantize/execute.h"
#include "quantize/method.h"
#include "quantize/plan_helpers.h"
#include "weights/row_reader.h"

namespace pajamas::quantize {
namespace {

using nlohmann::json;
using test::expect_error;

Recipe fp8(const fs::path& output = "out") {
  Recipe result = recipe(Format::kFp8, "fp8");
  result.output = output;
  return result;
}

json written_config(const PlannedOutput& output) {
  const auto found = std::ranges::find(output.small_files, "config.json", &SmallFile::name);
  if (found == output.small_files.end()) throw std::runtime_error("no config.json");
  return json::parse(found->content);
}

// Writes a model as FP8 and returns the plan.
Plan quantize(const fs::path& model, const fs::path& output, int threads = 2) {
  std::optional<model::Checkpoint> checkpoint;
  const PlanInput input = load_plan_input(model, &checkpoint);
  const Plan plan = make_plan(input, {fp8(output)}, threads);
  NoProgress progress;
  execute(plan, *checkpoint, TaskPool(threads), progress, StopFlag(), {});
  return plan;
}

std::vector<float> values_of(const model::Checkpoint& checkpoint,
                             const model::StoredTensor& tensor) {
  std::vector<float> values(tensor.shape.elements());
  weights::RowReader(checkpoint, kernels::best_kernels())
      .read(tensor, 0, tensor.shape.rows(), values);
  return values;
}

// Qwen/Qwen3-30B-A3B-FP8 has 37491 tensors in shards of at most 5 GB; ours has the same.
TEST(Fp8Output, IsLaidOutAsThePublishedSiblingOfQwen3) {
  const PlannedOutput output = planned(load_plan_input_from_config(kQwen3), fp8());
  EXPECT_EQ(output.files.size(), 7u);
  const auto index =
      std::ranges::find(output.small_files, "model.safetensors.index.json", &SmallFile::name);
  ASSERT_NE(index, output.small_files.end());
  const json map = json::parse(index->content).at("weight_map");
  EXPECT_EQ(map.size(), 37491u);
  EXPECT_TRUE(map.contains("model.layers.47.mlp.experts.127.down_proj.weight_scale_inv"));
  EXPECT_TRUE(map.contains("model.layers.0.self_attn.q_proj.weight"));
  EXPECT_FALSE(map.contains("lm_head.weight_scale_inv"));
  const PlannedTensor& down = find(output, Role::kExpertDown, 3);
  EXPECT_EQ(down.bytes, 128u * (2048 * 768 + 16 * 6 * 4));
  for (const PlannedFile& file : output.files) EXPECT_LT(file.bytes, 5'010'000'000u);

  const json config = written_config(output).at("quantization_config");
  EXPECT_EQ(config.at("quant_method"), "fp8");
  EXPECT_EQ(config.at("fmt"), "e4m3");
  EXPECT_EQ(config.at("activation_scheme"), "dynamic");
  EXPECT_EQ(config.at("weight_block_size"), json::array({128, 128}));
  const auto kept = config.at("modules_to_not_convert").get<std::vector<std::string>>();
  // What the published list has, and the embedding, the last norm and the norms of heads.
  EXPECT_EQ(kept.size(), 1u + 48 * 3 + 2 + 48 * 2);
  for (const char* name :
       {"lm_head", "model.layers.0.input_layernorm", "model.layers.31.mlp.gate",
        "model.layers.47.post_attention_layernorm", "model.embed_tokens", "model.norm"}) {
    EXPECT_EQ(std::ranges::count(kept, name), 1) << name;
  }
}

TEST(Fp8Output, ATiedOutputIsLeftAloneToo) {
  json config = json::parse(read_text_file(kSource / "models/tiny-qwen2/config.json"));
  config["tie_word_embeddings"] = true;
  const PlannedOutput output = planned(plan_input_of_config(config, "tied"), fp8());
  EXPECT_EQ(written_config(output).at("quantization_config").at("modules_to_not_convert").at(0),
            "lm_head");
}

TEST(Fp8Output, GptOssIsRefusedInOneLine) {
  expect_error(ErrorCode::kUnsupported, "MXFP4",
               [] { planned(load_plan_input_from_config(kGptOss), fp8()); });
}

TEST(Fp8Output, QuantizedSourcesAreASecondLoss) {
  PlanInput input = load_plan_input_from_config(kSource / "models/tiny-qwen3-moe/config.json");
  input.stored[{Role::kExpertDown, 2}] = {DType::kMXFP4};
  expect_error(ErrorCode::kUsage, "1 of MXFP4 to F8_E4M3", [&] { planned(input, fp8()); });
  Recipe allowed = fp8();
  allowed.allow_requantize = true;
  EXPECT_EQ(type_of(planned(input, allowed), Role::kExpertDown, 2), "F8_E4M3");
}

TEST(Fp8Output, NeedsNoMethodBesideOthers) {
  using Names = std::vector<std::vector<std::string>>;
  constexpr Format all[] = {Format::kGguf, Format::kMlx, Format::kFp8};
  constexpr Format first[] = {Format::kFp8, Format::kGguf};
  constexpr Format alone[] = {Format::kFp8}, gguf[] = {Format::kGguf};
  EXPECT_EQ(choose_methods(alone, "").names, (Names{{"fp8"}}));
  EXPECT_EQ(choose_methods(alone, "FP8").names, (Names{{"fp8"}}));
  EXPECT_EQ(choose_methods(all, "Q4_K_M").names, (Names{{"Q4_K_M"}, {"4bit"}, {"fp8"}}));
  EXPECT_EQ(choose_methods(all, "Q4_K_M,Q8_0:4bit").names,
            (Names{{"Q4_K_M", "Q8_0"}, {"4bit"}, {"fp8"}}));
  EXPECT_EQ(choose_methods(all, "Q4_K_M:4bit:fp8").names, (Names{{"Q4_K_M"}, {"4bit"}, {"fp8"}}));
  EXPECT_EQ(choose_methods(first, "fp8:Q8_0").names, (Names{{"fp8"}, {"Q8_0"}}));
  EXPECT_TRUE(choose_methods(first, "Q8_0,Q4_K_M").notes.empty());
  expect_error(ErrorCode::kUsage, "--method", [&] { choose_methods(gguf, ""); });
  expect_error(ErrorCode::kUsage, "--format", [&] { choose_methods(gguf, "fp8"); });
  expect_error(ErrorCode::kUsage, "Q9", [&] { choose_methods(alone, "Q9"); });
}

class Fp8Models : public testing::TestWithParam<const char*> {};
INSTANTIATE_TEST_SUITE_P(, Fp8Models, testing::Values("tiny-qwen2", "tiny-qwen3-moe"),
                         [](const auto& name) {
                           std::string text = name.param;
                           std::ranges::replace(text, '-', '_');
                           return text;
                         });

TEST_P(Fp8Models, HoldsWhatTheSourceHolds) {
  const test::TempFolder folder;
  const fs::path source = kSource / "models" / GetParam();
  const Plan plan = quantize(source, folder.path() / "out");
  std::uint64_t bytes = 0;
  for (const auto& file : fs::directory_iterator(folder.path() / "out")) bytes += file.file_size();
  EXPECT_EQ(bytes, plan.outputs[0].file_bytes);
  const model::Checkpoint original = model::Checkpoint::open(source);
  const model::Checkpoint copy = model::Checkpoint::open(folder.path() / "out");
  EXPECT_EQ(copy.container(), model::Container::kHuggingFace);
  for (const model::StoredTensor& tensor : original.tensors()) {
    const model::StoredTensor& other = copy.get(tensor.key);
    const auto a = values_of(original, tensor), b = values_of(copy, other);
    if (other.encoding.layout != Layout::kFp8) {
      EXPECT_EQ(a, b) << tensor.name;
      continue;
    }
    double error = 0, size = 0;
    for (std::size_t i = 0; i < a.size(); ++i) {
      error += (double{a[i]} - b[i]) * (double{a[i]} - b[i]);
      size += double{a[i]} * a[i];
    }
    // Three bits behind the point: 2.6 % where the weights are as these.
    EXPECT_LT(std::sqrt(error / size), 0.027) << tensor.name;
    EXPECT_GT(std::sqrt(error / size), 0.02) << tensor.name;
  }
}

TEST_P(Fp8Models, GivesTheSameBytesForAnyNumberOfThreadsAndOutOfItself) {
  const test::TempFolder folder;
  quantize(kSource / "models" / GetParam(), folder.path() / "one", 1);
  quantize(kSource / "models" / GetParam(), folder.path() / "three", 3);
  const Plan again = quantize(folder.path() / "one", folder.path() / "again");
  for (const PlannedTensor& tensor : again.outputs[0].tensors) {
    EXPECT_EQ(tensor.repacked, tensor.encoding.layout == Layout::kFp8) << tensor.name;
  }
  for (const auto& file : fs::directory_iterator(folder.path() / "one")) {
    const fs::path name = file.path().filename();
    const std::string bytes = test::slurp(file.path());
    EXPECT_TRUE(bytes == test::slurp(folder.path() / "three" / name)) << name;
    EXPECT_TRUE(bytes == test::slurp(folder.path() / "again" / name)) << name;
  }
}

// An FP8 checkpoint in which a tile's scale or a weight is no number is damaged, not passed on.
TEST(Fp8Output, NumbersThatAreNoneAreNotTakenOver) {
  const test::TempFolder folder;
  const fs::path source = folder.path() / "fp8";
  quantize(kSource / "models/tiny-qwen2", source);
  std::uint64_t weight = 0, scale = 0;
  {
    const auto file = io::SafetensorsFile::open(source / "model.safetensors");
    for (const io::SafetensorsEntry& entry : file.entries()) {
      if (entry.name == "model.layers.1.mlp.up_proj.weight") weight = entry.offset + 7;
      if (entry.name == "model.layers.2.mlp.up_proj.weight_scale_inv") scale = entry.offset;
    }
  }
  ASSERT_NE(weight * scale, 0u);
  const std::string good = test::slurp(source / "model.safetensors");
  for (const auto& [at, bytes, name] :
       {std::tuple{weight, std::string("\x7f"), "layers.1.mlp.up_proj"},
        {scale, std::string("\0\0\x80\x7f", 4), "layers.2.mlp.up_proj"}}) {
    std::string bad = good;
    bad.replace(at, bytes.size(), bytes);
    test::TempFolder out;
    std::ofstream(source / "model.safetensors", std::ios::binary) << bad;
    expect_error(ErrorCode::kCorruptFile, name, [&] { quantize(source, out.path() / "out"); });
    EXPECT_TRUE(fs::is_empty(out.path()));
  }
}

}  // namespace
}  // namespace pajamas::quantize
