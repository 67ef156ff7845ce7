// A block between weights and bytes: scales, minimums and codes as plain numbers, one by one
// readable and changeable, in one shape for every quantized format. Encoding is
//   fit (weights, importance -> scales) . round (weights, scales -> codes) . pack (-> bytes).
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

#include "codec/grid.h"
#include "tensor/encoding.h"

namespace pajamas::codec {

// Requires a quantized encoding that can be decoded.
Grid grid_of(const Encoding& encoding) noexcept;

struct FittedBlock {
  static constexpr int kMaxGroups = 16;
  static constexpr int kMaxColumns = 256;

  float d = 0;  // exactly representable in Grid::scale_type, times Grid::unit
  float m = 0;  // likewise; K-quants store -m under the name dmin
  std::int8_t scales[kMaxGroups] = {};  // as multiplied
  std::uint8_t mins[kMaxGroups] = {};
  std::int16_t codes[kMaxColumns] = {};  // as multiplied: signed where the format subtracts a bias

  float step(int group) const noexcept { return d * static_cast<float>(scales[group]); }
  float offset(int group) const noexcept { return m * static_cast<float>(mins[group]); }
};

// The code that stands nearest to one weight, given its group's stored step and offset. Requires
// codes that are set one by one (!grid.book.is_vectors()).
int round_one(const Grid& grid, float weight, float step, float offset) noexcept;

// All take whole blocks, `weights.size() == blocks.size() * grid.block`; they require
// can_encode(encoding) and a quantized encoding.

// Finds scales and minimums, as stored. `importance`: one weight a column (or empty).
void fit(const Encoding& encoding, std::span<const float> weights,
         std::span<const float> importance, std::span<FittedBlock> blocks) noexcept;
// Sets every code to the nearest one under the block's present scales. `importance` as of `fit`:
// it counts only where a codebook sets several columns together.
void round(const Encoding& encoding, std::span<const float> weights,
           std::span<const float> importance, std::span<FittedBlock> blocks) noexcept;

// The same over whole rows of `cols` columns, `blocks` in the order of the weights, with one
// importance a column (or none); what kernels/table.h has for every instruction set, with the same
// numbers from each. Of the blocks `fit_rows` sets all but the codes.
void fit_rows(const Encoding& encoding, std::span<const float> weights,
              std::span<const float> importance, std::uint64_t cols, std::span<FittedBlock> blocks);
void round_rows(const Encoding& encoding, std::span<const float> weights,
                std::span<const float> importance, std::uint64_t cols,
                std::span<FittedBlock> blocks);

// One block of columns of several rows, to be rounded column by column so that what a column loses
// is made up for by those behind it.
struct FeedbackRows {
  float* weights;  // [rows], `stride` apart: the block's columns, changed to what was rounded
  std::size_t rows;
  std::size_t stride;  // from row to row
  // [block][block]: weight k takes -error of column j * coefficients[j][k], for k > j. With U the
  // upper triangular factor of the inverse Hessian (U^T U), it is U[j][k] / U[j][j].
  const float* coefficients;
  FittedBlock* blocks;  // [rows]: their scales are given, their codes are set
  float* errors;        // [rows][block]: weight as it was rounded, less what is stored
};
// Columns that a codebook sets together get the entry nearest to them before any of them is
// rounded; then each one's error goes to all behind it. The same numbers from every instruction
// set; without coefficients (all 0) those of round_rows without importance.
void round_feedback(const Encoding& encoding, const FeedbackRows& rows);

// Writes blocks at the start of the planes, and reads them back; `unpack` serves every quantized
// encoding that can be decoded. Codes must be of the grid; those of a codebook, entries of it.
void pack(const Encoding& encoding, std::span<const FittedBlock> blocks,
          const Planes& planes) noexcept;
void unpack(const Encoding& encoding, const ConstPlanes& planes,
            std::span<FittedBlock> blocks) noexcept;

}  // namespace pajamas::codec
