// The codecs compiled for AVX2. Everything included before the instruction set is chosen stays
// baseline code; everything after it has internal linkage, so the linker can never give another
// translation unit a copy that its processor cannot run.
#if defined(__x86_64__)
#include <immintrin.h>

#include "codec/isa_includes.h"
#include "kernels/int8_tables.h"
#include "kernels/math_tables.h"
#include "kernels/tables.h"

// No "fma" here: a fused product would round differently from the other tables.
#if defined(__clang__)
#pragma clang attribute push(__attribute__((target("avx2,f16c"))), apply_to = function)
#else
#pragma GCC push_options
#pragma GCC target("avx2,f16c")
#endif
#define PJ_MULTIPLY_PAIRS(a, b) _mm256_madd_epi16((__m256i)(a), (__m256i)(b))
#define PJ_VECTOR_BYTES 32

namespace pajamas::codec::avx2 {
namespace {
#include "codec/rows.inl"
}  // namespace
}  // namespace pajamas::codec::avx2

#if defined(__clang__)
#pragma clang attribute pop
#else
#pragma GCC pop_options
#endif

namespace pajamas::kernels {
namespace {
bool supported(const CpuFeatures& cpu) { return cpu.avx2 && cpu.f16c && cpu.fma; }
const Int8Kernels& int8(const CpuFeatures&) noexcept { return kAvx2Int8; }
}  // namespace

const KernelTable kAvx2Table = {
    .name = "avx2",
    .supported = supported,
    .decode_rows = codec::avx2::decode_rows_isa,
    .encode_rows = codec::avx2::encode_rows_isa,
    .fit_rows = codec::avx2::fit_rows_isa,
    .round_rows = codec::avx2::round_rows_isa,
    .round_feedback = codec::avx2::round_feedback_isa,
    .math = &kAvx2Math,
    .int8 = int8,
};

}  // namespace pajamas::kernels
#endif
