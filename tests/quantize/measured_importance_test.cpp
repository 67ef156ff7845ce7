#include "quantize/measured_importance.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <numeric>
#include <random>

#include "codec/codec.h"
#include "quantize/gguf_metadata.h"
#include "quantize/plan_helpers.h"

namespace pajamas::quantize {
namespace {

using test::expect_error;

model::ModelConfig moe() {
  return load_plan_input(kSource / "models/tiny-qwen3-moe", nullptr).config;
}

// Squares of `seed + column`, times the rows.
io::ImatrixEntry entry(std::string name, std::uint64_t columns, std::vector<float> rows,
                       double scale = 1) {
  io::ImatrixEntry result{std::move(name), columns, std::move(rows), {}};
  for (std::size_t m = 0; m < result.counts.size(); ++m) {
    for (std::uint64_t j = 0; j < columns; ++j) {
      const auto mean = scale * static_cast<double>(1 + (j + 7 * m) % 13);
      result.sums.push_back(static_cast<double>(result.counts[m]) * mean);
    }
  }
  return result;
}

double mean(std::span<const float> values) {
  return std::accumulate(values.begin(), values.end(), 0.0) / static_cast<double>(values.size());
}

TEST(MeasuredImportance, IsTheMeanSquareOverTheMeanOfAllColumns) {
  io::Imatrix matrix;
  matrix.entries = {entry("blk.1.attn_q.weight", 256, {1000}, 1e-3)};
  const MeasuredImportance importance(matrix, moe());
  const auto columns = importance.of({Role::kAttnQ, 1});
  ASSERT_EQ(columns.size(), 256u);
  EXPECT_NEAR(mean(columns), 1, 1e-6);
  EXPECT_NEAR(columns[12] / columns[0], 13, 1e-4);
  EXPECT_TRUE(importance.of({Role::kAttnQ, 0}).empty());
  EXPECT_TRUE(importance.of({Role::kTokenEmbedding}).empty());
  // Whoever has no data is named, but for the router, the embedding and the output matrix.
  EXPECT_EQ(importance.without().size(), 3u * 7 - 1);
  EXPECT_TRUE(importance.unmatched().empty());
}

TEST(MeasuredImportance, AColumnThatWasAlwaysZeroKeepsALittle) {
  io::Imatrix matrix;
  matrix.entries = {entry("blk.0.attn_k.weight", 256, {10})};
  matrix.entries[0].sums[3] = 0;
  const MeasuredImportance importance(matrix, moe());
  const float least = importance.of({Role::kAttnK, 0})[3];
  EXPECT_GT(least, 0);
  EXPECT_LT(least, 1e-5);
}

TEST(MeasuredImportance, ExpertsLeanOnTheirLayerByWhatTheyHaveSeen) {
  io::Imatrix matrix;
  const std::vector<float> rows{100000, 50000, 0, 3, 90000, 90000, 255, 256};
  matrix.entries = {entry("blk.2.ffn_gate_exps.weight", 256, rows),
                    entry("blk.2.ffn_up_exps.weight", 256, rows)};
  const MeasuredImportance importance(matrix, moe());
  // What the layer's mean is.
  std::vector<double> layer(256);
  for (std::size_t e = 0; e < 8; ++e) {
    for (std::size_t j = 0; j < 256; ++j) layer[j] += matrix.entries[0].sums[e * 256 + j];
  }
  const double size = std::accumulate(layer.begin(), layer.end(), 0.0) / 256;
  // How far an expert lies between its own figures (0) and its layer's (1).
  const auto leaning = [&](int e) {
    const auto columns = importance.of({Role::kExpertGate, 2, e});
    const auto own = entry("", 256, std::vector<float>(8, 1));
    const auto from = std::span(own.sums).subspan(static_cast<std::size_t>(e) * 256, 256);
    const double own_size = std::accumulate(from.begin(), from.end(), 0.0) / 256;
    double with = 0, all = 0;
    for (std::size_t j = 0; j < 256; ++j) {
      const double own_part = from[j] / own_size, layer_part = layer[j] / size;
      with += (columns[j] - own_part) * (layer_part - own_part);
      all += (layer_part - own_part) * (layer_part - own_part);
    }
    return with / all;
  };
  EXPECT_LT(leaning(0), 0.001);
  EXPECT_NEAR(leaning(2), 1, 1e-4);
  EXPECT_GT(leaning(3), 0.8);
  EXPECT_LT(leaning(6), 0.2);
  EXPECT_GT(leaning(6), 0.05);
  ASSERT_EQ(importance.leaning().size(), 1u);  // gate and up are told once
  EXPECT_EQ(importance.leaning()[0].layer, 2);
  EXPECT_EQ(importance.leaning()[0].experts,
            (std::vector<std::pair<std::uint32_t, std::uint64_t>>{{2, 0}, {3, 3}, {6, 255}}));
  EXPECT_TRUE(importance.of({Role::kExpertDown, 2, 0}).empty());
}

// An expert whose inputs are small all over is not drowned by the others.
TEST(MeasuredImportance, TheMeanOfALayerIsTakenAtTheScaleOfTheExpert) {
  io::Imatrix matrix;
  matrix.entries = {entry("blk.0.ffn_down_exps.weight", 256, std::vector<float>(8, 5000))};
  for (std::size_t j = 0; j < 256; ++j) matrix.entries[0].sums[j] *= 1e-6;
  const MeasuredImportance importance(matrix, moe());
  EXPECT_NEAR(
      importance.of({Role::kExpertDown, 0, 0})[12] / importance.of({Role::kExpertDown, 0, 0})[0],
      13, 1);
}

TEST(MeasuredImportance, OfTheOldForm) {
  io::Imatrix matrix;
  matrix.counts_rows = false;
  io::ImatrixEntry stack = entry("blk.0.ffn_up_exps.weight", 256, std::vector<float>(8, 4));
  for (std::size_t j = 0; j < 256; ++j) stack.sums[5 * 256 + j] = 4;  // ones times chunks: unseen
  stack.columns = 8 * 256;
  stack.counts = {4};
  matrix.entries = {stack};
  const MeasuredImportance importance(matrix, moe());
  ASSERT_EQ(importance.leaning().size(), 1u);
  EXPECT_EQ(importance.leaning()[0].experts,
            (std::vector<std::pair<std::uint32_t, std::uint64_t>>{{5, 0}}));
  const auto seen = importance.of({Role::kExpertUp, 0, 0});
  EXPECT_NEAR(seen[12] / seen[0], 13, 1e-3);
  const auto unseen = importance.of({Role::kExpertUp, 0, 5});
  EXPECT_NE(unseen[0], unseen[1]);
}

TEST(MeasuredImportance, WhatIsOfAnotherModelIsRefused) {
  io::Imatrix matrix;
  matrix.entries = {entry("blk.0.attn_q.weight", 512, {9})};
  expect_error(ErrorCode::kUsage, "has 512 columns, this model's 256",
               [&] { MeasuredImportance(matrix, moe()); });
  matrix.entries = {entry("blk.0.ffn_up_exps.weight", 256, {9, 9, 9})};
  expect_error(ErrorCode::kUsage, "blk.0.ffn_up_exps.weight",
               [&] { MeasuredImportance(matrix, moe()); });
  matrix.entries = {entry("blk.7.attn_q.weight", 256, {9})};
  expect_error(ErrorCode::kUsage, "no entry", [&] { MeasuredImportance(matrix, moe()); });
  matrix.entries.push_back(entry("blk.0.attn_q.weight", 256, {0}));  // without data
  const MeasuredImportance importance(matrix, moe());
  EXPECT_EQ(importance.unmatched(), std::vector<std::string>{"blk.7.attn_q.weight"});
  EXPECT_EQ(importance.without().front(), "blk.0.attn_q.weight");
  EXPECT_EQ(importance.notes().size(), 2u);
}

// Weighted by the columns that were measured, the error is smaller than without.
TEST(MeasuredEncoders, WeighTheColumnsOfEachExpert) {
  const model::Checkpoint checkpoint = model::Checkpoint::open(kSource / "models/tiny-qwen3-moe");
  io::Imatrix matrix;
  io::ImatrixEntry stack = entry("blk.0.ffn_down_exps.weight", 256, std::vector<float>(8, 5000));
  for (std::size_t j = 0; j < 256; ++j) stack.sums[3 * 256 + j] *= j < 16 ? 1e4 : 1;
  matrix.entries = {stack};
  const MeasuredImportance importance(matrix, checkpoint.config());
  const kernels::KernelTable& kernels = kernels::best_kernels();
  MeasuredEncoders encoders(importance, checkpoint, kernels);
  NormGainEncoders usual(checkpoint, kernels);
  PlannedTensor tensor;
  for (const model::TensorSpec& spec : model::tensors_of(checkpoint.config())) {
    if (spec.key == model::TensorKey{Role::kExpertDown, 0}) tensor.spec = spec;
  }
  tensor.encoding = {.dtype = DType::kQ4_K};
  const auto measured = encoders.encoder(tensor, 3);
  ASSERT_EQ(measured->importance().size(), 256u);
  EXPECT_GT(measured->importance()[0], 100 * measured->importance()[100]);
  EXPECT_LT(encoders.encoder(tensor, 2)->importance()[0], 20);
  // Nothing was measured of these: as without a matrix.
  for (const model::TensorSpec& spec : model::tensors_of(checkpoint.config())) {
    if (spec.key != model::TensorKey{Role::kAttnQ, 0}) continue;
    PlannedTensor other;
    other.spec = spec;
    other.encoding = {.dtype = DType::kQ4_K};
    const auto a = encoders.encoder(other, -1), b = usual.encoder(other, -1);
    EXPECT_TRUE(std::ranges::equal(a->importance(), b->importance()));
    EXPECT_FALSE(b->importance().empty());
  }
}

constexpr std::size_t kRows = 64, kCols = 256;

std::vector<float> normal_weights() {
  std::mt19937 random(7);
  std::normal_distribution<float> normal(0, 0.02f);
  std::vector<float> weights(kRows * kCols);
  for (float& w : weights) w = normal(random);
  return weights;
}

// What is read again of weights that were stored under a matrix in which all columns are alike.
std::vector<float> stored_with_matrix(DType dtype, std::span<const float> weights) {
  const model::Checkpoint checkpoint = model::Checkpoint::open(kSource / "models/tiny-qwen3-moe");
  io::Imatrix matrix;
  matrix.entries = {{"blk.0.attn_q.weight", kCols, {1000}, std::vector<double>(kCols, 5)}};
  const MeasuredImportance importance(matrix, checkpoint.config());
  MeasuredEncoders encoders(importance, checkpoint, kernels::best_kernels());
  PlannedTensor tensor;
  tensor.spec.key = {Role::kAttnQ, 0};
  tensor.encoding = {.dtype = dtype};
  std::vector<std::byte> bytes(kRows * tensor.encoding.row_bytes(kCols));
  Planes planes;
  planes.plane[0] = bytes;
  encoders.encoder(tensor, -1)->encode(0, weights, planes);
  ConstPlanes stored;
  stored.plane[0] = bytes;
  std::vector<float> out(weights.size());
  codec::decode_rows(tensor.encoding, stored, kCols, out);
  return out;
}

std::vector<float> stored_by_least_squares(DType dtype, std::span<const float> weights) {
  const Encoding encoding{.dtype = dtype};
  std::vector<std::byte> bytes(kRows * encoding.row_bytes(kCols));
  Planes planes;
  planes.plane[0] = bytes;
  codec::encode_rows(encoding, weights, {}, kCols, planes);
  ConstPlanes stored;
  stored.plane[0] = bytes;
  std::vector<float> out(weights.size());
  codec::decode_rows(encoding, stored, kCols, out);
  return out;
}

TEST(MeasuredEncoders, LargeWeightsLoseLess) {
  const std::vector<float> weights = normal_weights();
  for (const DType dtype : {DType::kQ3_K, DType::kQ4_K, DType::kQ6_K, DType::kIQ4_XS}) {
    const auto ours = stored_with_matrix(dtype, weights);
    const auto plain = stored_by_least_squares(dtype, weights);
    double large[2] = {}, all[2] = {};
    for (std::size_t i = 0; i < weights.size(); ++i) {
      const double errors[2] = {ours[i] - weights[i], plain[i] - weights[i]};
      for (int k = 0; k < 2; ++k) {
        if (std::abs(weights[i]) > 0.04f) large[k] += errors[k] * errors[k];
        all[k] += errors[k] * errors[k];
      }
    }
    EXPECT_LT(large[0], 0.97 * large[1]) << info(dtype).name;
    EXPECT_GT(all[0], all[1]) << info(dtype).name;
  }
}

// 1 for a product with the weights themselves; least squares gives 1 - D.
double slope(std::span<const float> weights, std::span<const float> stored) {
  double with_stored = 0, own = 0;
  for (std::size_t i = 0; i < weights.size(); ++i) {
    with_stored += double{weights[i]} * stored[i];
    own += double{weights[i]} * weights[i];
  }
  return with_stored / own;
}

TEST(MeasuredEncoders, ProductsOfCoarseTypesAreNotShrunk) {
  const std::vector<float> weights = normal_weights();
  // D, of normally distributed weights.
  for (const auto& [dtype, lost] : std::vector<std::pair<DType, double>>{{DType::kQ3_K, 0.020},
                                                                         {DType::kQ2_K, 0.065},
                                                                         {DType::kIQ3_XXS, 0.031},
                                                                         {DType::kIQ2_XXS, 0.106},
                                                                         {DType::kIQ1_M, 0.166},
                                                                         {DType::kIQ1_S, 0.193}}) {
    EXPECT_NEAR(slope(weights, stored_by_least_squares(dtype, weights)), 1 - lost, 0.1 * lost)
        << info(dtype).name;
    // A quarter of what was lost stays so.
    EXPECT_NEAR(slope(weights, stored_with_matrix(dtype, weights)), 1 - lost / 4, 0.2 * lost)
        << info(dtype).name;
  }
  EXPECT_NEAR(slope(weights, stored_with_matrix(DType::kQ4_K, weights)), 1, 0.01);
}

// Of a model that was trained to three values nothing is lost, and nothing is made up for.
TEST(MeasuredEncoders, WhatIsExactStaysSo) {
  std::vector<float> weights = normal_weights();
  for (std::size_t i = 0; i < weights.size(); ++i) {
    const float d = 0.0078125f * static_cast<float>(1 + i / kCols);
    weights[i] = weights[i] > 0.01f ? d : weights[i] < -0.01f ? -d : 0;
  }
  for (const DType dtype : {DType::kTQ1_0, DType::kTQ2_0}) {
    EXPECT_EQ(stored_with_matrix(dtype, weights), weights) << info(dtype).name;
  }
  const std::vector<float> nothing(kRows * kCols);
  EXPECT_EQ(stored_with_matrix(DType::kQ2_K, nothing), nothing);
}

// llama-quantize's rules with a matrix, on the published shape: 48 layers, eighths of six.
TEST(ImportanceTypes, FiveMixesChange) {
  const PlanInput input = load_plan_input_from_config(kQwen3);
  struct Case {
    const char* method;
    const char* without;
    const char* with;
    const char* later;
  };
  for (const Case& c :
       {Case{"IQ4_NL", "Q5_K", "IQ4_NL", "IQ4_NL"}, Case{"Q4_0", "Q4_0", "Q4_1", "Q4_0"},
        Case{"Q5_0", "Q5_0", "Q5_1", "Q5_0"}, Case{"IQ4_XS", "Q5_K", "IQ4_XS", "IQ4_XS"},
        Case{"IQ3_XXS", "Q4_K", "IQ3_XXS", "IQ3_XXS"}}) {
    Recipe wanted = recipe(Format::kGguf, c.method);
    EXPECT_EQ(type_of(planned(input, wanted), Role::kExpertDown, 5), c.without) << c.method;
    wanted.importance = ImportanceOrigin{"m.gguf", "text", 1, 1};
    const PlannedOutput output = planned(input, wanted);
    EXPECT_EQ(type_of(output, Role::kExpertDown, 5), c.with) << c.method;
    EXPECT_EQ(type_of(output, Role::kExpertDown, 6), c.later) << c.method;
  }
  for (const char* method : {"Q4_K_M", "Q3_K_M", "Q2_K", "Q4_K_S", "Q8_0", "IQ3_M", "IQ2_XS"}) {
    Recipe wanted = recipe(Format::kGguf, method);
    const Types without = types(planned(input, wanted));
    wanted.importance = ImportanceOrigin{"m.gguf", "text", 1, 1};
    EXPECT_EQ(types(planned(input, wanted)), without) << method;
  }
}

TEST(ImportanceKeys, AreThoseOfLlamaQuantize) {
  const PlanInput input = load_plan_input_from_config(kQwen3);
  const ImportanceOrigin origin{"m.gguf", "a.txt", 144, 20};
  const io::GgufMetadata metadata =
      make_gguf_metadata(input.config, 15, {"x", nullptr, nullptr, nullptr, &origin});
  EXPECT_EQ(*metadata.find_string("quantize.imatrix.file"), "m.gguf");
  EXPECT_EQ(*metadata.find_string("quantize.imatrix.dataset"), "a.txt");
  EXPECT_EQ(metadata.find_unsigned("quantize.imatrix.entries_count"), 144u);
  EXPECT_EQ(metadata.find_unsigned("quantize.imatrix.chunks_count"), 20u);
  // Over those of a file that had been made with another one.
  const ImportanceOrigin other{"n.gguf", "", 3, 0};
  const io::GgufMetadata again =
      make_gguf_metadata(input.config, 15, {"x", &metadata, nullptr, nullptr, &other});
  EXPECT_EQ(*again.find_string("quantize.imatrix.file"), "n.gguf");
  EXPECT_EQ(again.find("quantize.imatrix.dataset"), nullptr);
  EXPECT_EQ(again.find("quantize.imatrix.chunks_count"), nullptr);
}

}  // namespace
}  // namespace pajamas::quantize
