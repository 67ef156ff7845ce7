// Whole-number products for every 64-bit ARM processor.
#if defined(__aarch64__)
#include <arm_neon.h>

#include <array>
#include <cstddef>
#include <cstdint>
#include <type_traits>

#include "codec/formats.h"
#include "kernels/int8_tables.h"
#include "tensor/affine.h"
#include "tensor/convert.h"

namespace pajamas::kernels {
namespace neon {
namespace {

#include "kernels/arm/int8_lanes.inl"

template <bool kWide>
[[gnu::always_inline]] inline Word dot(Word sum, Word codes, const std::int8_t* q) noexcept {
  const int8x16_t w = signed_codes<kWide>(codes), x = four_at(q);
  // Products of two bytes fit 16 bits; neighbours are added twice.
  const int32x4_t low = vpaddlq_s16(vmull_s8(vget_low_s8(w), vget_low_s8(x)));
  const int32x4_t high = vpaddlq_s16(vmull_high_s8(w, x));
  return vaddq_u32(sum, vreinterpretq_u32_s32(vpaddq_s32(low, high)));
}

#include "kernels/int8_round.inl"
// Uses the above.
#include "kernels/int8_formats.inl"
#include "kernels/int8_product.inl"

bool supported(const CpuFeatures& cpu) noexcept { return cpu.neon; }

}  // namespace
}  // namespace neon

const Int8Kernels kNeonInt8 = {.name = "neon",
                               .supported = neon::supported,
                               .form = neon::form_of,
                               .round = neon::round_activations,
                               .multiply = neon::multiply_direct,
                               .panel_rows = neon::kLanes,
                               .panel_bytes = neon::panel_bytes,
                               .unpack = neon::unpack_panel,
                               .multiply_panel = neon::multiply_panel};

}  // namespace pajamas::kernels
#endif
