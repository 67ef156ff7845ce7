#include "quantize/preset.h"

#include <fmt/format.h>
#include <gtest/gtest.h>

#include <map>

#include "base/error.h"
#include "model/architecture.h"
#include "quantize/plan_helpers.h"

namespace pajamas::quantize {
namespace {

PlanInput published(std::string_view name) {
  return load_plan_input_from_config(kSource / fmt::format("models/configs/{}.json", name));
}

// The output of this format that the preset gives the model.
PlannedOutput preset_output(const PlanInput& input, std::string_view name, Format format) {
  const Preset& preset = preset_for(input, name);
  for (const PresetOutput& output : preset.outputs) {
    if (output.format != format) continue;
    Recipe recipe;
    apply_preset(preset, output, input, recipe);
    recipe.output = "out";
    return planned(input, recipe);
  }
  throw Error(ErrorCode::kUsage, "no such format");
}

using Counts = std::map<std::string, int>;

// The types that tensors of a role have, by their names, with how many tensors have each.
Counts types_of(const PlannedOutput& output, Role role) {
  Counts types;
  for (const PlannedTensor& tensor : output.tensors) {
    if (tensor.spec.key.role == role) ++types[tensor.encoding.name()];
  }
  return types;
}

TEST(Presets, NineAndEachForOneKindOfModel) {
  EXPECT_EQ(presets().size(), 9u);
  std::map<std::pair<ModelKind, std::string_view>, int> seen;
  for (const Preset& preset : presets()) {
    const PlanInput input = published(preset.published);
    EXPECT_EQ(kind_of(input), preset.kind) << preset.published;
    EXPECT_EQ(&preset_for(input, preset.name), &preset);
    EXPECT_EQ(++(seen[{preset.kind, preset.name}]), 1);
    EXPECT_FALSE(preset.outputs.empty());
  }
}

TEST(Presets, OfADenseModelAreMethods) {
  const PlanInput input = published("Qwen2.5-7B-Instruct");
  const std::pair<const char*, const char*> methods[] = {
      {"ultra", "Q3_K_M"}, {"balanced", "Q4_K_M"}, {"hq", "Q6_K"}};
  for (const auto& [name, method] : methods) {
    EXPECT_EQ(types(preset_output(input, name, Format::kGguf)),
              types(planned(input, recipe(Format::kGguf, method))))
        << name;
  }
  const PlannedOutput ultra = preset_output(input, "ultra", Format::kMlx);
  EXPECT_EQ(types_of(ultra, Role::kOutput),
            (Counts{{Encoding::affine(4, 64, DType::kBF16).name(), 1}}));
  const PlannedOutput balanced = preset_output(input, "balanced", Format::kMlx);
  const std::string six = Encoding::affine(6, 64, DType::kBF16).name();
  EXPECT_EQ(types_of(balanced, Role::kTokenEmbedding), (Counts{{six, 1}}));
  EXPECT_EQ(types_of(balanced, Role::kOutput), (Counts{{six, 1}}));
  EXPECT_EQ(types_of(balanced, Role::kFfnDown),
            (Counts{{Encoding::affine(4, 64, DType::kBF16).name(), 28}}));
  EXPECT_EQ(types_of(preset_output(input, "hq", Format::kMlx), Role::kFfnUp),
            (Counts{{Encoding::affine(8, 128, DType::kBF16).name(), 28}}));
}

TEST(Presets, OfAMixtureKeepTheRouterAndFavourAttention) {
  const PlanInput input = published("Qwen3-30B-A3B");
  const PlannedOutput ultra = preset_output(input, "ultra", Format::kGguf);
  const PlannedOutput balanced = preset_output(input, "balanced", Format::kGguf);
  for (const Role role : {Role::kExpertGate, Role::kExpertUp}) {
    EXPECT_EQ(types_of(ultra, role), (Counts{{"Q3_K", 48}}));
    EXPECT_EQ(types_of(balanced, role), (Counts{{"Q4_K", 48}}));
  }
  EXPECT_EQ(types_of(ultra, Role::kExpertDown), (Counts{{"Q3_K", 48}}));
  EXPECT_EQ(types_of(balanced, Role::kExpertDown), (Counts{{"Q5_K", 48}}));
  for (const Role role : {Role::kAttnQ, Role::kAttnK, Role::kAttnV, Role::kAttnOutput}) {
    EXPECT_EQ(types_of(ultra, role), (Counts{{"Q4_K", 48}}));
    EXPECT_EQ(types_of(balanced, role), (Counts{{"Q8_0", 48}}));
  }
  EXPECT_EQ(types_of(balanced, Role::kOutput), (Counts{{"Q6_K", 1}}));
  for (const PlannedOutput* output : {&ultra, &balanced}) {
    EXPECT_EQ(types_of(*output, Role::kRouter), (Counts{{"F32", 48}}));
  }
  const PlannedOutput mlx = preset_output(input, "ultra", Format::kMlx);
  EXPECT_EQ(types_of(mlx, Role::kRouter),
            (Counts{{Encoding::affine(8, 64, DType::kBF16).name(), 48}}));
  EXPECT_EQ(types_of(mlx, Role::kTokenEmbedding),
            (Counts{{Encoding::affine(6, 64, DType::kBF16).name(), 1}}));
  EXPECT_EQ(types_of(mlx, Role::kExpertDown),
            (Counts{{Encoding::affine(4, 64, DType::kBF16).name(), 48}}));
  const PlannedOutput mixed = preset_output(input, "balanced", Format::kMlx);
  EXPECT_EQ(types_of(mixed, Role::kExpertDown).size(), 2u);  // of 4 and 6 bits
  EXPECT_EQ(types_of(mixed, Role::kRouter),
            (Counts{{Encoding::affine(8, 64, DType::kBF16).name(), 48}}));
}

double bits(const PlannedTensor& tensor) {
  return 8. * static_cast<double>(tensor.bytes) / static_cast<double>(tensor.spec.shape.elements());
}

TEST(Presets, OfMxfp4KeepTheExpertsAndPutFullAttentionAStepAbove) {
  const PlanInput input = published("gpt-oss-20b");
  for (const char* name : {"ultra", "balanced", "native"}) {
    for (const Format format : {Format::kGguf, Format::kMlx}) {
      const PlannedOutput output = preset_output(input, name, format);
      for (const Role role : {Role::kExpertGate, Role::kExpertUp, Role::kExpertDown}) {
        for (const PlannedTensor& tensor : output.tensors) {
          if (tensor.spec.key.role != role) continue;
          EXPECT_TRUE(tensor.encoding.is_mxfp4()) << tensor.name;
          EXPECT_TRUE(tensor.repacked) << tensor.name;
        }
      }
      double sliding = 0, full = 0;
      for (const PlannedTensor& tensor : output.tensors) {
        if (tensor.spec.key.role != Role::kAttnQ) continue;
        (input.config.window(static_cast<std::uint64_t>(tensor.spec.key.layer)) > 0 ? sliding
                                                                                    : full) =
            bits(tensor);
      }
      if (std::string_view(name) == "native") {
        EXPECT_EQ(sliding, 16);
        EXPECT_EQ(full, 16);
      } else {
        EXPECT_GE(full, sliding + 1) << name;
        EXPECT_LE(full, sliding + 2.5) << name;
      }
    }
  }
}

// Nothing but what is stored as MXFP4 has fewer bits than in the checkpoint.
TEST(Presets, NativeLosesNothing) {
  const PlanInput input = published("gpt-oss-20b");
  for (const Format format : {Format::kGguf, Format::kMlx}) {
    for (const PlannedTensor& tensor : preset_output(input, "native", format).tensors) {
      EXPECT_TRUE(tensor.encoding.is_mxfp4() || tensor.encoding.is_plain()) << tensor.name;
    }
  }
}

TEST(Presets, AUsersOwnTypesWin) {
  const PlanInput input = published("Qwen3-30B-A3B");
  const Preset& preset = preset_for(input, "balanced");
  Recipe recipe;
  override_type(recipe, "attn_k=F16");
  apply_preset(preset, preset.outputs.front(), input, recipe);
  recipe.output = "out";
  const PlannedOutput output = planned(input, recipe);
  EXPECT_EQ(types_of(output, Role::kAttnK), (Counts{{"F16", 48}}));
  EXPECT_EQ(types_of(output, Role::kAttnQ), (Counts{{"Q8_0", 48}}));
}

// A matrix that is embedding and output has the type of the output.
TEST(Presets, ATiedEmbeddingIsTheOutput) {
  PlanInput input = published("Qwen3-30B-A3B");
  input.config.tied_output = true;
  const Preset& preset = preset_for(input, "balanced");
  Recipe recipe;
  apply_preset(preset, preset.outputs.front(), input, recipe);
  for (const auto& [key, encoding] : recipe.types) {
    if (key.role == Role::kTokenEmbedding) {
      EXPECT_EQ(encoding.name(), "Q6_K");
    }
  }
  const PlanInput oss = published("gpt-oss-20b");
  Recipe ultra;
  apply_preset(preset_for(oss, "ultra"), preset_for(oss, "ultra").outputs.front(), oss, ultra);
  EXPECT_EQ(ultra.types.at({.role = Role::kTokenEmbedding}).name(), "IQ4_NL");
}

void expect_usage(const auto& call, std::string_view hint) {
  try {
    call();
    ADD_FAILURE() << "no error";
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), ErrorCode::kUsage);
    EXPECT_EQ(error.place(), "--preset");
    EXPECT_NE(error.hint().find(hint), std::string::npos) << error.hint();
  }
}

TEST(Presets, WhatIsNoneIsToldWithThoseThereAre) {
  expect_usage([] { check_preset_name("ulta"); }, "did you mean ultra");
  const PlanInput moe = published("Qwen3-30B-A3B"), dense = published("Qwen2.5-7B-Instruct");
  expect_usage([&] { preset_for(moe, "hq"); }, "ultra, balanced, native");
  expect_usage([&] { preset_for(dense, "native"); }, "ultra, balanced, hq");
  EXPECT_EQ(preset_for(dense, "HQ").name, "hq");
}

TEST(Presets, TheKvCacheTravelsInTheFile) {
  const PlanInput input = load_plan_input(kSource / "models/tiny-qwen2", nullptr);
  for (const Format format : {Format::kGguf, Format::kMlx}) {
    const PlannedOutput output = preset_output(input, "ultra", format);
    std::string text = format == Format::kGguf ? output.files.front().header : std::string();
    for (const SmallFile& file : output.small_files) {
      if (file.name == "config.json") text = file.content;
    }
    EXPECT_NE(text.find("kv_cache_type"), std::string::npos);
    EXPECT_NE(text.find("q4_0"), std::string::npos);
  }
}

}  // namespace
}  // namespace pajamas::quantize
