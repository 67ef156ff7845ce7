// The flags that raise types: what they change, what they leave, what they say.
#include <fmt/format.h>
#include <gtest/gtest.h>

#include <tuple>

#include "quantize/plan_helpers.h"

namespace pajamas::quantize {
namespace {

TEST(RaiseTypes, ArchitectureAwareInGguf) {
  const PlanInput input = load_plan_input_from_config(kQwen3);
  Recipe wanted = recipe(Format::kGguf, "Q4_K_S");
  Types expected = types(planned(input, wanted));
  wanted.architecture_aware = true;
  const Plan plan = make_plan(input, {wanted}, 1);
  // Attention a step above the experts' Q4_K where it is not yet, ffn_down_exps likewise (the first
  // eighth of the layers has Q5_K anyway).
  for (auto& [name, type] : expected) {
    const bool raised = name.find(".attn_q.w") != std::string::npos ||
                        name.find(".attn_k.w") != std::string::npos ||
                        name.find(".attn_v.w") != std::string::npos ||
                        name.find(".attn_output.w") != std::string::npos ||
                        name.find("ffn_down_exps") != std::string::npos;
    if (raised && type == "Q4_K") type = "Q5_K";
  }
  EXPECT_EQ(types(plan.outputs[0]), expected);
  EXPECT_TRUE(any_note(plan, "router", "F32"));
  EXPECT_TRUE(any_note(plan, "188 tensors from Q4_K to Q5_K", "attention above the experts"))
      << ::testing::PrintToString(plan.notes);
  EXPECT_TRUE(any_note(plan, "42 tensors from Q4_K to Q5_K", "ffn_down_exps"))
      << ::testing::PrintToString(plan.notes);
}

TEST(RaiseTypes, ArchitectureAwareInMlxKeepsOverrides) {
  const PlanInput input = load_plan_input_from_config(kQwen3);
  Recipe wanted = recipe(Format::kMlx, "3bit");
  wanted.architecture_aware = true;
  override_type(wanted, "layers\\.7\\.mlp\\.switch_mlp\\.down_proj=2bit");
  const Plan plan = make_plan(input, {wanted}, 1);
  const PlannedOutput& output = plan.outputs[0];
  for (const Role role : {Role::kAttnQ, Role::kAttnK, Role::kAttnV, Role::kAttnOutput}) {
    EXPECT_EQ(type_of(output, role, 47), "4bit-g64");
  }
  EXPECT_EQ(type_of(output, Role::kExpertGate, 6), "3bit-g64");
  EXPECT_EQ(type_of(output, Role::kExpertUp, 6), "3bit-g64");
  EXPECT_EQ(type_of(output, Role::kExpertDown, 6), "4bit-g64");
  EXPECT_EQ(type_of(output, Role::kExpertDown, 7), "2bit-g64");
  EXPECT_EQ(type_of(output, Role::kTokenEmbedding, -1), "3bit-g64");
  EXPECT_TRUE(any_note(plan, "47 tensors from 3bit-g64 to 4bit-g64", "ffn_down_exps"));
}

// At 8 bits nothing is better: the plan says so instead of nothing.
TEST(RaiseTypes, NothingAboveEightBits) {
  const PlanInput input = load_plan_input_from_config(kQwen3);
  for (const auto& [format, method] : {std::pair{Format::kGguf, "Q8_0"}, {Format::kMlx, "8bit"}}) {
    Recipe wanted = recipe(format, method);
    const Types before = types(planned(input, wanted));
    wanted.architecture_aware = wanted.preserve_attention_patterns = true;
    EXPECT_EQ(types(planned(input, wanted)), before);
  }
}

// Experts that stay MXFP4 are not raised, and the plan says so; attention is, above them.
TEST(RaiseTypes, WhatIsTakenOverStays) {
  const PlanInput input = load_plan_input_from_config(kGptOss);
  Recipe wanted = recipe(Format::kGguf, "Q4_0");
  wanted.architecture_aware = true;
  const Plan plan = make_plan(input, {wanted}, 1);
  EXPECT_EQ(type_of(plan.outputs[0], Role::kExpertDown, 3), "MXFP4");
  EXPECT_EQ(type_of(plan.outputs[0], Role::kAttnQ, 3), "Q4_0");  // 4.5 bits a weight against 4.25
  EXPECT_TRUE(any_note(plan, "24 tensors taken over as stored", "ffn_down_exps"));
}

TEST(RaiseTypes, FullAttentionLayersAStepAboveSliding) {
  const PlanInput input = load_plan_input_from_config(kGptOss);
  for (const auto& [format, method, usual, raised] :
       {std::tuple{Format::kGguf, "Q5_0", "Q5_0", "Q5_1"},
        {Format::kMlx, "4bit", "4bit-g64", "5bit-g64"}}) {
    Recipe wanted = recipe(format, method);
    Types expected = types(planned(input, wanted));
    wanted.preserve_attention_patterns = true;
    const Plan plan = make_plan(input, {wanted}, 1);
    std::size_t changed = 0;
    for (const PlannedTensor& tensor : plan.outputs[0].tensors) {
      const Role role = tensor.spec.key.role;
      const bool attention = role == Role::kAttnQ || role == Role::kAttnK || role == Role::kAttnV ||
                             role == Role::kAttnOutput;
      const bool up = attention && tensor.spec.key.layer % 2 == 1;
      if (up) {
        EXPECT_EQ(expected.at(tensor.name), usual);
      }
      EXPECT_EQ(tensor.encoding.name(), up ? raised : expected.at(tensor.name)) << tensor.name;
      changed += up ? 1u : 0u;
    }
    EXPECT_EQ(changed, 48u);
    EXPECT_TRUE(
        any_note(plan, fmt::format("48 tensors from {} to {}", usual, raised), "see everything"))
        << ::testing::PrintToString(plan.notes);
  }
}

TEST(RaiseTypes, ExpertBalancedSaysThatExpertsAreAlike) {
  const PlanInput input = load_plan_input_from_config(kQwen3);
  Recipe wanted = recipe(Format::kGguf, "Q4_K_M");
  const Types before = types(planned(input, wanted));
  wanted.expert_balanced = true;
  const Plan plan = make_plan(input, {wanted}, 1);
  EXPECT_EQ(types(plan.outputs[0]), before);
  EXPECT_TRUE(any_note(plan, "--expert-balanced", "all 128 experts"));
}

TEST(RaiseTypes, ThereIsNothingToDoForADenseModel) {
  const PlanInput input = load_plan_input(kSource / "models/tiny-qwen2", nullptr);
  for (const auto& [format, method] :
       {std::pair{Format::kGguf, "Q4_K_M"}, {Format::kMlx, "4bit"}}) {
    Recipe wanted = recipe(format, method);
    const Types before = types(planned(input, wanted));
    wanted.architecture_aware = wanted.preserve_attention_patterns = wanted.expert_balanced = true;
    const Plan plan = make_plan(input, {wanted}, 1);
    EXPECT_EQ(types(plan.outputs[0]), before);
    for (const char* flag :
         {"--architecture-aware", "--preserve-attention-patterns", "--expert-balanced"}) {
      EXPECT_TRUE(any_note(plan, flag, "nothing to do")) << flag;
    }
  }
}

}  // namespace
}  // namespace pajamas::quantize
