// A device's memory where results are arrays rather than places: which array stands at which place.
#pragma once

#include <mlx/array.h>

#include <cstddef>
#include <map>
#include <memory>

#include "runtime/mlx/plugin/kv_rows.h"
#include "runtime/native/device.h"

namespace pajamas::runtime {

// What a block of a cache has: its positions are those of the planes from `first` on. Blocks that
// follow each other may be pieces of one whole.
struct KvBlockRows {
  std::shared_ptr<const KvPlanes> planes;  // null: nothing is stored yet
  int first = 0;
};

// Arrays do not change, so that a copy of the memory shares them.
class ArrayMemory final : public Memory {
 public:
  // The array's numbers, in order, are what lies from `offset` on (in numbers); what lay there,
  // even in part, is gone.
  void put(std::size_t offset, mlx::core::array numbers);
  // [rows][cols] from `offset` on, all of one array.
  mlx::core::array get(std::size_t offset, std::size_t rows, std::size_t cols) const;
  KvBlockRows& kv() noexcept { return kv_; }

  // Of views and buffers that this device has made.
  static ArrayMemory& of(Memory* memory) noexcept { return static_cast<ArrayMemory&>(*memory); }

 private:
  std::map<std::size_t, mlx::core::array> arrays_;  // by their first number
  KvBlockRows kv_;                                  // where it is a cache's
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
