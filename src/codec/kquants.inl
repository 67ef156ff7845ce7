// Super-blocks of 256: Q2_K to Q6_K. Included by codec/rows.inl.
#pragma once

// Q2_K and Q3_K: element i of a half of 128 has two bits of byte i % 32, at shift 2 * (i / 32).
inline void unpack_two_bits(const std::uint8_t (&qs)[64], std::int16_t* codes) noexcept {
  for (int half = 0; half < 2; ++half) {
    for (int run = 0; run < 4; ++run) {
      for (int i = 0; i < 32; ++i) {
        codes[half * 128 + run * 32 + i] =
            static_cast<std::int16_t>((qs[half * 32 + i] >> (2 * run)) & 3);
      }
    }
  }
}

inline void pack_two_bits(const std::uint8_t* codes, std::uint8_t (&qs)[64]) noexcept {
  for (int half = 0; half < 2; ++half) {
    const std::uint8_t* c = codes + half * 128;
    for (int i = 0; i < 32; ++i) {
      qs[half * 32 + i] = static_cast<std::uint8_t>((c[i] & 3) | (c[i + 32] & 3) << 2 |
                                                    (c[i + 64] & 3) << 4 | (c[i + 96] & 3) << 6);
    }
  }
}

inline void unpack(const BlockQ2_K& in, FittedBlock& out) noexcept {
  out.d = f16_to_float(in.d);
  out.m = -f16_to_float(in.dmin);
  for (int g = 0; g < 16; ++g) {
    out.scales[g] = static_cast<std::int8_t>(in.scales[g] & 15);
    out.mins[g] = static_cast<std::uint8_t>(in.scales[g] >> 4);
  }
  unpack_two_bits(in.qs, out.codes);
}

inline void pack(const FittedBlock& in, BlockQ2_K& out) noexcept {
  out.d = float_to_f16(in.d);
  out.dmin = float_to_f16(-in.m);
  for (int g = 0; g < 16; ++g) {
    out.scales[g] = static_cast<std::uint8_t>(in.scales[g] | in.mins[g] << 4);
  }
  std::uint8_t codes[256];
  for (int i = 0; i < 256; ++i) codes[i] = static_cast<std::uint8_t>(in.codes[i]);
  pack_two_bits(codes, out.qs);
}

inline void unpack(const BlockQ3_K& in, FittedBlock& out) noexcept {
  out.d = f16_to_float(in.d);
  for (int g = 0; g < 16; ++g) {
    const int low = g < 8 ? in.scales[g] & 15 : in.scales[g - 8] >> 4;
    const int high = (in.scales[8 + g % 4] >> (2 * (g / 4))) & 3;
    out.scales[g] = static_cast<std::int8_t>((low | high << 4) - 32);
  }
  unpack_two_bits(in.qs, out.codes);
  for (int run = 0; run < 8; ++run) {
    for (int i = 0; i < 32; ++i) {
      const int third = (in.hmask[i] >> run) & 1;
      std::int16_t& code = out.codes[run * 32 + i];
      code = static_cast<std::int16_t>(code - 4 + 4 * third);
    }
  }
}

inline void pack(const FittedBlock& in, BlockQ3_K& out) noexcept {
  out.d = float_to_f16(in.d);
  for (std::uint8_t& byte : out.scales) byte = 0;
  for (int g = 0; g < 16; ++g) {
    const int scale = in.scales[g] + 32;
    out.scales[g % 8] = static_cast<std::uint8_t>(out.scales[g % 8] | (scale & 15) << (g / 8 * 4));
    std::uint8_t& high = out.scales[8 + g % 4];
    high = static_cast<std::uint8_t>(high | (scale >> 4) << (g / 4 * 2));
  }
  std::uint8_t codes[256];
  for (int i = 0; i < 256; ++i) codes[i] = static_cast<std::uint8_t>(in.codes[i] + 4);
  pack_two_bits(codes, out.qs);
  for (int i = 0; i < 32; ++i) out.hmask[i] = 0;
  for (int run = 0; run < 8; ++run) {
    for (int i = 0; i < 32; ++i) {
      const int third = codes[run * 32 + i] >> 2;
      out.hmask[i] = static_cast<std::uint8_t>(out.hmask[i] | third << run);
    }
  }
}

// Six bits each. Groups 0..3: scale in bytes 0..3, minimum in bytes 4..7 (low six bits). Groups
// 4..7: low nibbles in bytes 8..11 (scale low, minimum high), their top bits above the others'.
inline void unpack_scales_k4(const std::uint8_t (&from)[12], FittedBlock& out) noexcept {
  for (int g = 0; g < 4; ++g) {
    out.scales[g] = static_cast<std::int8_t>(from[g] & 63);
    out.mins[g] = from[g + 4] & 63;
    out.scales[g + 4] = static_cast<std::int8_t>((from[g + 8] & 15) | (from[g] >> 6) << 4);
    out.mins[g + 4] = static_cast<std::uint8_t>((from[g + 8] >> 4) | (from[g + 4] >> 6) << 4);
  }
}

inline void pack_scales_k4(const FittedBlock& in, std::uint8_t (&to)[12]) noexcept {
  for (int g = 0; g < 4; ++g) {
    const int scale = in.scales[g + 4];
    const int min = in.mins[g + 4];
    to[g] = static_cast<std::uint8_t>(in.scales[g] | (scale >> 4) << 6);
    to[g + 4] = static_cast<std::uint8_t>(in.mins[g] | (min >> 4) << 6);
    to[g + 8] = static_cast<std::uint8_t>((scale & 15) | (min & 15) << 4);
  }
}

inline void unpack(const BlockQ4_K& in, FittedBlock& out) noexcept {
  out.d = f16_to_float(in.d);
  out.m = -f16_to_float(in.dmin);
  unpack_scales_k4(in.scales, out);
  for (int pair = 0; pair < 4; ++pair) {
    for (int i = 0; i < 32; ++i) {
      const int byte = in.qs[pair * 32 + i];
      out.codes[pair * 64 + i] = static_cast<std::int16_t>(byte & 15);
      out.codes[pair * 64 + 32 + i] = static_cast<std::int16_t>(byte >> 4);
    }
  }
}

inline void pack(const FittedBlock& in, BlockQ4_K& out) noexcept {
  out.d = float_to_f16(in.d);
  out.dmin = float_to_f16(-in.m);
  pack_scales_k4(in, out.scales);
  for (int pair = 0; pair < 4; ++pair) {
    const std::int16_t* c = in.codes + pair * 64;
    for (int i = 0; i < 32; ++i) {
      out.qs[pair * 32 + i] = static_cast<std::uint8_t>(c[i] | c[i + 32] << 4);
    }
  }
}

inline void unpack(const BlockQ5_K& in, FittedBlock& out) noexcept {
  out.d = f16_to_float(in.d);
  out.m = -f16_to_float(in.dmin);
  unpack_scales_k4(in.scales, out);
  for (int pair = 0; pair < 4; ++pair) {
    for (int i = 0; i < 32; ++i) {
      const int byte = in.qs[pair * 32 + i];
      const int high = in.qh[i] >> (2 * pair);
      out.codes[pair * 64 + i] = static_cast<std::int16_t>((byte & 15) | (high & 1) << 4);
      out.codes[pair * 64 + 32 + i] = static_cast<std::int16_t>((byte >> 4) | (high & 2) << 3);
    }
  }
}

inline void pack(const FittedBlock& in, BlockQ5_K& out) noexcept {
  out.d = float_to_f16(in.d);
  out.dmin = float_to_f16(-in.m);
  pack_scales_k4(in, out.scales);
  for (int i = 0; i < 32; ++i) out.qh[i] = 0;
  for (int pair = 0; pair < 4; ++pair) {
    const std::int16_t* c = in.codes + pair * 64;
    for (int i = 0; i < 32; ++i) {
      out.qs[pair * 32 + i] = static_cast<std::uint8_t>((c[i] & 15) | (c[i + 32] & 15) << 4);
      const int high = (c[i] >> 4) | (c[i + 32] >> 4) << 1;
      out.qh[i] = static_cast<std::uint8_t>(out.qh[i] | high << (2 * pair));
    }
  }
}

inline void unpack(const BlockQ6_K& in, FittedBlock& out) noexcept {
  out.d = f16_to_float(in.d);
  for (int g = 0; g < 16; ++g) out.scales[g] = in.scales[g];
  for (int half = 0; half < 2; ++half) {
    const std::uint8_t* low = in.ql + half * 64;
    const std::uint8_t* high = in.qh + half * 32;
    std::int16_t* c = out.codes + half * 128;
    for (int i = 0; i < 32; ++i) {
      c[i] = static_cast<std::int16_t>(((low[i] & 15) | (high[i] & 3) << 4) - 32);
      c[i + 32] = static_cast<std::int16_t>(((low[i + 32] & 15) | ((high[i] >> 2) & 3) << 4) - 32);
      c[i + 64] = static_cast<std::int16_t>(((low[i] >> 4) | ((high[i] >> 4) & 3) << 4) - 32);
      c[i + 96] = static_cast<std::int16_t>(((low[i + 32] >> 4) | (high[i] >> 6) << 4) - 32);
    }
  }
}

inline void pack(const FittedBlock& in, BlockQ6_K& out) noexcept {
  out.d = float_to_f16(in.d);
  for (int g = 0; g < 16; ++g) out.scales[g] = in.scales[g];
  std::uint8_t codes[256];
  for (int i = 0; i < 256; ++i) codes[i] = static_cast<std::uint8_t>(in.codes[i] + 32);
  for (int half = 0; half < 2; ++half) {
    const std::uint8_t* c = codes + half * 128;
    for (int i = 0; i < 32; ++i) {
      out.ql[half * 64 + i] = static_cast<std::uint8_t>((c[i] & 15) | (c[i + 64] & 15) << 4);
      out.ql[half * 64 + 32 + i] =
          static_cast<std::uint8_t>((c[i + 32] & 15) | (c[i + 96] & 15) << 4);
      out.qh[half * 32 + i] = static_cast<std::uint8_t>(
          (c[i] >> 4) | (c[i + 32] >> 4) << 2 | (c[i + 64] >> 4) << 4 | (c[i + 96] >> 4) << 6);
    }
  }
}
