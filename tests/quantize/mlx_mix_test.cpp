// MLX methods of two widths: which tensors get the larger one, and how they are named.
#include "quantize/mlx_mix.h"

#include <gtest/gtest.h>

#include <set>

#include "quantize/plan_helpers.h"

namespace pajamas::quantize {
namespace {

using test::expect_error;

std::set<int> layers_with(const PlannedOutput& output, Role role, std::string_view type) {
  std::set<int> layers;
  for (const PlannedTensor& tensor : output.tensors) {
    if (tensor.spec.key.role == role && tensor.encoding.name() == type) {
      layers.insert(tensor.spec.key.layer);
    }
  }
  return layers;
}

// mlx-lm's predicate over 48 layers: the first and last six, and every third from the ninth on.
TEST(MlxMix, StockGivesMoreToSomeLayers) {
  const PlannedOutput output =
      planned(load_plan_input_from_config(kQwen3), recipe(Format::kMlx, "mixed_3_6"));
  std::set<int> more{0, 1, 2, 3, 4, 5, 42, 43, 44, 45, 46, 47};
  for (int layer = 8; layer < 42; layer += 3) more.insert(layer);
  EXPECT_EQ(layers_with(output, Role::kAttnV, "6bit-g64"), more);
  EXPECT_EQ(layers_with(output, Role::kExpertDown, "6bit-g64"), more);
  EXPECT_EQ(layers_with(output, Role::kExpertDown, "3bit-g64").size(), 48 - more.size());
  EXPECT_EQ(layers_with(output, Role::kAttnOutput, "3bit-g64").size(), 48u);
  EXPECT_EQ(layers_with(output, Role::kRouter, "8bit-g64").size(), 48u);
  EXPECT_EQ(type_of(output, Role::kOutput, -1), "6bit-g64");
  EXPECT_EQ(type_of(output, Role::kTokenEmbedding, -1), "3bit-g64");
}

TEST(MlxMix, WhatIsSaidOfSingleTensorsGoesBefore) {
  Recipe wanted = recipe(Format::kMlx, "roles_4_5");
  wanted.mlx.group_size = 32;
  wanted.mlx.embedding_bits = 8;
  override_type(wanted, "layers.7.self_attn.v_proj=3bit");
  const PlannedOutput output = planned(load_plan_input_from_config(kQwen3), wanted);
  EXPECT_EQ(type_of(output, Role::kTokenEmbedding, -1), "8bit-g32");
  EXPECT_EQ(type_of(output, Role::kAttnV, 7), "3bit-g32");
  EXPECT_EQ(type_of(output, Role::kAttnV, 8), "5bit-g32");
  EXPECT_EQ(type_of(output, Role::kExpertDown, 8), "4bit-g32");
}

TEST(MlxMix, ARecipeIsTheMethodOfMlxAlone) {
  using Names = std::vector<std::vector<std::string>>;
  constexpr Format both[] = {Format::kGguf, Format::kMlx}, mlx[] = {Format::kMlx};
  constexpr Format all[] = {Format::kFp8, Format::kMlx, Format::kGguf};
  EXPECT_EQ(choose_methods(mlx, "", "Mixed_2_6").names, (Names{{"mixed_2_6"}}));
  EXPECT_EQ(choose_methods(mlx, "mixed_2_6,4bit").names, (Names{{"mixed_2_6", "4bit"}}));
  EXPECT_EQ(choose_methods(both, "Q8_0,Q6_K", "roles_4_5").names,
            (Names{{"Q8_0", "Q6_K"}, {"roles_4_5"}}));
  EXPECT_EQ(choose_methods(both, "mixed_4_6").names, (Names{{"Q4_K_M"}, {"mixed_4_6"}}));
  EXPECT_EQ(choose_methods(all, "Q8_0", "mixed_3_4").names,
            (Names{{"fp8"}, {"mixed_3_4"}, {"Q8_0"}}));
  expect_error(ErrorCode::kUsage, "--recipe", [&] { choose_methods(mlx, "4bit", "mixed_2_6"); });
  expect_error(ErrorCode::kUsage, "--recipe",
               [&] { choose_methods(both, "Q8_0:4bit", "mixed_2_6"); });
  expect_error(ErrorCode::kUsage, "mixed_4_6", [&] { choose_methods(mlx, "", "mixed_4_7"); });
  expect_error(ErrorCode::kUsage, "no recipe", [&] { choose_methods(mlx, "", "4bit"); });
  expect_error(ErrorCode::kUsage, "--method", [&] { choose_methods(both, "", "mixed_2_6"); });
  expect_error(ErrorCode::kUsage, "no type",
               [&] { parse_type_override("down_proj=mixed_2_6", both); });
}

}  // namespace
}  // namespace pajamas::quantize
