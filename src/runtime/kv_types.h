// What keys and values can be stored as, whatever runs the model.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string_view>

#include "tensor/dtype.h"

namespace pajamas::runtime {

enum class KvType : std::uint8_t { kF32, kF16, kBF16, kQ8_0, kQ4_0, kQ3_0 };

struct KvTypeInfo {
  KvType id;
  std::string_view name;      // as users write it
  std::size_t block;          // values that are stored together
  std::size_t block_bytes;    //
  bool rotated;               // rows are transformed before they are stored
  std::optional<DType> type;  // the stored format, where files have it too
};

// Widest first, indexed by KvType. Q3_0 is 14 bytes: the scale d; eight bytes of which byte i holds
// the low two bits of codes i, i + 8, i + 16 and i + 24; and four of which byte i holds the high
// bits of codes i, i + 4, ... i + 28. A value is d * (code - 4).
inline constexpr std::array<KvTypeInfo, 6> kKvTypes{{
    {KvType::kF32, "f32", 1, 4, false, DType::kF32},
    {KvType::kF16, "f16", 1, 2, false, DType::kF16},
    {KvType::kBF16, "bf16", 1, 2, false, DType::kBF16},
    {KvType::kQ8_0, "q8_0", 32, 34, false, DType::kQ8_0},
    {KvType::kQ4_0, "q4_0", 32, 18, true, DType::kQ4_0},
    {KvType::kQ3_0, "q3_0", 32, 14, true, std::nullopt},
}};

constexpr const KvTypeInfo& info(KvType type) noexcept {
  return kKvTypes[static_cast<std::size_t>(type)];
}
// What answers are computed with where nobody says: half the memory and the reading of f32, and a
// KL of some 1e-8 to it. Figures of a model take f32.
inline constexpr KvType kUsualKvType = KvType::kF16;

std::optional<KvType> kv_type_by_name(std::string_view name) noexcept;

}  // namespace pajamas::runtime
