// IQ1_M: 16 groups of 16, x = d / 8 * (2 * scale + 1) * (entry + 1 or entry - 1), one of both for
// every eight columns.
#pragma once

#include <cstddef>
#include <cstdint>

#include "codec/formats/iq1_s.h"

namespace pajamas::codec {

struct IQ1_M {
  struct Block {
    std::uint8_t qs[32];      // low bytes of the indices
    std::uint8_t qh[16];      // of each vector three bits above them, and the shift
    std::uint16_t scales[4];  // four times three bits, and four bits of d, the lowest first
  };
  static constexpr Format kFormat{.type = DType::kIQ1_M,
                                  .grid = {.block = 256,
                                           .group = 16,
                                           .min_code = -9,
                                           .max_code = 9,
                                           .max_scale = 15,
                                           .odd_scales = true,
                                           .unit = 0.125f,
                                           .book = {.levels = IQ1_S::kLevels,
                                                    .entries = kIq1Book,
                                                    .halves = &kIq1Halves,
                                                    .columns = 8,
                                                    .bits = 2,
                                                    .shifted = 8}},
                                  .effort = {.vectors = {12, 0.09f, 1.2f, 0.3f, 3, 4, 0.03f}},
                                  .layout = {.d = BlockLayout::kNone},  // in four places
                                  .error_budget = 0.003,
                                  .better = DType::kIQ2_XXS,
                                  .narrower = DType::kIQ4_NL};

  static void read(const Block& block, VectorFields& out) noexcept {
    int d = 0;
    for (int i = 0; i < 4; ++i) d |= block.scales[i] >> 12 << (4 * i);
    out.d = static_cast<F16Bits>(d);
    for (int v = 0; v < 32; ++v) {
      const int high = block.qh[v / 2] >> (v % 2 * 4);
      out.index[v] = static_cast<std::uint16_t>(block.qs[v] | (high & 7) << 8);
      out.down[v] = (high & 8) != 0;
    }
    for (int g = 0; g < 16; ++g) {
      out.scales[g] = static_cast<std::uint8_t>((block.scales[g / 4] >> (g % 4 * 3)) & 7);
    }
  }
  static void write(const VectorFields& in, Block& block) noexcept {
    block = {};
    for (int v = 0; v < 32; ++v) {
      block.qs[v] = static_cast<std::uint8_t>(in.index[v]);
      const int high = in.index[v] >> 8 | (in.down[v] ? 8 : 0);
      block.qh[v / 2] = static_cast<std::uint8_t>(block.qh[v / 2] | high << (v % 2 * 4));
    }
    for (int i = 0; i < 4; ++i) {
      int word = (in.d >> (4 * i) & 15) << 12;
      for (int g = 0; g < 4; ++g) word |= in.scales[4 * i + g] << (3 * g);
      block.scales[i] = static_cast<std::uint16_t>(word);
    }
  }
};

}  // namespace pajamas::codec
