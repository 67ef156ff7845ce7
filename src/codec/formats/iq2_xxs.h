// IQ2_XXS: 8 groups of 32, x = d / 8 * (2 * scale + 1) * entry, signs even in every eight columns.
#pragma once

#include <cstddef>
#include <cstdint>

#include "codec/book_halves.h"
#include "codec/format.h"

namespace pajamas::codec {

struct IQ2_XXS {
  struct Block {
    F16Bits d;
    // Of each group: four indices of a byte, then four times seven signs and the scale.
    struct {
      std::uint8_t index[4];
      std::uint16_t signs[2];
    } groups[8];
  };
  static constexpr std::int8_t kLevels[3] = {8, 25, 43};
  static constexpr Format kFormat{.type = DType::kIQ2_XXS,
                                  .grid = {.block = 256,
                                           .group = 32,
                                           .min_code = -43,
                                           .max_code = 43,
                                           .max_scale = 31,
                                           .odd_scales = true,
                                           .unit = 0.125f,
                                           .book = {.levels = kLevels,
                                                    .entries = kIq2XxsBook,
                                                    .halves = &kIq2XxsHalves,
                                                    .columns = 8,
                                                    .bits = 2,
                                                    .signs = Signs::kEven}},
                                  .effort = {.vectors = {4, 0.038f, 1.4f, 0.08f, 3, 4, 0.03f}},
                                  .layout = {.d = offsetof(Block, d)},
                                  .error_budget = 0.003,
                                  .better = DType::kIQ2_XS,
                                  .narrower = DType::kIQ4_NL};

  static void read(const Block& block, VectorFields& out) noexcept {
    out.d = block.d;
    for (int g = 0; g < 8; ++g) {
      const auto& group = block.groups[g];
      const std::uint32_t word = group.signs[0] | static_cast<std::uint32_t>(group.signs[1]) << 16;
      out.scales[g] = static_cast<std::uint8_t>(word >> 28);
      for (int v = 0; v < 4; ++v) {
        out.index[4 * g + v] = group.index[v];
        out.signs[4 * g + v] = even_signs((word >> (7 * v)) & 127u);
      }
    }
  }
  static void write(const VectorFields& in, Block& block) noexcept {
    block.d = in.d;
    for (int g = 0; g < 8; ++g) {
      auto& group = block.groups[g];
      std::uint32_t word = static_cast<std::uint32_t>(in.scales[g]) << 28;
      for (int v = 0; v < 4; ++v) {
        group.index[v] = static_cast<std::uint8_t>(in.index[4 * g + v]);
        word |= (in.signs[4 * g + v] & 127u) << (7 * v);
      }
      group.signs[0] = static_cast<std::uint16_t>(word);
      group.signs[1] = static_cast<std::uint16_t>(word >> 16);
    }
  }
};

}  // namespace pajamas::codec
