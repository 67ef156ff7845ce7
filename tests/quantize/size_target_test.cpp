#include "quantize/size_target.h"

#include <gtest/gtest.h>

#include <algorithm>

#include "base/error.h"
#include "quantize/execute.h"
#include "quantize/plan_helpers.h"

namespace pajamas::quantize {
namespace {

const fs::path kTinyMoe = kSource / "models/tiny-qwen3-moe";

Recipe target_recipe(Format format) {
  Recipe result = recipe(format, format == Format::kGguf ? "Q4_K_M" : "4bit");
  result.label = "target";
  return result;
}

SizeTarget of_bytes(std::uint64_t bytes) { return {"target", bytes, 0}; }
SizeTarget of_bits(double bits) { return {"target", 0, bits}; }

PlannedOutput meet(const PlanInput& input, const SizeTarget& target, Recipe wanted,
                   LossSource& losses) {
  const TaskPool pool(2);
  (void)meet_target(input, target, losses, pool, wanted);
  return planned(input, wanted);
}

PlannedOutput meet(const PlanInput& input, const SizeTarget& target, Recipe wanted) {
  TypicalLoss losses(input.config, kernels::best_kernels());
  return meet(input, target, std::move(wanted), losses);
}

class SizeTargets : public testing::TestWithParam<Format> {};
INSTANTIATE_TEST_SUITE_P(Formats, SizeTargets, testing::Values(Format::kGguf, Format::kMlx),
                         [](const auto& format) { return std::string(format_name(format.param)); });

// What a plan loses, all tensors together.
double loss_of(const PlannedOutput& output, LossSource& losses) {
  double sum = 0;
  for (const PlannedTensor& tensor : output.tensors) {
    if (tensor.spec.is_matrix) sum += losses.of(tensor.spec, std::array{tensor.encoding})[0];
  }
  return sum;
}

TEST_P(SizeTargets, AreNeverExceededAndALargerOneNeverLosesMore) {
  for (const fs::path& model : {kTiny / "config.json", kTinyMoe / "config.json"}) {
    const PlanInput input = load_plan_input_from_config(model);
    const std::uint64_t full =
        planned(input, recipe(GetParam(), GetParam() == Format::kGguf ? "BF16" : "bf16"))
            .file_bytes;
    TypicalLoss losses(input.config, kernels::best_kernels());
    double before = 1e9;
    std::uint64_t largest = 0;
    for (int percent = 25; percent <= 105; percent += 20) {
      const std::uint64_t limit = full / 100 * static_cast<std::uint64_t>(percent);
      const PlannedOutput output = meet(input, of_bytes(limit), target_recipe(GetParam()));
      EXPECT_LE(output.file_bytes, limit) << percent;
      EXPECT_GT(output.file_bytes, largest) << percent;
      const double loss = loss_of(output, losses);
      EXPECT_LE(loss, before) << percent;
      before = loss;
      largest = output.file_bytes;
    }
  }
}

TEST_P(SizeTargets, AreUsedUpButForOneTensorsStep) {
  const PlanInput input = load_plan_input_from_config(kQwen3);
  const PlannedOutput output = meet(input, of_bits(4.5), target_recipe(GetParam()));
  EXPECT_LE(output.bits_per_weight, 4.5);
  EXPECT_GT(output.bits_per_weight, 4.45);
}

TEST_P(SizeTargets, ExactlyTheSmallestCanBeHadAndNothingBelow) {
  const PlanInput input = load_plan_input_from_config(kTiny / "config.json");
  std::uint64_t least = 0;
  try {
    meet(input, of_bytes(1000), target_recipe(GetParam()));
    FAIL();
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), ErrorCode::kUsage);
    EXPECT_NE(error.place().find("--target-size"), std::string::npos);
    const std::string text = error.problem();
    least = std::stoull(text.substr(text.find('(') + 1));
  }
  EXPECT_EQ(meet(input, of_bytes(least), target_recipe(GetParam())).file_bytes, least);
  EXPECT_THROW(meet(input, of_bytes(least - 1), target_recipe(GetParam())), Error);
  EXPECT_THROW(meet(input, of_bits(0.5), target_recipe(GetParam())), Error);
}

TEST_P(SizeTargets, LeaveWhatHasNoChoiceAndWhatTheUserSaid) {
  const PlanInput input = load_plan_input_from_config(kTinyMoe / "config.json");
  Recipe wanted = target_recipe(GetParam());
  override_type(wanted, GetParam() == Format::kGguf ? "attn_v=Q2_K" : "v_proj=2bit-g128");
  const PlannedOutput output = meet(input, of_bits(5), wanted);
  EXPECT_EQ(type_of(output, Role::kAttnV), GetParam() == Format::kGguf ? "Q2_K" : "2bit-g128");
  EXPECT_TRUE(find(output, Role::kAttnNorm, 0).encoding.is_plain());
  const Encoding& router = find(output, Role::kRouter, 0).encoding;
  EXPECT_TRUE(GetParam() == Format::kGguf ? router.dtype == DType::kF32
                                          : router.is_plain() || router.bits == 8);
}

TEST_P(SizeTargets, KeepExpertsThatAreStoredWithLoss) {
  const PlanInput input = load_plan_input_from_config(kGptOss);
  const PlannedOutput output = meet(input, of_bits(5), target_recipe(GetParam()));
  EXPECT_TRUE(find(output, Role::kExpertGate, 0).encoding.is_mxfp4());
  EXPECT_TRUE(find(output, Role::kExpertGate, 0).repacked);
  EXPECT_LE(output.bits_per_weight, 5);
}

TEST(SizeTarget, DoesNotGoWithFlagsThatChooseTypes) {
  const PlanInput input = load_plan_input_from_config(kTinyMoe / "config.json");
  TypicalLoss losses(input.config, kernels::best_kernels());
  Recipe wanted = target_recipe(Format::kGguf);
  wanted.architecture_aware = true;
  test::expect_error(ErrorCode::kUsage, "--architecture-aware",
                     [&] { meet(input, of_bits(4), wanted, losses); });
}

TEST(PredictedLoss, FallsWithTheBitsAndIsTheErrorOfTheEncoder) {
  std::optional<model::Checkpoint> checkpoint;
  const PlanInput input = load_plan_input(kTiny, &checkpoint);
  TypicalLoss typical(input.config, kernels::best_kernels());
  SampledLoss sampled(*checkpoint, kernels::best_kernels(), nullptr);
  const std::vector<Encoding> rising{{.dtype = DType::kQ2_K}, {.dtype = DType::kQ3_K},
                                     {.dtype = DType::kQ4_K}, {.dtype = DType::kQ5_K},
                                     {.dtype = DType::kQ6_K}, {.dtype = DType::kQ8_0},
                                     {.dtype = DType::kF16},  {.dtype = DType::kF32}};
  for (const model::TensorSpec& tensor : model::tensors_of(input.config)) {
    if (!tensor.is_matrix) continue;
    for (LossSource* losses :
         {static_cast<LossSource*>(&typical), static_cast<LossSource*>(&sampled)}) {
      const std::vector<double> found = losses->of(tensor, rising);
      EXPECT_TRUE(std::ranges::is_sorted(found, std::ranges::greater())) << tensor.hf;
      EXPECT_EQ(found.back(), 0);
      const double weight = influence(tensor, input.config);
      EXPECT_GT(found.front(), 0.01 * weight);
      EXPECT_LT(found.front(), 0.3 * weight);
    }
  }
}

}  // namespace
}  // namespace pajamas::quantize
