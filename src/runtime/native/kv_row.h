// How a cache stores keys and values.
//
// A row is one head's key or value of one position. Narrow rows are cut into blocks of 32 values
// with a float16 scale each, the last one filled up with zeros. The two narrowest types store the
// row's Hadamard transform: it spreads what lies in a few large channels over all of them, so that
// one scale fits a block. Products of two transformed rows are those of the rows themselves.
#pragma once

#include <cstddef>

#include "runtime/kv_types.h"

namespace pajamas::runtime {

// How one row is stored.
struct KvRow {
  KvRow(KvType kv_type, std::size_t head_dim) noexcept
      : type(kv_type),
        dim(head_dim),
        stored((head_dim + info(type).block - 1) / info(type).block * info(type).block),
        bytes(stored / info(type).block * info(type).block_bytes) {}

  KvType type;
  std::size_t dim;     // of a head
  std::size_t stored;  // values with the filling; the distance of decoded rows
  std::size_t bytes;
};

}  // namespace pajamas::runtime
