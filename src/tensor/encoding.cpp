#include "tensor/encoding.h"

#include <fmt/format.h>

namespace pajamas {

std::uint64_t Encoding::plane_row_bytes(std::size_t plane, std::uint64_t cols) const noexcept {
  if (!is_affine()) {
    return plane == 0 ? cols / info(dtype).block_elems * info(dtype).block_bytes : 0;
  }
  if (plane == 0) return cols * bits / 8;
  return cols / group_size * info(dtype).block_bytes;
}

std::uint64_t Encoding::row_bytes(std::uint64_t cols) const noexcept {
  std::uint64_t bytes = 0;
  for (std::size_t plane = 0; plane < planes(); ++plane) bytes += plane_row_bytes(plane, cols);
  return bytes;
}

std::string Encoding::name() const {
  if (!is_affine()) return std::string(info(dtype).name);
  return fmt::format("{}bit-g{}", bits, group_size);
}

}  // namespace pajamas
