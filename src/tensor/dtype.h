// What kinds of numbers a file can store: one table of names, ids and sizes.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string_view>

namespace pajamas {

enum class DType : std::uint8_t {
  kF32,
  kF16,
  kBF16,
  kF64,
  kI8,
  kI16,
  kI32,
  kI64,
  kU8,
  kU16,
  kU32,
  kU64,
  kBool,
  kF8E4M3,
  kF8E5M2,
  kF8E8M0,
  kQ4_0,
  kQ4_1,
  kQ5_0,
  kQ5_1,
  kQ8_0,
  kQ2_K,
  kQ3_K,
  kQ4_K,
  kQ5_K,
  kQ6_K,
  kIQ2_XXS,
  kIQ2_XS,
  kIQ3_XXS,
  kIQ1_S,
  kIQ4_NL,
  kIQ3_S,
  kIQ2_S,
  kIQ4_XS,
  kIQ1_M,
  kTQ1_0,
  kTQ2_0,
  kMXFP4,
  kNVFP4,
  kQ1_0,
  kQ2_0,
  kCount,
};

struct DTypeInfo {
  DType id;
  std::string_view name;         // as users write it and reports print it
  std::string_view safetensors;  // its name in a safetensors header; empty where there is none
  int gguf_id;                   // ggml_type; -1 where GGUF has none
  std::uint16_t block_elems;     // consecutive elements of a row that are stored together
  std::uint16_t block_bytes;
};

// gguf ids and block sizes: ggml.h and ggml-common.h (state of 2026-10); safetensors names: its
// README. NVFP4, Q1_0 and Q2_0 are known by size only: nothing here decodes them yet.
inline constexpr std::array<DTypeInfo, static_cast<std::size_t>(DType::kCount)> kDTypes{{
    {DType::kF32, "F32", "F32", 0, 1, 4},
    {DType::kF16, "F16", "F16", 1, 1, 2},
    {DType::kBF16, "BF16", "BF16", 30, 1, 2},
    {DType::kF64, "F64", "F64", 28, 1, 8},
    {DType::kI8, "I8", "I8", 24, 1, 1},
    {DType::kI16, "I16", "I16", 25, 1, 2},
    {DType::kI32, "I32", "I32", 26, 1, 4},
    {DType::kI64, "I64", "I64", 27, 1, 8},
    {DType::kU8, "U8", "U8", -1, 1, 1},
    {DType::kU16, "U16", "U16", -1, 1, 2},
    {DType::kU32, "U32", "U32", -1, 1, 4},
    {DType::kU64, "U64", "U64", -1, 1, 8},
    {DType::kBool, "BOOL", "BOOL", -1, 1, 1},
    {DType::kF8E4M3, "F8_E4M3", "F8_E4M3", -1, 1, 1},
    {DType::kF8E5M2, "F8_E5M2", "F8_E5M2", -1, 1, 1},
    {DType::kF8E8M0, "F8_E8M0", "F8_E8M0", -1, 1, 1},
    {DType::kQ4_0, "Q4_0", "", 2, 32, 18},
    {DType::kQ4_1, "Q4_1", "", 3, 32, 20},
    {DType::kQ5_0, "Q5_0", "", 6, 32, 22},
    {DType::kQ5_1, "Q5_1", "", 7, 32, 24},
    {DType::kQ8_0, "Q8_0", "", 8, 32, 34},
    {DType::kQ2_K, "Q2_K", "", 10, 256, 84},
    {DType::kQ3_K, "Q3_K", "", 11, 256, 110},
    {DType::kQ4_K, "Q4_K", "", 12, 256, 144},
    {DType::kQ5_K, "Q5_K", "", 13, 256, 176},
    {DType::kQ6_K, "Q6_K", "", 14, 256, 210},
    {DType::kIQ2_XXS, "IQ2_XXS", "", 16, 256, 66},
    {DType::kIQ2_XS, "IQ2_XS", "", 17, 256, 74},
    {DType::kIQ3_XXS, "IQ3_XXS", "", 18, 256, 98},
    {DType::kIQ1_S, "IQ1_S", "", 19, 256, 50},
    {DType::kIQ4_NL, "IQ4_NL", "", 20, 32, 18},
    {DType::kIQ3_S, "IQ3_S", "", 21, 256, 110},
    {DType::kIQ2_S, "IQ2_S", "", 22, 256, 82},
    {DType::kIQ4_XS, "IQ4_XS", "", 23, 256, 136},
    {DType::kIQ1_M, "IQ1_M", "", 29, 256, 56},
    {DType::kTQ1_0, "TQ1_0", "", 34, 256, 54},
    {DType::kTQ2_0, "TQ2_0", "", 35, 256, 66},
    {DType::kMXFP4, "MXFP4", "", 39, 32, 17},
    {DType::kNVFP4, "NVFP4", "", 40, 64, 36},
    {DType::kQ1_0, "Q1_0", "", 41, 128, 18},
    {DType::kQ2_0, "Q2_0", "", 42, 64, 18},
}};

namespace internal {
consteval bool dtypes_in_order() {
  for (std::size_t i = 0; i < kDTypes.size(); ++i) {
    if (static_cast<std::size_t>(kDTypes[i].id) != i) return false;
  }
  return true;
}
}  // namespace internal
static_assert(internal::dtypes_in_order(), "kDTypes is indexed by DType");

constexpr const DTypeInfo& info(DType dtype) noexcept {
  return kDTypes[static_cast<std::size_t>(dtype)];
}

constexpr bool is_plain_float(DType dtype) noexcept {
  return dtype == DType::kF32 || dtype == DType::kF16 || dtype == DType::kBF16;
}

// Several elements share a scale.
constexpr bool is_blocked(DType dtype) noexcept { return info(dtype).block_elems > 1; }

// Look-ups by the three kinds of name; nothing where there is no such type.
std::optional<DType> dtype_by_name(std::string_view name) noexcept;  // ignores case
std::optional<DType> dtype_by_gguf_id(std::uint32_t id) noexcept;
std::optional<DType> dtype_by_safetensors_name(std::string_view name) noexcept;

}  // namespace pajamas
