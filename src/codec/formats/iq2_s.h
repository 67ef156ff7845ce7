// IQ2_S: 16 groups of 16, x = d / 8 * (2 * scale + 1) * entry, a sign a column.
#pragma once

#include <cstddef>
#include <cstdint>

#include "codec/book_halves.h"
#include "codec/format.h"

namespace pajamas::codec {

struct IQ2_S {
  struct Block {
    F16Bits d;
    std::uint8_t qs[32];  // low bytes of the indices
    std::uint8_t signs[32];
    std::uint8_t qh[8];      // two bits above them, four vectors a byte
    std::uint8_t scales[8];  // two a byte, the first one low
  };
  static constexpr std::int8_t kLevels[3] = {8, 25, 43};
  static constexpr Format kFormat{.type = DType::kIQ2_S,
                                  .grid = {.block = 256,
                                           .group = 16,
                                           .min_code = -43,
                                           .max_code = 43,
                                           .max_scale = 31,
                                           .odd_scales = true,
                                           .unit = 0.125f,
                                           .book = {.levels = kLevels,
                                                    .entries = kIq2SBook,
                                                    .halves = &kIq2SHalves,
                                                    .columns = 8,
                                                    .bits = 2,
                                                    .signs = Signs::kEach}},
                                  .effort = {.vectors = {4, 0.038f, 1.4f, 0.08f, 3, 4, 0.03f, 45}},
                                  .layout = {.d = offsetof(Block, d)},
                                  .error_budget = 0.003,
                                  .better = DType::kIQ3_XXS,
                                  .narrower = DType::kIQ4_NL};

  static void read(const Block& block, VectorFields& out) noexcept {
    out.d = block.d;
    for (int g = 0; g < 16; ++g) {
      out.scales[g] = static_cast<std::uint8_t>((block.scales[g / 2] >> (g % 2 * 4)) & 15);
    }
    for (int v = 0; v < 32; ++v) {
      const int high = (block.qh[v / 4] >> (v % 4 * 2)) & 3;
      out.index[v] = static_cast<std::uint16_t>(block.qs[v] | high << 8);
      out.signs[v] = block.signs[v];
    }
  }
  static void write(const VectorFields& in, Block& block) noexcept {
    block = {};
    block.d = in.d;
    for (int g = 0; g < 8; ++g) {
      block.scales[g] = static_cast<std::uint8_t>(in.scales[2 * g] | in.scales[2 * g + 1] << 4);
    }
    for (int v = 0; v < 32; ++v) {
      block.qs[v] = static_cast<std::uint8_t>(in.index[v]);
      std::uint8_t& high = block.qh[v / 4];
      high = static_cast<std::uint8_t>(high | (in.index[v] >> 8) << (v % 4 * 2));
      block.signs[v] = in.signs[v];
    }
  }
};

}  // namespace pajamas::codec
