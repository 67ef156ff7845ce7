// Whole-number products for NEON with the dot product instructions of ARMv8.2.
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

#if defined(__clang__)
#pragma clang attribute push(__attribute__((target("dotprod"))), apply_to = function)
#else
#pragma GCC push_options
#pragma GCC target("arch=armv8.2-a+dotprod")
#endif

namespace pajamas::kernels {
namespace neon_dot {
namespace {

#include "kernels/arm/int8_lanes.inl"

template <bool kWide>
[[gnu::always_inline]] inline Word dot(Word sum, Word codes, const std::int8_t* q) noexcept {
  return vreinterpretq_u32_s32(
      vdotq_s32(vreinterpretq_s32_u32(sum), signed_codes<kWide>(codes), four_at(q)));
}

#include "kernels/int8_round.inl"
// Uses the above.
#include "kernels/int8_formats.inl"
#include "kernels/int8_product.inl"

bool supported(const CpuFeatures& cpu) noexcept { return cpu.neon && cpu.neon_dotprod; }

}  // namespace
}  // namespace neon_dot

const Int8Kernels kNeonDotInt8 = {.name = "neon-dotprod",
                                  .supported = neon_dot::supported,
                                  .form = neon_dot::form_of,
                                  .round = neon_dot::round_activations,
                                  .multiply = neon_dot::multiply_direct,
                                  .panel_rows = neon_dot::kLanes,
                                  .panel_bytes = neon_dot::panel_bytes,
                                  .unpack = neon_dot::unpack_panel,
                                  .multiply_panel = neon_dot::multiply_panel};

}  // namespace pajamas::kernels

#if defined(__clang__)
#pragma clang attribute pop
#else
#pragma GCC pop_options
#endif
#endif
