// A device's memory where results are arrays rather than places: which array stands at which place.
#pragma once

#include <mlx/array.h>

#include <cstddef>
#include <map>

#include "runtime/native/device.h"

namespace pajamas::runtime {

// Arrays do not change, so that a copy of the memory shares them.
class ArrayMemory final : public Memory {
 public:
  // The array's numbers, in order, are what lies from `offset` on (in numbers); what lay there,
  // even in part, is gone.
  void put(std::size_t offset, mlx::core::array numbers);
  // [rows][cols] from `offset` on, all of one array.
  mlx::core::array get(std::size_t offset, std::size_t rows, std::size_t cols) const;
  // The array at `offset`, in its own shape; null: none begins there.
  const mlx::core::array* at(std::size_t offset) const noexcept;

  // Of views and buffers that this device has made.
  static ArrayMemory& of(Memory* memory) noexcept { return static_cast<ArrayMemory&>(*memory); }

 private:
  std::map<std::size_t, mlx::core::array> arrays_;  // by their first number
};

template <class T>
mlx::core::array array_at(const View<T>& view) {
  return ArrayMemory::of(view.memory).get(view.offset, view.rows, view.cols);
}
template <class T>
void put_array(const View<T>& view, mlx::core::array numbers) {
  ArrayMemory::of(view.memory).put(view.offset, std::move(numbers));
}

}  // namespace pajamas::runtime
