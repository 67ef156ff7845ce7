// IQ1_S: 8 groups of 32, x = d / 8 * (2 * scale + 1) * (entry + 1 or entry - 1), one of both for a
// whole group.
#pragma once

#include <cstddef>
#include <cstdint>

#include "codec/book_halves.h"
#include "codec/format.h"

namespace pajamas::codec {

struct IQ1_S {
  struct Block {
    F16Bits d;
    std::uint8_t qs[32];  // low bytes of the indices
    std::uint16_t qh[8];  // of each group: four times three bits above them, the scale, the shift
  };
  static constexpr std::int8_t kLevels[3] = {-8, 0, 8};
  static constexpr Format kFormat{.type = DType::kIQ1_S,
                                  .grid = {.block = 256,
                                           .group = 32,
                                           .min_code = -9,
                                           .max_code = 9,
                                           .max_scale = 15,
                                           .odd_scales = true,
                                           .unit = 0.125f,
                                           .book = {.levels = kLevels,
                                                    .entries = kIq1Book,
                                                    .halves = &kIq1Halves,
                                                    .columns = 8,
                                                    .bits = 2,
                                                    .shifted = 32}},
                                  .effort = {.vectors = {12, 0.09f, 1.2f, 0.3f, 3, 4, 0.03f}},
                                  .layout = {.d = offsetof(Block, d)},
                                  .error_budget = 0.003,
                                  .better = DType::kIQ1_M,
                                  .narrower = DType::kIQ4_NL};

  static void read(const Block& block, VectorFields& out) noexcept {
    out.d = block.d;
    for (int v = 0; v < 32; ++v) {
      const int high = block.qh[v / 4];
      out.index[v] = static_cast<std::uint16_t>(block.qs[v] | ((high >> (v % 4 * 3)) & 7) << 8);
      out.down[v] = (high & 0x8000) != 0;
    }
    for (int g = 0; g < 8; ++g) out.scales[g] = static_cast<std::uint8_t>((block.qh[g] >> 12) & 7);
  }
  static void write(const VectorFields& in, Block& block) noexcept {
    block.d = in.d;
    for (int g = 0; g < 8; ++g) {
      int high = in.scales[g] << 12 | (in.down[4 * g] ? 0x8000 : 0);
      for (int v = 0; v < 4; ++v) {
        block.qs[4 * g + v] = static_cast<std::uint8_t>(in.index[4 * g + v]);
        high |= (in.index[4 * g + v] >> 8) << (3 * v);
      }
      block.qh[g] = static_cast<std::uint16_t>(high);
    }
  }
};

}  // namespace pajamas::codec
