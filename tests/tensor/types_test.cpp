#include <gtest/gtest.h>

#include "base/error.h"
#include "tensor/dtype.h"
#include "tensor/encoding.h"
#include "tensor/shape.h"

namespace pajamas {
namespace {

TEST(DType, IsFoundByEachOfItsNames) {
  for (const DTypeInfo& row : kDTypes) {
    EXPECT_EQ(dtype_by_name(row.name), row.id);
    if (row.gguf_id >= 0) {
      EXPECT_EQ(dtype_by_gguf_id(static_cast<std::uint32_t>(row.gguf_id)), row.id);
    }
    if (!row.safetensors.empty()) {
      EXPECT_EQ(dtype_by_safetensors_name(row.safetensors), row.id);
    }
  }
  EXPECT_EQ(dtype_by_name("q4_k"), DType::kQ4_K);
  EXPECT_EQ(dtype_by_name("Q4_K_M"), std::nullopt);
  EXPECT_EQ(dtype_by_safetensors_name("Q4_K"), std::nullopt);
  EXPECT_EQ(dtype_by_safetensors_name(""), std::nullopt);
  EXPECT_EQ(dtype_by_safetensors_name("bf16"), std::nullopt);  // exact there
  for (const std::uint32_t id : {4u, 5u, 31u, 33u, 36u, 38u, 43u, UINT32_MAX}) {
    EXPECT_EQ(dtype_by_gguf_id(id), std::nullopt) << id;
  }
}

// `gguf.GGML_QUANT_SIZES` of gguf 0.19.0: id, block, bytes.
TEST(DType, SizesAreThePeers) {
  constexpr unsigned kPeer[][3] = {
      {0, 1, 4},     {1, 1, 2},      {2, 32, 18},    {3, 32, 20},    {6, 32, 22},    {7, 32, 24},
      {8, 32, 34},   {10, 256, 84},  {11, 256, 110}, {12, 256, 144}, {13, 256, 176}, {14, 256, 210},
      {16, 256, 66}, {17, 256, 74},  {18, 256, 98},  {19, 256, 50},  {20, 32, 18},   {21, 256, 110},
      {22, 256, 82}, {23, 256, 136}, {24, 1, 1},     {25, 1, 2},     {26, 1, 4},     {27, 1, 8},
      {28, 1, 8},    {29, 256, 56},  {30, 1, 2},     {34, 256, 54},  {35, 256, 66},  {39, 32, 17}};
  for (const auto& [id, block, bytes] : kPeer) {
    const auto dtype = dtype_by_gguf_id(id);
    ASSERT_TRUE(dtype) << id;
    EXPECT_EQ(info(*dtype).block_elems, block) << info(*dtype).name;
    EXPECT_EQ(info(*dtype).block_bytes, bytes) << info(*dtype).name;
  }
}

TEST(Shape, CountsRowsAndColumns) {
  const Shape shape{2, 3, 5};
  EXPECT_EQ(shape.cols(), 5u);
  EXPECT_EQ(shape.rows(), 6u);
  EXPECT_EQ(shape.elements(), 30u);
  EXPECT_EQ(shape.to_string(), "[2, 3, 5]");
  EXPECT_EQ(Shape{}.elements(), 1u);
  EXPECT_EQ(Shape{}.to_string(), "[]");
  EXPECT_EQ((Shape{0, 7}).elements(), 0u);
  EXPECT_NE((Shape{1, 5}), (Shape{5}));
  EXPECT_THROW((Shape{1ull << 32, 1ull << 32}), Error);
  EXPECT_THROW((Shape{1, 1, 1, 1, 1}), Error);
}

TEST(Encoding, CountsBytesOfEachPlane) {
  EXPECT_EQ((Encoding{DType::kQ4_K}).row_bytes(512), 288u);
  EXPECT_EQ((Encoding{DType::kBF16}).row_bytes(7), 14u);
  EXPECT_FALSE((Encoding{DType::kQ4_K}).fits(128));
  for (const int bits : {2, 3, 4, 5, 6, 8}) {
    const auto affine = Encoding::affine(bits, 64, DType::kBF16);
    EXPECT_EQ(affine.plane_row_bytes(0, 128), 16u * static_cast<unsigned>(bits));
    EXPECT_EQ(affine.plane_row_bytes(1, 128), 4u);
    EXPECT_EQ(affine.row_bytes(128), 16u * static_cast<unsigned>(bits) + 8);
    EXPECT_FALSE(affine.fits(96));
  }
  EXPECT_EQ(Encoding::affine(4, 128, DType::kF16).name(), "4bit-g128");
  EXPECT_EQ((Encoding{DType::kQ6_K}).name(), "Q6_K");
}

}  // namespace
}  // namespace pajamas
