// Runs everywhere: the definitions themselves.
#include "kernels/int8_tables.h"
#include "kernels/math_tables.h"
#include "kernels/tables.h"

namespace pajamas::kernels {
namespace {
bool always(const CpuFeatures&) { return true; }
const Int8Kernels& int8(const CpuFeatures&) noexcept { return kRefInt8; }
}  // namespace

const KernelTable kRefTable = {
    .name = "ref",
    .supported = always,
    .decode_rows = codec::decode_rows,
    .encode_rows = codec::encode_rows,
    .fit_rows = codec::fit_rows,
    .round_rows = codec::round_rows,
    .round_feedback = codec::round_feedback,
    .math = &kRefMath,
    .int8 = int8,
};

}  // namespace pajamas::kernels
