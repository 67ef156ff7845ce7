// Weights that are no numbers, and how errors say where one lies.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>

#include "base/error.h"
#include "base/parallel.h"
#include "kernels/table.h"
#include "model/checkpoint.h"
#include "model/stored_tensor.h"
#include "tensor/encoding.h"

namespace pajamas::weights {

// `error` at the file and the tensor in which row `row` of `tensor` is stored.
Error at_row(Error error, const model::Checkpoint& checkpoint, const model::StoredTensor& tensor,
             std::uint64_t row);

// "weight 5 of row 3 is 1e5", as the source counts them: value `at` of the rows from `first` on.
std::string weight_at(const model::StoredTensor& tensor, std::uint64_t first,
                      std::span<const float> values, std::size_t at);

// Throws Error{kCorruptFile} that names file, tensor and row where a value of rows
// [first, first + values.size() / cols) is infinite or NaN.
void require_finite(const model::Checkpoint& checkpoint, const model::StoredTensor& tensor,
                    std::uint64_t first, std::span<const float> values);

// The same for every weight of a model: reads all of it.
void require_finite(const model::Checkpoint& checkpoint, const kernels::KernelTable& kernels,
                    const TaskPool& pool);

// The same for quantized rows that are taken over as they are, of which `first` is the first row:
// looks at their scales alone.
void require_finite_scales(const model::Checkpoint& checkpoint, const model::StoredTensor& tensor,
                           std::uint64_t first, const ConstPlanes& stored);

}  // namespace pajamas::weights
