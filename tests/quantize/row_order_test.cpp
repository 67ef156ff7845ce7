// Llama's rows of queries and keys, and its scaling, on their way to GGUF.
#include <gtest/gtest.h>

#include <cstring>

#include "model/rope.h"
#include "quantize/plan_helpers.h"

namespace pajamas::quantize {
namespace {

// Llama's rows of q and k: Hugging Face turns (i, i + half) together, GGUF (2i, 2i + 1).
TEST(RowOrder, InterleavesHeadsAndSeparatesThemAgain) {
  PlannedTensor to_gguf, back;
  to_gguf.row_order = RowOrder::kInterleave;
  back.row_order = RowOrder::kSeparate;
  for (const std::uint64_t head : {2u, 8u, 128u}) {
    to_gguf.head_dim = back.head_dim = head;
    std::vector<bool> hit(3 * head);
    for (std::uint64_t row = 0; row < hit.size(); ++row) {
      const std::uint64_t target = to_gguf.target_row(row);
      ASSERT_LT(target, hit.size());
      EXPECT_FALSE(hit[target]);
      hit[target] = true;
      // llama.cpp's converter: reshape(heads, 2, half, ...).swapaxes(1, 2).
      const std::uint64_t h = row / head, side = row % head / (head / 2), i = row % (head / 2);
      EXPECT_EQ(target, h * head + 2 * i + side);
      EXPECT_EQ(back.target_row(target), row);
    }
  }
}

class LlamaFolder : public testing::Test {
 protected:
  PlanInput input(const nlohmann::json& scaling) const {
    const nlohmann::json config = {
        {"model_type", "llama"},    {"num_hidden_layers", 2},          {"hidden_size", 256},
        {"num_attention_heads", 4}, {"num_key_value_heads", 2},        {"intermediate_size", 512},
        {"vocab_size", 100},        {"max_position_embeddings", 4096}, {"rms_norm_eps", 1e-5},
        {"rope_theta", 500000.0},   {"tie_word_embeddings", false},    {"rope_scaling", scaling}};
    return load_plan_input_from_config(folder_.write("config.json", config.dump()));
  }
  test::TempFolder folder_;
};

TEST_F(LlamaFolder, ReordersQAndKForGgufAlone) {
  const PlanInput model = input(nullptr);
  for (const PlannedTensor& tensor : planned(model, recipe(Format::kGguf, "Q8_0")).tensors) {
    const bool turned = tensor.name.find("attn_q.") != std::string::npos ||
                        tensor.name.find("attn_k.") != std::string::npos;
    EXPECT_EQ(tensor.row_order, turned ? RowOrder::kInterleave : RowOrder::kSame) << tensor.name;
    EXPECT_EQ(tensor.head_dim, turned ? 64u : 0u);
  }
  for (const PlannedTensor& tensor : planned(model, recipe(Format::kMlx, "8bit")).tensors) {
    EXPECT_EQ(tensor.row_order, RowOrder::kSame);
  }
  PlanInput from_gguf = model;
  from_gguf.config.rope_interleaved = true;
  EXPECT_EQ(find(planned(from_gguf, recipe(Format::kMlx, "8bit")), Role::kAttnK, 1).row_order,
            RowOrder::kSeparate);
  EXPECT_EQ(find(planned(from_gguf, recipe(Format::kGguf, "Q8_0")), Role::kAttnQ, 1).row_order,
            RowOrder::kSame);
}

TEST_F(LlamaFolder, RopeFactorsStandWhereLlamaCppHasThem) {
  const PlanInput model = input({{"rope_type", "llama3"},
                                 {"factor", 8.0},
                                 {"low_freq_factor", 1.0},
                                 {"high_freq_factor", 4.0},
                                 {"original_max_position_embeddings", 512}});
  const PlannedOutput output = planned(model, recipe(Format::kGguf, "Q4_0"));
  std::vector<std::string> names;
  for (const PlannedTensor& tensor : output.tensors) names.push_back(tensor.name);
  // Those outside the layers first, by name.
  ASSERT_GE(names.size(), 5u);
  EXPECT_EQ(names[0], "output.weight");
  EXPECT_EQ(names[1], "output_norm.weight");
  EXPECT_EQ(names[2], "rope_freqs.weight");
  EXPECT_EQ(names[3], "token_embd.weight");
  EXPECT_EQ(names[4], "blk.0.attn_k.weight");
  const PlannedTensor& factors = output.tensors[2];
  EXPECT_EQ(factors.encoding, Encoding{DType::kF32});
  EXPECT_EQ(factors.bytes, 32 * sizeof(float));
  std::vector<float> stored(32);
  ASSERT_EQ(factors.content.size(), factors.bytes);
  std::memcpy(stored.data(), factors.content.data(), factors.bytes);
  EXPECT_EQ(stored, model::rope_factors(model.config));
  EXPECT_EQ(stored.front(), 1.0f);  // turns fast: not squeezed
  EXPECT_EQ(stored.back(), 8.0f);   // turns slowly: squeezed by the whole factor
  for (const PlannedTensor& tensor : planned(model, recipe(Format::kMlx, "4bit")).tensors) {
    EXPECT_TRUE(tensor.content.empty());
  }
  for (const PlannedTensor& tensor :
       planned(input(nullptr), recipe(Format::kGguf, "Q4_0")).tensors) {
    EXPECT_NE(tensor.name, "rope_freqs.weight");
  }
}

}  // namespace
}  // namespace pajamas::quantize
