// What a cache stores keys and values as.
//
// A row is one head's key or value of one position. Narrow rows are cut into blocks of 32 values
// with a float16 scale each, the last one filled up with zeros. The two narrowest types store the
// row's Hadamard transform: it spreads what lies in a few large channels over all of them, so that
// one scale fits a block. Products of two transformed rows are those of the rows themselves.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string_view>

#include "kernels/table.h"
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
std::optional<KvType> kv_type_by_name(std::string_view name) noexcept;

// How one row is stored.
struct KvRow {
  KvRow(KvType kv_type, std::size_t head_dim) noexcept
      : type(kv_type),
        dim(head_dim),
        stored((head_dim + info(type).block - 1) / info(type).block * info(type).block),
        bytes(stored / info(type).block * info(type).block_bytes) {}

  KvType type;
  std::size_t dim;     // of a head
  std::size_t stored;  // values with the filling; the distance of decoded rows
  std::size_t bytes;
};

// Stores [count][row.dim] floats. A row that is not finite comes back as NaNs, or, as a plain
// float, as it is. out.size() is count * row.bytes. Throws Error{kUnsupported} for a finite value
// that the type has no room for (F16, and so its blocks' scales, ends at 65504).
void encode_kv(const kernels::KernelTable& kernels, const KvRow& row, std::span<const float> values,
               std::span<std::byte> out);
// out is [count][row.stored]; `rows` holds count * row.bytes.
void decode_kv(const KvRow& row, std::span<const std::byte> rows, std::span<float> out) noexcept;

}  // namespace pajamas::runtime
