// A block between weights and bytes: scales, minimums and codes as plain numbers, one by one
// readable and changeable, in one shape for every quantized format. Encoding is
//   fit (weights, importance -> scales) . round (weights, scales -> codes) . pack (-> bytes).
#pragma once

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

  float d = 0;  // exactly representable in Grid::scale_type
  float m = 0;  // likewise; K-quants store -m under the name dmin
  std::int8_t scales[kMaxGroups] = {};
  std::uint8_t mins[kMaxGroups] = {};
  std::int16_t codes[kMaxColumns] = {};  // as multiplied: signed where the format subtracts a bias

  float step(int group) const noexcept { return d * static_cast<float>(scales[group]); }
  float offset(int group) const noexcept { return m * static_cast<float>(mins[group]); }
};

// The code that stands nearest to one weight, given its group's stored step and offset.
int round_one(const Grid& grid, float weight, float step, float offset) noexcept;

// All take whole blocks, `weights.size() == blocks.size() * grid.block`; they require
// can_encode(encoding) and a quantized encoding.

// Finds scales and minimums, as stored. `importance`: one weight a column (or empty).
void fit(const Encoding& encoding, std::span<const float> weights,
         std::span<const float> importance, std::span<FittedBlock> blocks) noexcept;
// Sets every code to the nearest one under the block's present scales.
void round(const Encoding& encoding, std::span<const float> weights,
           std::span<FittedBlock> blocks) noexcept;
// Writes blocks at the start of the planes, and reads them back; `unpack` serves every quantized
// encoding that can be decoded.
void pack(const Encoding& encoding, std::span<const FittedBlock> blocks,
          const Planes& planes) noexcept;
void unpack(const Encoding& encoding, const ConstPlanes& planes,
            std::span<FittedBlock> blocks) noexcept;

}  // namespace pajamas::codec
