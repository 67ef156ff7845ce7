#include "quantize/plan.h"

#include <gtest/gtest.h>

#include <cmath>
#include <filesystem>
#include <map>
#include <set>

#include "base/error.h"
#include "quantize/plan_helpers.h"

namespace pajamas::quantize {
namespace {

const fs::path kConfig7B = kSource / "models/configs/Qwen2.5-7B-Instruct.json";

// Tensor bytes that llama-quantize itself counts for Qwen2.5-7B without an importance matrix, in
// GB to three digits, as published for its files.
struct Size {
  const char* method;
  double gigabytes;
};
class SizeOf7B : public testing::TestWithParam<Size> {};

TEST_P(SizeOf7B, IsLlamaQuantizes) {
  const PlanInput input = load_plan_input_from_config(kConfig7B);
  const Plan plan = make_plan(input, {recipe(Format::kGguf, GetParam().method)}, 2);
  EXPECT_NEAR(static_cast<double>(plan.outputs[0].tensor_bytes) / 1e9, GetParam().gigabytes,
              0.0005);
}

INSTANTIATE_TEST_SUITE_P(
    Methods, SizeOf7B,
    testing::Values(
        Size{"BF16", 15.232}, Size{"F16", 15.232}, Size{"F32", 30.462}, Size{"Q8_0", 8.093},
        Size{"Q6_K", 6.248}, Size{"Q5_K_M", 5.439}, Size{"Q5_K_S", 5.309}, Size{"Q5_1", 5.751},
        Size{"Q5_0", 5.309}, Size{"Q4_K_M", 4.677}, Size{"Q4_K_S", 4.452}, Size{"Q4_1", 4.867},
        Size{"Q4_0", 4.425}, Size{"Q3_K_L", 4.083}, Size{"Q3_K_M", 3.802}, Size{"Q3_K_S", 3.486},
        Size{"Q2_K", 3.010}, Size{"Q2_K_S", 2.828}, Size{"IQ4_NL", 4.457}, Size{"IQ4_XS", 4.244},
        Size{"IQ3_M", 3.568}, Size{"IQ3_S", 3.493}, Size{"IQ3_XS", 3.340}, Size{"IQ3_XXS", 3.225},
        Size{"IQ2_M", 2.774}, Size{"IQ2_S", 2.590}, Size{"IQ2_XS", 2.463}, Size{"IQ2_XXS", 2.267},
        Size{"IQ1_M", 2.036}, Size{"IQ1_S", 1.898}, Size{"TQ2_0", 2.437}, Size{"TQ1_0", 2.131}),
    [](const auto& size) { return std::string(size.param.method); });

// Which of the methods need a matrix, as llama-quantize says: on rows that fit 256 these eight.
TEST(Plan, SomeMethodsNeedAnImportanceMatrix) {
  const std::set<std::string> needy{"IQ3_XS", "IQ3_XXS", "IQ2_M", "IQ2_S",
                                    "IQ2_XS", "IQ2_XXS", "IQ1_M", "IQ1_S"};
  const PlanInput input = load_plan_input_from_config(kConfig7B);
  for (const GgufMethodInfo& method : gguf_methods()) {
    const Plan plan = make_plan(input, {recipe(Format::kGguf, std::string(method.name))}, 2);
    const PlannedTensor* tensor = first_needing_importance(plan.outputs[0]);
    EXPECT_EQ(tensor != nullptr, needy.contains(std::string(method.name))) << method.name;
    if (tensor == nullptr) continue;
    // Not for the embedding, which IQ2_M makes IQ3_S and IQ1_S Q2_K, nor for the output.
    EXPECT_TRUE(tensor->name.starts_with("blk.")) << method.name << " " << tensor->name;
  }
  Recipe single = recipe(Format::kGguf, "Q4_K_M");
  const std::vector<Format> formats{Format::kGguf};
  single.overrides = {parse_type_override("blk.3.ffn_down=IQ2_XS", formats)};
  const Plan plan = make_plan(input, {single}, 2);
  ASSERT_NE(first_needing_importance(plan.outputs[0]), nullptr);
  EXPECT_EQ(first_needing_importance(plan.outputs[0])->name, "blk.3.ffn_down.weight");
}

// mixed precision of mlx-lm's arithmetic: codes, and a bf16 scale and bias a group.
TEST(Plan, MlxBytesFollowFromBitsAndGroups) {
  const PlanInput input = load_plan_input_from_config(kConfig7B);
  const Plan plan = make_plan(input, {recipe(Format::kMlx, "4bit")}, 2);
  const std::uint64_t matrices = 7'615'616'512 - 28 * (2 * 3584 + 3584 + 2 * 512) - 3584;
  const std::uint64_t vectors = 7'615'616'512 - matrices;
  EXPECT_EQ(plan.outputs[0].tensor_bytes, matrices / 64 * (64 / 2 + 4) + vectors * 2);
  EXPECT_GE(plan.outputs[0].file_bytes, plan.outputs[0].tensor_bytes);
}

TEST(Plan, PlanesDoNotOverlapAndFillTheFile) {
  const PlanInput input = load_plan_input(kTiny, nullptr);
  for (const Format format : {Format::kGguf, Format::kMlx}) {
    const Plan plan =
        make_plan(input, {recipe(format, format == Format::kGguf ? "Q3_K_M" : "3bit")}, 2);
    const PlannedOutput& output = plan.outputs[0];
    std::map<std::uint64_t, std::uint64_t> used;  // offset -> bytes
    for (const PlannedTensor& tensor : output.tensors) {
      for (std::size_t plane = 0; plane < tensor.encoding.planes(); ++plane) {
        used[tensor.planes[plane].offset] =
            tensor.spec.shape.rows() *
            tensor.encoding.plane_row_bytes(plane, tensor.spec.shape.cols());
      }
    }
    std::uint64_t end = output.files[0].header.size();
    for (const auto& [offset, bytes] : used) {
      EXPECT_GE(offset, end);
      EXPECT_LT(offset - end, 32u);
      end = offset + bytes;
    }
    EXPECT_LE(end, output.files[0].bytes);
    EXPECT_LT(output.files[0].bytes - end, 32u);
  }
}

TEST(Plan, MixedPrecisionTouchesEmbeddingAndOutputOnly) {
  const PlanInput input = load_plan_input(kTiny, nullptr);
  Recipe mixed = recipe(Format::kMlx, "4bit");
  mixed.mlx.embedding_bits = 6;
  mixed.mlx.output_bits = 8;
  const Plan plan = make_plan(input, {mixed}, 1);
  const auto stored = types(plan.outputs[0]);
  EXPECT_EQ(stored.at("model.embed_tokens.weight"), "6bit-g64");
  EXPECT_EQ(stored.at("lm_head.weight"), "8bit-g64");
  EXPECT_EQ(stored.at("model.layers.0.mlp.down_proj.weight"), "4bit-g64");
  EXPECT_EQ(stored.at("model.norm.weight"), "BF16");
  const auto config = nlohmann::json::parse(plan.outputs[0].small_files[0].content);
  EXPECT_EQ(config["quantization"]["model.embed_tokens"],
            nlohmann::json({{"group_size", 64}, {"bits", 6}, {"mode", "affine"}}));
  EXPECT_FALSE(config["quantization"].contains("model.layers.0.mlp.down_proj"));
}

TEST(Plan, OverrideChangesItsTensorAndNoOther) {
  const PlanInput input = load_plan_input(kTiny, nullptr);
  const Format formats[] = {Format::kGguf};
  Recipe with = recipe(Format::kGguf, "Q4_K_M");
  with.overrides.push_back(parse_type_override("blk\\.0\\.attn_v=Q8_0", formats));
  auto expected = types(make_plan(input, {recipe(Format::kGguf, "Q4_K_M")}, 1).outputs[0]);
  expected["blk.0.attn_v.weight"] = "Q8_0";
  EXPECT_EQ(types(make_plan(input, {with}, 1).outputs[0]), expected);
}

TEST(Plan, OverrideThatMatchesNothingIsAMistake) {
  const PlanInput input = load_plan_input(kTiny, nullptr);
  for (const Format format : {Format::kGguf, Format::kMlx}) {
    const Format formats[] = {format};
    Recipe with = recipe(format, format == Format::kGguf ? "Q4_K_M" : "4bit");
    with.overrides.push_back(
        parse_type_override(format == Format::kGguf ? "nothing=Q8_0" : "nothing=8bit", formats));
    try {
      make_plan(input, {with}, 1);
      FAIL();
    } catch (const Error& error) {
      EXPECT_EQ(error.code(), ErrorCode::kUsage);
    }
  }
}

// A model whose rows are 2880 wide: llama.cpp's substitutes, the largest MLX group that divides.
TEST(Plan, RowsThatDoNotFitGetWhatIsSaid) {
  PlanInput input = load_plan_input_from_config(kConfig7B);
  input.config.hidden = 2880;
  input.config.ffn = 288;
  input.config.heads = input.config.kv_heads = 45;
  input.config.head_dim = 64;
  const auto gguf = make_plan(input, {recipe(Format::kGguf, "Q4_K_S")}, 1);
  auto stored = types(gguf.outputs[0]);
  EXPECT_EQ(stored.at("blk.0.ffn_up.weight"), "Q5_0");
  EXPECT_EQ(stored.at("blk.0.attn_v.weight"), "Q5_1");
  EXPECT_EQ(stored.at("output.weight"), "Q8_0");
  Recipe wide = recipe(Format::kMlx, "4bit");
  wide.mlx.group_size = 128;
  stored = types(make_plan(input, {wide}, 1).outputs[0]);
  EXPECT_EQ(stored.at("model.layers.0.mlp.up_proj.weight"), "4bit-g64");
  EXPECT_EQ(stored.at("model.layers.0.mlp.down_proj.weight"), "4bit-g32");
}

TEST(TypeOverride, RefusesWhatCannotBe) {
  const Format gguf[] = {Format::kGguf};
  const Format both[] = {Format::kGguf, Format::kMlx};
  for (const char* text :
       {"no type", "=Q8_0", "x=Q9_9", "x=7bit", "x=4bit-g48", "x=NVFP4", "(=Q8_0", "x="}) {
    EXPECT_THROW(parse_type_override(text, both), Error) << text;
  }
  EXPECT_THROW(parse_type_override("x=6bit", gguf), Error);
  EXPECT_EQ(parse_type_override("x=bf16", gguf).format, Format::kGguf);
  EXPECT_EQ(parse_type_override("x=bf16", both).format, Format::kMlx);
  EXPECT_EQ(std::get<MlxType>(parse_type_override("x=4bit-g32", both).type).group_size, 32);
}

TEST(Methods, AreTranslatedAndTheTranslationIsSaid) {
  const Format both[] = {Format::kGguf, Format::kMlx};
  using Names = std::vector<std::vector<std::string>>;
  const auto one = choose_methods(both, "q5_k_s");
  EXPECT_EQ(one.names, (Names{{"Q5_K_S"}, {"5bit"}}));
  EXPECT_EQ(one.notes.size(), 1u);
  const auto two = choose_methods(both, "Q4_K_M:4bit");
  EXPECT_EQ(two.names, (Names{{"Q4_K_M"}, {"4bit"}}));
  EXPECT_TRUE(two.notes.empty());
  EXPECT_EQ(choose_methods(both, "8bit").names, (Names{{"Q8_0"}, {"8bit"}}));
  EXPECT_EQ(choose_methods(both, "F16").names, (Names{{"F16"}, {"bf16"}}));
  EXPECT_THROW(choose_methods(both, "Q4_K_M:4bit:8bit"), Error);
  EXPECT_THROW(choose_methods(both, ""), Error);
  EXPECT_THROW(choose_methods(both, "Q7_K"), Error);
}

TEST(Methods, MayBeSeveralOfAFormat) {
  using Names = std::vector<std::vector<std::string>>;
  const Format gguf[] = {Format::kGguf};
  const Format both[] = {Format::kGguf, Format::kMlx};
  EXPECT_EQ(choose_methods(gguf, "Q4_K_M,q5_k_m").names, (Names{{"Q4_K_M", "Q5_K_M"}}));
  EXPECT_EQ(choose_methods(both, "Q4_K_M,Q8_0:4bit").names, (Names{{"Q4_K_M", "Q8_0"}, {"4bit"}}));
  // Two that one format does not tell apart are one there.
  EXPECT_EQ(choose_methods(both, "Q4_K_M,Q4_0").names, (Names{{"Q4_K_M", "Q4_0"}, {"4bit"}}));
  for (const char* bad : {"Q4_K_M,", ",Q4_K_M", "Q4_K_M,Q4_K_M", "Q8_0,q8_0", "Q8_0,Q7_K"}) {
    EXPECT_THROW(choose_methods(gguf, bad), Error) << bad;
  }
  EXPECT_THROW(choose_methods(gguf, "Q4_K_M:Q5_K_M"), Error);  // a colon is between formats
}

}  // namespace
}  // namespace pajamas::quantize
