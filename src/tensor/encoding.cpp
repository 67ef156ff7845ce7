#include "tensor/encoding.h"

#include <fmt/format.h>

namespace pajamas {

std::uint64_t Encoding::plane_row_bytes(std::size_t plane, std::uint64_t cols) const noexcept {
  if (plane >= planes()) return 0;
  switch (layout) {
    case Layout::kAffine:
      if (plane == 0) return cols * bits / 8;
      return cols / group_size * info(dtype).block_bytes;
    case Layout::kMxfp4:
    case Layout::kMxfp8:
    case Layout::kNvfp4:
      return plane == 0 ? cols * bits / 8 : cols / group_size;
    case Layout::kFp8:
      if (plane == 0) return cols;
      return (cols + kFp8Tile - 1) / kFp8Tile * info(dtype).block_bytes;
    case Layout::kStream:
      break;
  }
  return cols / info(dtype).block_elems * info(dtype).block_bytes;
}

std::uint64_t Encoding::row_bytes(std::uint64_t cols) const noexcept {
  std::uint64_t bytes = 0;
  for (std::size_t plane = 0; plane < planes(); ++plane) bytes += plane_row_bytes(plane, cols);
  return bytes;
}

std::string Encoding::name() const {
  switch (layout) {
    case Layout::kAffine:
      return fmt::format("{}bit-g{}", bits, group_size);
    case Layout::kMxfp4:
      return "mxfp4";
    case Layout::kMxfp8:
      return "mxfp8";
    case Layout::kNvfp4:
      return "nvfp4";
    case Layout::kFp8:
      return "F8_E4M3";
    case Layout::kStream:
      break;
  }
  return std::string(info(dtype).name);
}

}  // namespace pajamas
