// Whole-number products in plain C++: the definition that the others must equal, from the blocks as
// the codecs read them.
#include <cmath>
#include <cstdint>
#include <vector>

#include "codec/codec.h"
#include "codec/fitted.h"
#include "codec/format.h"
#include "kernels/int8_tables.h"

namespace pajamas::kernels {
namespace {

#include "kernels/int8_round.inl"

Int8Form form_of(const Encoding& encoding, std::size_t cols) noexcept {
  Int8Form form;
  form.group = 0;
  if (codec::find_format(encoding) == nullptr || cols % kInt8Group != 0) return form;
  const codec::Grid grid = codec::grid_of(encoding);
  form.group = static_cast<std::uint8_t>(grid.group < 32 ? grid.group : 32);
  form.has_offset = grid.has_offset();
  const bool nibbles = encoding.layout != Layout::kStream && encoding.bits == 4;
  form.order = nibbles                                      ? Int8Order::kByTwo
               : encoding.is_affine() && encoding.bits == 2 ? Int8Order::kByFour
                                                            : Int8Order::kNatural;
  return form;
}

// The column that stands at place `at` of a row.
std::size_t column_at(Int8Order order, std::size_t at) noexcept {
  switch (order) {
    case Int8Order::kByTwo:
      return at / 8 * 8 + at % 4 * 2 + at % 8 / 4;
    case Int8Order::kByFour:
      return at / 16 * 16 + at % 4 * 4 + at % 16 / 4;
    case Int8Order::kNatural:
      break;
  }
  return at;
}

// Row `row` as blocks.
std::vector<codec::FittedBlock> blocks_of(const Int8Weights& w, std::size_t row) {
  ConstPlanes planes;
  for (std::size_t p = 0; p < w.encoding.planes(); ++p) {
    planes.plane[p] = {w.plane[p] + row * w.row_step[p], w.encoding.plane_row_bytes(p, w.cols)};
  }
  std::vector<codec::FittedBlock> blocks(w.cols / w.encoding.block_cols());
  codec::unpack(w.encoding, planes, blocks);
  return blocks;
}

// The product of one row of weights, as a panel of one row has it, with one of the activations.
float product(const Int8Weights& w, const std::vector<codec::FittedBlock>& blocks,
              const Int8Tile& tile, std::size_t m, const Int8Form& form) {
  const codec::Grid grid = codec::grid_of(w.encoding);
  const auto block_cols = static_cast<std::size_t>(grid.block);
  float sum = 0;
  for (std::size_t col = 0; col < w.cols; col += form.group) {
    const codec::FittedBlock& block = blocks[col / block_cols];
    const int group = static_cast<int>(col % block_cols) / grid.group;
    std::int32_t whole = 0;
    for (std::size_t c = col; c < col + form.group; ++c) {
      whole += block.codes[column_at(form.order, c) % block_cols] *
               tile.q[(c / 4 * tile.rows + m) * 4 + c % 4];
    }
    const float scale = tile.scales[col / kInt8Group * tile.rows + m];
    sum = std::fma(static_cast<float>(whole), block.step(group) * scale, sum);
    if (form.has_offset) {
      sum = std::fma(block.offset(group), tile.sums[col / form.group * tile.rows + m], sum);
    }
  }
  float extra_sum = 0;
  const Int8Extra* extra = tile.extras + m * (w.cols / kInt8Group);
  for (std::uint32_t i = 0; i < tile.extra_counts[m]; ++i, ++extra) {
    const std::size_t col = extra->group * kInt8Group + 4 * extra->word;
    const codec::FittedBlock& block = blocks[col / block_cols];
    std::int32_t whole = 0;
    for (std::size_t c = 0; c < 4; ++c) {
      whole += block.codes[column_at(form.order, col + c) % block_cols] * extra->q[c];
    }
    const int group = static_cast<int>(col % block_cols) / grid.group;
    extra_sum = std::fma(static_cast<float>(whole), block.step(group) * extra->scale, extra_sum);
  }
  return sum + extra_sum;
}

void multiply(const Int8Weights& w, const Int8Tile& tile, const Int8Out& out) noexcept {
  const Int8Form form = form_of(w.encoding, w.cols);
  for (std::size_t n = 0; n < w.rows; ++n) {
    const std::vector<codec::FittedBlock> blocks = blocks_of(w, n);
    for (std::size_t m = 0; m < tile.rows; ++m) {
      out.out[m * out.out_stride + n] = product(w, blocks, tile, m, form);
    }
  }
}

bool supported(const CpuFeatures&) noexcept { return true; }

}  // namespace

const Int8Kernels kRefInt8 = {.name = "ref",
                              .supported = supported,
                              .form = form_of,
                              .round = round_activations,
                              .multiply = multiply,
                              .panel_rows = 0,
                              .panel_bytes = nullptr,
                              .unpack = nullptr,
                              .multiply_panel = nullptr};

}  // namespace pajamas::kernels
