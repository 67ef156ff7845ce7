#include "runtime/native/cpu/rounded_rows.h"

#include <algorithm>

namespace pajamas::runtime {
namespace {

std::size_t to_line(std::size_t bytes) noexcept { return (bytes + 63) / 64 * 64; }

}  // namespace

void RoundedRows::begin(const kernels::Int8Kernels& kernels, const kernels::Int8Form& form,
                        const float* x, std::size_t count, std::size_t cols) {
  kernels_ = &kernels;
  form_ = form;
  x_ = x;
  count_ = count;
  cols_ = cols;
  direct_ = count <= kernels::kInt8DirectRows || kernels.panel_rows == 0;
  tile_rows_ = std::min(count, kernels::kInt8TileRows);
  tile_bytes_ = layout(tile_rows_).end;
  if (memory_.size() < tiles() * tile_bytes_) memory_.resize(tiles() * tile_bytes_);
}

RoundedRows::Layout RoundedRows::layout(std::size_t rows) const noexcept {
  const std::size_t numbers = to_line(cols_ / form_.group * rows * sizeof(float));
  Layout at{};
  at.scales = to_line(cols_ * rows);
  at.base = at.scales + to_line(cols_ / kernels::kInt8Group * rows * sizeof(float));
  at.sums = at.base + (form_.bias != 0 ? numbers : 0);
  at.extras = at.sums + (form_.has_offset ? numbers : 0);
  at.counts = at.extras + to_line(cols_ / kernels::kInt8Group * rows * sizeof(kernels::Int8Extra));
  at.end = at.counts + to_line(rows * sizeof(std::uint32_t));
  return at;
}

std::size_t RoundedRows::rows_of(std::size_t tile) const noexcept {
  return std::min(tile_rows_, count_ - first_row(tile));
}

kernels::Int8Tile RoundedRows::tile(std::size_t index) const noexcept {
  const std::size_t rows = rows_of(index);
  const Layout at = layout(rows);
  const std::byte* from = memory_.data() + index * tile_bytes_;
  return {rows,
          reinterpret_cast<const std::int8_t*>(from),
          reinterpret_cast<const float*>(from + at.scales),
          reinterpret_cast<const std::int32_t*>(from + at.base),
          reinterpret_cast<const float*>(from + at.sums),
          reinterpret_cast<const kernels::Int8Extra*>(from + at.extras),
          reinterpret_cast<const std::uint32_t*>(from + at.counts)};
}

void RoundedRows::round_tile(std::size_t index) {
  const std::size_t rows = rows_of(index);
  const Layout at = layout(rows);
  std::byte* to = memory_.data() + index * tile_bytes_;
  const kernels::Int8TileOut out{rows,
                                 reinterpret_cast<std::int8_t*>(to),
                                 reinterpret_cast<float*>(to + at.scales),
                                 reinterpret_cast<std::int32_t*>(to + at.base),
                                 reinterpret_cast<float*>(to + at.sums),
                                 reinterpret_cast<kernels::Int8Extra*>(to + at.extras),
                                 reinterpret_cast<std::uint32_t*>(to + at.counts)};
  for (std::size_t m = 0; m < rows; ++m) {
    kernels_->round(x_ + (first_row(index) + m) * cols_, cols_, form_, m, out);
  }
}

}  // namespace pajamas::runtime
