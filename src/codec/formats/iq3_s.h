// IQ3_S: 8 groups of 32, x = d * (2 * scale + 1) * entry, a sign a column.
#pragma once

#include <cstddef>
#include <cstdint>

#include "codec/book_halves.h"
#include "codec/format.h"

namespace pajamas::codec {

struct IQ3_S {
  struct Block {
    F16Bits d;
    std::uint8_t qs[64];  // low bytes of the indices
    std::uint8_t qh[8];   // the bit above them, eight vectors a byte
    std::uint8_t signs[32];
    std::uint8_t scales[4];  // two a byte, the first one low
  };
  static constexpr std::int8_t kLevels[8] = {1, 3, 5, 7, 9, 11, 13, 15};
  static constexpr Format kFormat{.type = DType::kIQ3_S,
                                  .grid = {.block = 256,
                                           .group = 32,
                                           .min_code = -15,
                                           .max_code = 15,
                                           .max_scale = 31,
                                           .odd_scales = true,
                                           .book = {.levels = kLevels,
                                                    .entries = kIq3SBook,
                                                    .halves = &kIq3SHalves,
                                                    .columns = 4,
                                                    .bits = 3,
                                                    .signs = Signs::kEach}},
                                  .effort = {.vectors = {8, 0.1f, 1.2f, 0.04f, 4, 4, 0.03f}},
                                  .layout = {.d = offsetof(Block, d)},
                                  .error_budget = 0.003,
                                  .better = DType::kIQ4_XS,
                                  .narrower = DType::kIQ4_NL};

  static void read(const Block& block, VectorFields& out) noexcept {
    out.d = block.d;
    for (int g = 0; g < 8; ++g) {
      out.scales[g] = static_cast<std::uint8_t>((block.scales[g / 2] >> (g % 2 * 4)) & 15);
    }
    for (int v = 0; v < 64; ++v) {
      const int high = (block.qh[v / 8] >> (v % 8)) & 1;
      out.index[v] = static_cast<std::uint16_t>(block.qs[v] | high << 8);
    }
    for (int i = 0; i < 32; ++i) out.signs[i] = block.signs[i];
  }
  static void write(const VectorFields& in, Block& block) noexcept {
    block = {};
    block.d = in.d;
    for (int g = 0; g < 4; ++g) {
      block.scales[g] = static_cast<std::uint8_t>(in.scales[2 * g] | in.scales[2 * g + 1] << 4);
    }
    for (int v = 0; v < 64; ++v) {
      block.qs[v] = static_cast<std::uint8_t>(in.index[v]);
      std::uint8_t& high = block.qh[v / 8];
      high = static_cast<std::uint8_t>(high | (in.index[v] >> 8) << (v % 8));
    }
    for (int i = 0; i < 32; ++i) block.signs[i] = in.signs[i];
  }
};

}  // namespace pajamas::codec
