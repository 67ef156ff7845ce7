#include "tensor/shape.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>

#include "base/bytes.h"

namespace pajamas {

Shape::Shape(std::initializer_list<std::uint64_t> dims)
    : Shape(std::span<const std::uint64_t>(dims.begin(), dims.size())) {}

Shape::Shape(std::span<const std::uint64_t> dims) : rank_(dims.size()) {
  if (dims.size() > kMaxRank) {
    throw Error(
        ErrorCode::kCorruptFile,
        fmt::format("a tensor of {} dimensions, at most {} are possible", dims.size(), kMaxRank));
  }
  std::copy(dims.begin(), dims.end(), dims_.begin());
  std::uint64_t product = 1;
  for (const std::uint64_t dim : dims) product = checked_mul(product, dim);
}

std::uint64_t Shape::rows() const noexcept {
  std::uint64_t product = 1;
  for (std::size_t i = 0; i + 1 < rank_; ++i) product *= dims_[i];
  return product;
}

std::string Shape::to_string() const { return fmt::format("[{}]", fmt::join(dims(), ", ")); }

}  // namespace pajamas
