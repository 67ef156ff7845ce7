// Runs everywhere: the definitions themselves.
#include "kernels/math_tables.h"
#include "kernels/tables.h"

namespace pajamas::kernels {
namespace {
bool always(const CpuFeatures&) { return true; }
}  // namespace

const KernelTable kRefTable = {
    .name = "ref",
    .supported = always,
    .decode_rows = codec::decode_rows,
    .encode_rows = codec::encode_rows,
    .math = &kRefMath,
};

}  // namespace pajamas::kernels
