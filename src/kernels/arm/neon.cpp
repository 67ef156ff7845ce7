// The codecs compiled for NEON, which every 64-bit ARM processor has.
#if defined(__aarch64__)
#include "codec/isa_includes.h"
#include "kernels/int8_tables.h"
#include "kernels/math_tables.h"
#include "kernels/tables.h"

#define PJ_VECTOR_BYTES 16

namespace pajamas::codec::neon {
namespace {
#include "codec/rows.inl"
}  // namespace
}  // namespace pajamas::codec::neon

namespace pajamas::kernels {
namespace {
bool supported(const CpuFeatures& cpu) { return cpu.neon; }
const Int8Kernels& int8(const CpuFeatures& cpu) noexcept {
  return cpu.neon_dotprod ? kNeonDotInt8 : kNeonInt8;
}
}  // namespace

const KernelTable kNeonTable = {
    .name = "neon",
    .supported = supported,
    .decode_rows = codec::neon::decode_rows_isa,
    .encode_rows = codec::neon::encode_rows_isa,
    .fit_rows = codec::neon::fit_rows_isa,
    .round_rows = codec::neon::round_rows_isa,
    .round_feedback = codec::neon::round_feedback_isa,
    .math = &kNeonMath,
    .int8 = int8,
};

}  // namespace pajamas::kernels
#endif
