// Plans of mixtures of experts: sizes, what stays MXFP4, routers, rows that do not fit.
#include <gtest/gtest.h>

#include "quantize/plan_helpers.h"

namespace pajamas::quantize {
namespace {

using test::expect_error;

// Tensor bytes in GB as llama-quantize counts them without an importance matrix (the reference's
// gguf-format.md, section 5); 0: that table has another method there.
struct MoeSize {
  const char* method;
  double qwen3, gpt_oss_kept, gpt_oss_opened;
};
class SizeOfMoe : public testing::TestWithParam<MoeSize> {};

INSTANTIATE_TEST_SUITE_P(
    Methods, SizeOfMoe,
    testing::Values(
        MoeSize{"BF16", 61.090, 41.848, 41.848}, MoeSize{"F16", 61.090, 41.848, 41.848},
        MoeSize{"Q8_0", 32.478, 12.097, 22.249}, MoeSize{"Q6_K", 25.087, 12.028, 22.180},
        MoeSize{"Q5_K_M", 21.720, 11.704, 16.880}, MoeSize{"Q5_K_S", 21.075, 11.699, 15.879},
        MoeSize{"Q5_1", 22.963, 11.717, 15.897}, MoeSize{"Q5_0", 21.075, 11.641, 14.626},
        MoeSize{"Q4_K_M", 18.551, 11.612, 15.792}, MoeSize{"Q4_K_S", 17.450, 11.605, 14.641},
        MoeSize{"Q4_1", 19.187, 11.564, 13.356}, MoeSize{"Q4_0", 17.299, 11.488, 12.086},
        MoeSize{"Q3_K_L", 15.895, 11.531, 13.322}, MoeSize{"Q3_K_M", 14.706, 11.493, 12.903},
        MoeSize{"Q3_K_S", 13.286, 11.451, 12.048}, MoeSize{"Q2_K", 11.253, 11.455, 12.053},
        MoeSize{"Q2_K_S", 10.513, 11.427, 12.123}),
    [](const auto& size) { return std::string(size.param.method); });

double gigabytes(const PlanInput& input, const Recipe& recipe) {
  return static_cast<double>(planned(input, recipe).tensor_bytes) / 1e9;
}

TEST_P(SizeOfMoe, IsLlamaQuantizes) {
  const MoeSize& size = GetParam();
  Recipe wanted = recipe(Format::kGguf, size.method);
  EXPECT_NEAR(gigabytes(load_plan_input_from_config(kQwen3), wanted), size.qwen3, 0.0006);
  const PlanInput gpt_oss = load_plan_input_from_config(kGptOss);
  EXPECT_NEAR(gigabytes(gpt_oss, wanted), size.gpt_oss_kept, 0.0006);
  wanted.allow_requantize = true;
  EXPECT_NEAR(gigabytes(gpt_oss, wanted), size.gpt_oss_opened, 0.0006);
}

TEST(MoePlan, Mxfp4MoeSizes) {
  const Recipe wanted = recipe(Format::kGguf, "MXFP4_MOE");
  EXPECT_NEAR(gigabytes(load_plan_input_from_config(kGptOss), wanted), 12.097, 0.0006);
  try {  // only where MXFP4 can be encoded
    EXPECT_NEAR(gigabytes(load_plan_input_from_config(kQwen3), wanted), 17.076, 0.0006);
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), ErrorCode::kUnsupported) << error.what();
  }
}

// Weights that MXFP4 already has lost once: exactly the three stacks stay, whatever the method.
TEST(MoePlan, Mxfp4ExpertsStayUnderEveryQuantizedMethod) {
  const PlanInput input = load_plan_input(kSource / "models/tiny-gpt-oss", nullptr);
  std::vector<Recipe> recipes;
  for (const GgufMethodInfo& method : gguf_methods()) {
    if (is_blocked(method.default_type)) {
      recipes.push_back(recipe(Format::kGguf, std::string(method.name)));
    }
  }
  for (const MlxMethodInfo& method : mlx_methods()) {
    if (method.bits != 16) recipes.push_back(recipe(Format::kMlx, std::string(method.name)));
  }
  ASSERT_GT(recipes.size(), 18u);
  for (const Recipe& wanted : recipes) {
    const PlannedOutput output = planned(input, wanted);
    const Encoding kept =
        wanted.format == Format::kGguf ? Encoding{DType::kMXFP4} : Encoding::mxfp4();
    for (const PlannedTensor& tensor : output.tensors) {
      SCOPED_TRACE(wanted.method + " " + tensor.name);
      EXPECT_EQ(tensor.repacked, tensor.spec.is_stack());
      EXPECT_EQ(tensor.encoding == kept, tensor.spec.is_stack());
    }
  }
}

TEST(MoePlan, AllowRequantizeOpensMxfp4ToTheMethod) {
  const PlanInput input = load_plan_input(kSource / "models/tiny-gpt-oss", nullptr);
  Recipe gguf = recipe(Format::kGguf, "Q8_0"), mlx = recipe(Format::kMlx, "6bit");
  gguf.allow_requantize = mlx.allow_requantize = true;
  const PlannedOutput opened = planned(input, gguf);
  EXPECT_EQ(type_of(opened, Role::kExpertUp), "Q8_0");
  EXPECT_FALSE(find(opened, Role::kExpertUp, 0).repacked);
  EXPECT_NE(find(opened, Role::kExpertUp, 0).reason.find("from mxfp4"), std::string::npos)
      << find(opened, Role::kExpertUp, 0).reason;
  EXPECT_EQ(type_of(planned(input, mlx), Role::kExpertDown), "6bit-g32");
}

TEST(MoePlan, PlainMethodsDequantizeMxfp4) {
  const PlanInput input = load_plan_input(kSource / "models/tiny-gpt-oss", nullptr);
  for (const char* method : {"F32", "F16", "BF16"}) {
    const PlannedOutput output = planned(input, recipe(Format::kGguf, method));
    EXPECT_EQ(type_of(output, Role::kExpertGate), method);
    EXPECT_FALSE(find(output, Role::kExpertGate, 0).repacked);
  }
  EXPECT_EQ(type_of(planned(input, recipe(Format::kMlx, "bf16")), Role::kExpertGate), "BF16");
}

// A type that the user names for stored MXFP4 is a second loss, and so is everything else that is
// quantized already.
TEST(MoePlan, ASecondLossIsRefusedAndSaysFromWhatToWhat) {
  const PlanInput input = load_plan_input(kSource / "models/tiny-gpt-oss", nullptr);
  Recipe wanted = recipe(Format::kGguf, "Q4_K_M");
  override_type(wanted, "ffn_up_exps=Q4_0");
  expect_error(ErrorCode::kUsage, "4 of mxfp4 to Q4_0", [&] { planned(input, wanted); });
  expect_error(ErrorCode::kUsage, "--allow-requantize", [&] { planned(input, wanted); });
  wanted.allow_requantize = true;
  EXPECT_EQ(type_of(planned(input, wanted), Role::kExpertUp), "Q4_0");
  EXPECT_EQ(type_of(planned(input, wanted), Role::kAttnQ), "Q5_0");

  PlanInput stored = load_plan_input_from_config(kQwen3);
  for (int layer = 0; layer < 48; ++layer) {
    stored.stored[{Role::kExpertDown, layer}] = {DType::kQ4_K};
    stored.stored[{Role::kAttnQ, layer}] = Encoding::affine(6, 64, DType::kBF16);
  }
  expect_error(ErrorCode::kUsage, "48 of 6bit-g64 to Q2_K, 48 of Q4_K to Q3_K",
               [&] { planned(stored, recipe(Format::kGguf, "Q2_K")); });
  // Nothing more is lost where numbers become plain, or stay what they are.
  EXPECT_NO_THROW(planned(stored, recipe(Format::kGguf, "F32")));
  for (int layer = 0; layer < 48; ++layer) stored.stored.erase({Role::kAttnQ, layer});
  override_type(wanted = recipe(Format::kGguf, "Q6_K"), "ffn_down_exps=Q4_K");
  const PlannedOutput same = planned(stored, wanted);
  EXPECT_TRUE(find(same, Role::kExpertDown, 47).repacked);
  EXPECT_FALSE(find(same, Role::kExpertUp, 47).repacked);
}

// FP8 is how models are published: its weights may be quantized.
TEST(MoePlan, Fp8IsNoFirstLoss) {
  PlanInput input = load_plan_input_from_config(kQwen3);
  for (int layer = 0; layer < 48; ++layer) {
    input.stored[{Role::kExpertDown, layer}] = Encoding::fp8(DType::kBF16);
  }
  EXPECT_EQ(type_of(planned(input, recipe(Format::kGguf, "Q4_K_S")), Role::kExpertDown, 20),
            "Q4_K");
}

TEST(MoePlan, TheRouterIsF32InGgufWhateverIsAsked) {
  for (const fs::path& config : {kQwen3, kGptOss}) {
    const PlanInput input = load_plan_input_from_config(config);
    for (const char* method : {"Q2_K", "Q8_0", "BF16", "MXFP4_MOE", "F16"}) {
      if (config == kQwen3 && std::string_view(method) == "MXFP4_MOE") continue;
      Recipe wanted = recipe(Format::kGguf, method);
      override_type(wanted, "ffn_gate_inp=Q4_0");
      EXPECT_EQ(type_of(planned(input, wanted), Role::kRouter, 3), "F32") << method;
    }
  }
}

TEST(MoePlan, TheRouterHas8BitsInMlxOrMore) {
  const PlanInput input = load_plan_input_from_config(kQwen3);
  for (const char* method : {"2bit", "3bit", "4bit", "6bit", "8bit"}) {
    EXPECT_EQ(type_of(planned(input, recipe(Format::kMlx, method)), Role::kRouter), "8bit-g64");
  }
  EXPECT_EQ(type_of(planned(input, recipe(Format::kMlx, "bf16")), Role::kRouter), "BF16");
  Recipe wanted = recipe(Format::kMlx, "4bit");
  override_type(wanted, "mlp\\.gate=2bit-g32");
  EXPECT_EQ(type_of(planned(input, wanted), Role::kRouter), "8bit-g32");
  wanted = recipe(Format::kMlx, "4bit");
  override_type(wanted, "layers\\.0\\.mlp\\.gate=bf16");
  EXPECT_EQ(type_of(planned(input, wanted), Role::kRouter), "BF16");
  wanted = recipe(Format::kMlx, "4bit");
  override_type(wanted, "mlp\\.gate=mxfp4");
  EXPECT_EQ(type_of(planned(input, wanted), Role::kRouter), "8bit-g64");
  // Of small floats too, where mlx-lm has affine codes; not what is asked for it by name.
  for (const char* method : {"mxfp8", "nvfp4", "mxfp4"}) {
    wanted = recipe(Format::kMlx, method);
    EXPECT_EQ(type_of(planned(input, wanted), Role::kRouter), "8bit-g64") << method;
    EXPECT_EQ(type_of(planned(input, wanted), Role::kExpertUp), method);
    EXPECT_EQ(type_of(planned(input, wanted), Role::kAttnQ),
              std::string_view(method) == "mxfp4" ? "8bit-g64" : method);
  }
  override_type(wanted, "mlp\\.gate=mxfp8");
  EXPECT_EQ(type_of(planned(input, wanted), Role::kRouter), "mxfp8");
  // Its full settings stand in config.json, where the recipe's own 4 bits would be taken.
  const PlannedOutput output = planned(input, recipe(Format::kMlx, "4bit"));
  const auto config = nlohmann::json::parse(output.small_files[0].content);
  EXPECT_EQ(config["quantization"]["model.layers.5.mlp.gate"],
            nlohmann::json({{"group_size", 64}, {"bits", 8}, {"mode", "affine"}}));
  EXPECT_FALSE(config["quantization"].contains("model.layers.5.mlp.switch_mlp.up_proj"));
}

// What is asked, and what rows of 2880 and 288 get: llama.cpp's own substitutes.
TEST(MoePlan, RowsThatFillNoSuperBlockGetLlamaCppsSubstitutes) {
  const PlanInput big = load_plan_input_from_config(kGptOss);
  const PlanInput tiny = load_plan_input(kSource / "models/tiny-gpt-oss", nullptr);
  const std::pair<const char*, const char*> cases[] = {
      {"Q2_K", "Q4_0"}, {"Q3_K_S", "Q4_0"}, {"Q4_K_S", "Q5_0"}, {"Q5_K_S", "Q5_1"},
      {"Q6_K", "Q8_0"}, {"Q4_1", "Q4_1"},   {"Q8_0", "Q8_0"}};
  for (const PlanInput* input : {&big, &tiny}) {
    for (const auto& [method, substitute] : cases) {
      Recipe wanted = recipe(Format::kGguf, method);
      wanted.allow_requantize = true;
      const Plan plan = make_plan(*input, {wanted}, 1);
      EXPECT_EQ(type_of(plan.outputs[0], Role::kTokenEmbedding, -1), substitute) << method;
      EXPECT_EQ(type_of(plan.outputs[0], Role::kExpertGate, 1), substitute) << method;
      EXPECT_EQ(type_of(plan.outputs[0], Role::kOutput, -1), "Q8_0") << method;
      if (std::string_view(method) == "Q4_1" || std::string_view(method) == "Q8_0") {
        EXPECT_FALSE(any_note(plan, "in place of", "Q4_K"));
        continue;
      }
      EXPECT_TRUE(any_note(plan, input == &big ? "rows of 2880" : "rows of 288 ", substitute))
          << method;
      wanted.no_fallback = true;
      expect_error(ErrorCode::kUnsupported, std::string(substitute) + " in place of",
                   [&] { make_plan(*input, {wanted}, 1); });
      expect_error(ErrorCode::kUnsupported, "--no-fallback",
                   [&] { make_plan(*input, {wanted}, 1); });
    }
    Recipe fits = recipe(Format::kGguf, "Q8_0");
    fits.no_fallback = true;
    EXPECT_NO_THROW(make_plan(*input, {fits}, 1));
  }
  // Rows of 4096 fit: the fallback is each tensor's own.
  EXPECT_EQ(type_of(planned(big, recipe(Format::kGguf, "Q4_K_S")), Role::kAttnOutput), "Q4_K");
}

TEST(MoePlan, MlxTakesTheLargestGroupThatDividesTheRow) {
  const PlanInput big = load_plan_input_from_config(kGptOss);
  const PlanInput tiny = load_plan_input(kSource / "models/tiny-gpt-oss", nullptr);
  const auto check = [&](const PlanInput& input, int group, const char* wanted, bool substituted) {
    Recipe recipe_of = recipe(Format::kMlx, "4bit");
    recipe_of.mlx.group_size = group;
    const Plan plan = make_plan(input, {recipe_of}, 1);
    EXPECT_EQ(type_of(plan.outputs[0], Role::kTokenEmbedding, -1), wanted);
    EXPECT_EQ(any_note(plan, "rows of 288", "do not fit groups of"), substituted) << wanted;
    if (substituted) {
      const auto config = nlohmann::json::parse(plan.outputs[0].small_files[0].content);
      EXPECT_EQ(config["quantization"]["model.embed_tokens"]["group_size"],
                std::string_view(wanted) == "4bit-g32" ? 32 : 64);
      recipe_of.no_fallback = true;
      expect_error(ErrorCode::kUnsupported, "the largest that fits",
                   [&] { make_plan(input, {recipe_of}, 1); });
    }
  };
  check(big, 32, "4bit-g32", false);
  check(big, 64, "4bit-g64", false);
  check(big, 128, "4bit-g64", true);
  check(tiny, 32, "4bit-g32", false);
  check(tiny, 64, "4bit-g32", true);
  check(tiny, 128, "4bit-g32", true);
}

}  // namespace
}  // namespace pajamas::quantize
