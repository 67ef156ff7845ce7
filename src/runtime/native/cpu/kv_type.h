// Encoding and decoding of the rows of a cache (native/kv_row.h).
#pragma once

#include <cstddef>
#include <span>

#include "kernels/table.h"
#include "runtime/native/kv_row.h"

namespace pajamas::runtime {

// Stores [count][row.dim] floats. A row that is not finite comes back as NaNs, or, as a plain
// float, as it is. out.size() is count * row.bytes. Throws Error{kUnsupported} for a finite value
// that the type has no room for (F16, and so its blocks' scales, ends at 65504).
void encode_kv(const kernels::KernelTable& kernels, const KvRow& row, std::span<const float> values,
               std::span<std::byte> out);
// out is [count][row.stored]; `rows` holds count * row.bytes.
void decode_kv(const kernels::MathKernels& math, const KvRow& row, std::span<const std::byte> rows,
               std::span<float> out) noexcept;

}  // namespace pajamas::runtime
