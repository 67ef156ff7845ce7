#include "codec/codec.h"

#include "codec/isa_includes.h"

namespace pajamas::codec {
namespace {
#include "codec/rows.inl"
}  // namespace

namespace {

constexpr bool affine_is_known(const Encoding& e) noexcept {
  const bool bits = (e.bits >= 2 && e.bits <= 6) || e.bits == 8;
  const bool group = e.group_size == 32 || e.group_size == 64 || e.group_size == 128;
  return bits && group && is_plain_float(e.dtype);
}

}  // namespace

bool can_decode(const Encoding& encoding) noexcept {
  if (encoding.is_affine()) return affine_is_known(encoding);
  return converts_to_float(encoding.dtype) || encoding.dtype == DType::kMXFP4 ||
         can_encode(encoding);
}

bool can_encode(const Encoding& encoding) noexcept {
  if (encoding.is_affine()) return affine_is_known(encoding);
  return is_plain_float(encoding.dtype) ||
         (encoding.dtype >= DType::kQ4_0 && encoding.dtype <= DType::kQ6_K);
}

Grid grid_of(const Encoding& encoding) noexcept {
  if (encoding.is_affine()) {
    return {encoding.group_size, encoding.group_size, 0, (1 << encoding.bits) - 1, 1, 1, 1,
            encoding.dtype};
  }
  switch (encoding.dtype) {
    case DType::kQ4_0:
      return {.block = 32, .group = 32, .min_code = -8, .max_code = 7};
    case DType::kQ4_1:
      return {.block = 32, .group = 32, .max_code = 15, .max_min = 1};
    case DType::kQ5_0:
      return {.block = 32, .group = 32, .min_code = -16, .max_code = 15};
    case DType::kQ5_1:
      return {.block = 32, .group = 32, .max_code = 31, .max_min = 1};
    // -128 can be stored, but kernels that multiply absolute values may not expect it.
    case DType::kQ8_0:
      return {.block = 32, .group = 32, .min_code = -127, .max_code = 127};
    case DType::kMXFP4:
      return {.block = 32, .group = 32, .min_code = -12, .max_code = 12};
    case DType::kQ2_K:
      return {
          .block = 256, .group = 16, .max_code = 3, .min_scale = 0, .max_scale = 15, .max_min = 15};
    case DType::kQ3_K:
      return {.block = 256,
              .group = 16,
              .min_code = -4,
              .max_code = 3,
              .min_scale = -32,
              .max_scale = 31};
    case DType::kQ4_K:
      return {.block = 256,
              .group = 32,
              .max_code = 15,
              .min_scale = 0,
              .max_scale = 63,
              .max_min = 63};
    case DType::kQ5_K:
      return {.block = 256,
              .group = 32,
              .max_code = 31,
              .min_scale = 0,
              .max_scale = 63,
              .max_min = 63};
    case DType::kQ6_K:
      return {.block = 256,
              .group = 16,
              .min_code = -32,
              .max_code = 31,
              .min_scale = -128,
              .max_scale = 127};
    default:
      return {.block = 1, .group = 1};
  }
}

void decode_rows(const Encoding& encoding, const ConstPlanes& planes, std::uint64_t cols,
                 std::span<float> out) {
  decode_rows_isa(encoding, planes, cols, out);
}

void unpack(const Encoding& encoding, const ConstPlanes& planes,
            std::span<FittedBlock> blocks) noexcept {
  with_codec(encoding, UnpackBlocks{planes, blocks.data(), blocks.size()});
}

void encode_rows(const Encoding& encoding, std::span<const float> weights,
                 std::span<const float> importance, std::uint64_t cols, const Planes& planes) {
  encode_rows_isa(encoding, weights, importance, cols, planes);
}

}  // namespace pajamas::codec
