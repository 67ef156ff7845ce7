// IQ3_XXS: 8 groups of 32, x = d / 4 * (2 * scale + 1) * entry, signs even in every eight columns.
#pragma once

#include <cstddef>
#include <cstdint>

#include "codec/book_halves.h"
#include "codec/format.h"

namespace pajamas::codec {

struct IQ3_XXS {
  struct Block {
    F16Bits d;
    std::uint8_t qs[64];
    std::uint16_t signs[16];  // two a group: four times seven signs, and the scale
  };
  static constexpr std::int8_t kLevels[8] = {4, 12, 20, 28, 36, 44, 52, 62};
  static constexpr Format kFormat{.type = DType::kIQ3_XXS,
                                  .grid = {.block = 256,
                                           .group = 32,
                                           .min_code = -62,
                                           .max_code = 62,
                                           .max_scale = 31,
                                           .odd_scales = true,
                                           .unit = 0.25f,
                                           .book = {.levels = kLevels,
                                                    .entries = kIq3XxsBook,
                                                    .halves = &kIq3XxsHalves,
                                                    .columns = 4,
                                                    .bits = 3,
                                                    .signs = Signs::kEven}},
                                  .effort = {.vectors = {8, 0.025f, 1.2f, 0.04f, 4, 4, 0.03f}},
                                  .layout = {.d = offsetof(Block, d)},
                                  .error_budget = 0.003,
                                  .better = DType::kIQ3_S,
                                  .narrower = DType::kIQ4_NL};

  static void read(const Block& block, VectorFields& out) noexcept {
    out.d = block.d;
    for (int v = 0; v < 64; ++v) out.index[v] = block.qs[v];
    for (int g = 0; g < 8; ++g) {
      const std::uint32_t word =
          block.signs[2 * g] | static_cast<std::uint32_t>(block.signs[2 * g + 1]) << 16;
      out.scales[g] = static_cast<std::uint8_t>(word >> 28);
      for (int v = 0; v < 4; ++v) out.signs[4 * g + v] = even_signs((word >> (7 * v)) & 127u);
    }
  }
  static void write(const VectorFields& in, Block& block) noexcept {
    block.d = in.d;
    for (int v = 0; v < 64; ++v) block.qs[v] = static_cast<std::uint8_t>(in.index[v]);
    for (int g = 0; g < 8; ++g) {
      std::uint32_t word = static_cast<std::uint32_t>(in.scales[g]) << 28;
      for (int v = 0; v < 4; ++v) word |= (in.signs[4 * g + v] & 127u) << (7 * v);
      block.signs[2 * g] = static_cast<std::uint16_t>(word);
      block.signs[2 * g + 1] = static_cast<std::uint16_t>(word >> 16);
    }
  }
};

}  // namespace pajamas::codec
