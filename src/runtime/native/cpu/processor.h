// What operations on this machine's processors run on.
#pragma once

#include <cstdint>

#include "base/parallel.h"
#include "kernels/table.h"

namespace pajamas::runtime {

struct Processor {
  const kernels::KernelTable& kernels;
  const TaskPool& pool;
  // Products with activations rounded to eight bits, where a matrix is stored quantized; without
  // them all products are those of floats.
  const kernels::Int8Kernels* int8 = nullptr;
};

// Rows of activations, and numbers of them, that one task of a loop over them takes.
inline constexpr std::uint64_t kRowsAPiece = 16;
inline constexpr std::uint64_t kFloatsAPiece = 16384;

}  // namespace pajamas::runtime
