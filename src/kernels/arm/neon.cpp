// The codecs compiled for NEON, which every 64-bit ARM processor has.
#if defined(__aarch64__)
#include "codec/isa_includes.h"
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
}  // namespace

const KernelTable kNeonTable = {
    .name = "neon",
    .supported = supported,
    .decode_rows = codec::neon::decode_rows_isa,
    .encode_rows = codec::neon::encode_rows_isa,
    .math = &kNeonMath,
};

}  // namespace pajamas::kernels
#endif
