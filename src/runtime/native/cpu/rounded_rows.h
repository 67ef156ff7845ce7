// Activations rounded to eight bits for kernels/int8.h, once for all products that use them.
#pragma once

#include <cstddef>
#include <vector>

#include "kernels/int8.h"
#include "runtime/native/cpu/aligned.h"

namespace pajamas::runtime {

// Rows of activations in tiles. Owns its memory, and keeps it from product to product.
class RoundedRows {
 public:
  // Of these rows from now on, none of which is rounded yet. `x` is [count][cols], `cols` a
  // multiple of 32.
  void begin(const kernels::Int8Kernels& kernels, const kernels::Int8Form& form, const float* x,
             std::size_t count, std::size_t cols);

  bool is_of(const float* x, std::size_t count, const kernels::Int8Form& form) const noexcept {
    return x == x_ && count == count_ && form == form_;
  }
  std::size_t tiles() const noexcept { return (count_ + tile_rows_ - 1) / tile_rows_; }
  kernels::Int8Tile tile(std::size_t index) const noexcept;
  std::size_t first_row(std::size_t tile) const noexcept { return tile * tile_rows_; }
  const kernels::Int8Form& form() const noexcept { return form_; }
  // Few enough for the product straight from storage.
  bool is_direct() const noexcept { return direct_; }

  // Rounds one tile; different tiles may be rounded on different threads.
  void round_tile(std::size_t index);

 private:
  // Parts of a tile's memory, in bytes from its start.
  struct Layout {
    std::size_t scales, base, sums, extras, counts, end;
  };
  Layout layout(std::size_t rows) const noexcept;
  std::size_t rows_of(std::size_t tile) const noexcept;

  const kernels::Int8Kernels* kernels_ = nullptr;
  kernels::Int8Form form_;
  const float* x_ = nullptr;
  std::size_t count_ = 0;
  std::size_t cols_ = 0;
  bool direct_ = false;
  std::size_t tile_rows_ = 0;
  std::size_t tile_bytes_ = 0;
  ByteBuffer memory_;
};

}  // namespace pajamas::runtime
