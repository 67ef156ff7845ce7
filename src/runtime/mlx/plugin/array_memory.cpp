#include "runtime/mlx/plugin/array_memory.h"

#include <mlx/ops.h>

#include <utility>

#include "base/error.h"

namespace pajamas::runtime {

namespace mx = mlx::core;

void ArrayMemory::put(std::size_t offset, mx::array numbers) {
  auto at = arrays_.upper_bound(offset);
  if (at != arrays_.begin()) {
    const auto before = std::prev(at);
    if (before->first + before->second.size() > offset) at = before;
  }
  while (at != arrays_.end() && at->first < offset + numbers.size()) at = arrays_.erase(at);
  arrays_.emplace(offset, std::move(numbers));
}

mx::array ArrayMemory::get(std::size_t offset, std::size_t rows, std::size_t cols) const {
  const auto after = arrays_.upper_bound(offset);
  PJ_CHECK(after != arrays_.begin());
  const auto& [first, found] = *std::prev(after);
  const std::size_t begin = offset - first, end = begin + rows * cols;
  PJ_CHECK(end <= found.size());
  const mx::Shape shape{static_cast<int>(rows), static_cast<int>(cols)};
  if (begin == 0 && end == found.size()) {
    return found.shape() == shape ? found : mx::reshape(found, shape);
  }
  const mx::array flat = mx::flatten(found);
  return mx::reshape(mx::slice(flat, {static_cast<int>(begin)}, {static_cast<int>(end)}), shape);
}

}  // namespace pajamas::runtime
