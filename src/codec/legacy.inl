// Blocks of 32 with one scale: Q4_0, Q4_1, Q5_0, Q5_1, Q8_0, MXFP4. Included by codec/rows.inl.
#pragma once

inline void unpack(const BlockQ4_0& in, FittedBlock& out) noexcept {
  out.d = f16_to_float(in.d);
  for (int i = 0; i < 16; ++i) {
    out.codes[i] = static_cast<std::int16_t>((in.qs[i] & 15) - 8);
    out.codes[i + 16] = static_cast<std::int16_t>((in.qs[i] >> 4) - 8);
  }
}

inline void unpack(const BlockQ4_1& in, FittedBlock& out) noexcept {
  out.d = f16_to_float(in.d);
  out.m = f16_to_float(in.m);
  for (int i = 0; i < 16; ++i) {
    out.codes[i] = static_cast<std::int16_t>(in.qs[i] & 15);
    out.codes[i + 16] = static_cast<std::int16_t>(in.qs[i] >> 4);
  }
}

// Five bits: the nibbles of qs, and above them the bits of qh.
inline void unpack_five(const std::uint8_t (&qs)[16], const std::uint8_t (&qh)[4], int bias,
                        std::int16_t* codes) noexcept {
  std::uint32_t high;
  __builtin_memcpy(&high, qh, sizeof(high));
  for (int i = 0; i < 16; ++i) {
    const int low_code = (qs[i] & 15) | static_cast<int>((high >> i) & 1u) << 4;
    const int high_code = (qs[i] >> 4) | static_cast<int>((high >> (i + 16)) & 1u) << 4;
    codes[i] = static_cast<std::int16_t>(low_code - bias);
    codes[i + 16] = static_cast<std::int16_t>(high_code - bias);
  }
}

inline void unpack(const BlockQ5_0& in, FittedBlock& out) noexcept {
  out.d = f16_to_float(in.d);
  unpack_five(in.qs, in.qh, 16, out.codes);
}

inline void unpack(const BlockQ5_1& in, FittedBlock& out) noexcept {
  out.d = f16_to_float(in.d);
  out.m = f16_to_float(in.m);
  unpack_five(in.qs, in.qh, 0, out.codes);
}

inline void unpack(const BlockQ8_0& in, FittedBlock& out) noexcept {
  out.d = f16_to_float(in.d);
  for (int i = 0; i < 32; ++i) out.codes[i] = in.qs[i];
}

// Half of E8M0's value, since the table of codes holds doubled ones; e < 2 is subnormal.
inline float half_e8m0(std::uint8_t e) noexcept {
  return std::bit_cast<float>(e < 2 ? 0x00200000u << e : static_cast<std::uint32_t>(e - 1) << 23);
}

inline void unpack(const BlockMXFP4& in, FittedBlock& out) noexcept {
  out.d = half_e8m0(in.e);
  for (int i = 0; i < 16; ++i) {
    out.codes[i] = kMxfp4Values[in.qs[i] & 15];
    out.codes[i + 16] = kMxfp4Values[in.qs[i] >> 4];
  }
}

// d is a power of two; a block of zeros may have 0, which is stored as the smallest.
inline std::uint8_t e8m0_of_half(float d) noexcept {
  const auto bits = std::bit_cast<std::uint32_t>(d);
  if (bits < 0x00800000u) return bits < 0x00400000u ? 0 : 1;
  return static_cast<std::uint8_t>((bits >> 23) + 1);
}

// There is no minus zero among the codes, and none is stored.
inline unsigned e2m1_bits(std::int16_t code) noexcept {
  constexpr std::uint8_t kIndex[13] = {0, 1, 2, 3, 4, 0, 5, 0, 6, 0, 0, 0, 7};
  return code < 0 ? kIndex[-code] | 8u : kIndex[code];
}

inline void pack(const FittedBlock& in, BlockMXFP4& out) noexcept {
  out.e = e8m0_of_half(in.d);
  for (int i = 0; i < 16; ++i) {
    out.qs[i] =
        static_cast<std::uint8_t>(e2m1_bits(in.codes[i]) | e2m1_bits(in.codes[i + 16]) << 4);
  }
}

// MXFP4 in two planes: neighbouring columns share a byte, the first in its low nibble.
struct PlanarMxfp4Codec {
  static void unpack_at(const ConstPlanes& planes, std::size_t index, FittedBlock& out) noexcept {
    out.d = half_e8m0(static_cast<std::uint8_t>(planes.plane[1][index]));
    const std::byte* from = planes.plane[0].data() + index * 16;
    for (int i = 0; i < 16; ++i) {
      const auto pair = static_cast<unsigned>(from[i]);
      out.codes[2 * i] = kMxfp4Values[pair & 15];
      out.codes[2 * i + 1] = kMxfp4Values[pair >> 4];
    }
  }

  static void pack_at(const FittedBlock& in, const Planes& planes, std::size_t index) noexcept {
    planes.plane[1][index] = static_cast<std::byte>(e8m0_of_half(in.d));
    std::byte* to = planes.plane[0].data() + index * 16;
    for (int i = 0; i < 16; ++i) {
      to[i] =
          static_cast<std::byte>(e2m1_bits(in.codes[2 * i]) | e2m1_bits(in.codes[2 * i + 1]) << 4);
    }
  }
};

inline void pack(const FittedBlock& in, BlockQ4_0& out) noexcept {
  out.d = float_to_f16(in.d);
  for (int i = 0; i < 16; ++i) {
    out.qs[i] = static_cast<std::uint8_t>((in.codes[i] + 8) | (in.codes[i + 16] + 8) << 4);
  }
}

inline void pack(const FittedBlock& in, BlockQ4_1& out) noexcept {
  out.d = float_to_f16(in.d);
  out.m = float_to_f16(in.m);
  for (int i = 0; i < 16; ++i) {
    out.qs[i] = static_cast<std::uint8_t>(in.codes[i] | in.codes[i + 16] << 4);
  }
}

inline void pack_five(const std::int16_t* codes, int bias, std::uint8_t (&qs)[16],
                      std::uint8_t (&qh)[4]) noexcept {
  std::uint32_t high = 0;
  for (int i = 0; i < 16; ++i) {
    const auto a = static_cast<std::uint32_t>(codes[i] + bias);
    const auto b = static_cast<std::uint32_t>(codes[i + 16] + bias);
    qs[i] = static_cast<std::uint8_t>((a & 15u) | (b & 15u) << 4);
    high |= (a >> 4) << i | (b >> 4) << (i + 16);
  }
  __builtin_memcpy(qh, &high, sizeof(high));
}

inline void pack(const FittedBlock& in, BlockQ5_0& out) noexcept {
  out.d = float_to_f16(in.d);
  pack_five(in.codes, 16, out.qs, out.qh);
}

inline void pack(const FittedBlock& in, BlockQ5_1& out) noexcept {
  out.d = float_to_f16(in.d);
  out.m = float_to_f16(in.m);
  pack_five(in.codes, 0, out.qs, out.qh);
}

inline void pack(const FittedBlock& in, BlockQ8_0& out) noexcept {
  out.d = float_to_f16(in.d);
  for (int i = 0; i < 32; ++i) out.qs[i] = static_cast<std::int8_t>(in.codes[i]);
}
