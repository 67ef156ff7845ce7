// MLX affine: three planes; codes are one bitstream a row, lowest bit first, so that eight codes
// fill `bits` bytes. Included by codec/rows.inl.
#pragma once

template <int kBits>
void unpack_codes(const std::byte* from, int count, std::int16_t* codes) noexcept {
  for (int i = 0; i < count; i += 8, from += kBits) {
    std::uint64_t word = 0;
    __builtin_memcpy(&word, from, kBits);
    for (int k = 0; k < 8; ++k) {
      codes[i + k] = static_cast<std::int16_t>((word >> (k * kBits)) & ((1u << kBits) - 1u));
    }
  }
}

template <int kBits>
void pack_codes(const std::int16_t* codes, int count, std::byte* to) noexcept {
  for (int i = 0; i < count; i += 8, to += kBits) {
    std::uint64_t word = 0;
    for (int k = 0; k < 8; ++k) {
      word |= static_cast<std::uint64_t>(static_cast<std::uint16_t>(codes[i + k])) << (k * kBits);
    }
    __builtin_memcpy(to, &word, kBits);
  }
}

inline float load_scale(DType type, const std::byte* from, std::size_t index) noexcept {
  if (type == DType::kF32) {
    float value;
    __builtin_memcpy(&value, from + index * 4, 4);
    return value;
  }
  std::uint16_t bits;
  __builtin_memcpy(&bits, from + index * 2, 2);
  return type == DType::kBF16 ? bf16_to_float(bits) : f16_to_float(bits);
}

inline void store_scale(DType type, float value, std::byte* to, std::size_t index) noexcept {
  if (type == DType::kF32) {
    __builtin_memcpy(to + index * 4, &value, 4);
    return;
  }
  const std::uint16_t bits = type == DType::kBF16 ? float_to_bf16(value) : float_to_f16(value);
  __builtin_memcpy(to + index * 2, &bits, 2);
}

struct AffineCodec {
  Encoding encoding;

  void unpack_at(const ConstPlanes& planes, std::size_t index, FittedBlock& out) const noexcept {
    const int n = encoding.group_size;
    const std::byte* from =
        planes.plane[0].data() + index * static_cast<std::size_t>(n) * encoding.bits / 8;
    switch (encoding.bits) {
      case 2:
        unpack_codes<2>(from, n, out.codes);
        break;
      case 3:
        unpack_codes<3>(from, n, out.codes);
        break;
      case 4:
        unpack_codes<4>(from, n, out.codes);
        break;
      case 5:
        unpack_codes<5>(from, n, out.codes);
        break;
      case 6:
        unpack_codes<6>(from, n, out.codes);
        break;
      default:
        unpack_codes<8>(from, n, out.codes);
        break;
    }
    out.d = load_scale(encoding.dtype, planes.plane[1].data(), index);
    out.m = load_scale(encoding.dtype, planes.plane[2].data(), index);
  }

  void pack_at(const FittedBlock& in, const Planes& planes, std::size_t index) const noexcept {
    const int n = encoding.group_size;
    std::byte* to =
        planes.plane[0].data() + index * static_cast<std::size_t>(n) * encoding.bits / 8;
    switch (encoding.bits) {
      case 2:
        pack_codes<2>(in.codes, n, to);
        break;
      case 3:
        pack_codes<3>(in.codes, n, to);
        break;
      case 4:
        pack_codes<4>(in.codes, n, to);
        break;
      case 5:
        pack_codes<5>(in.codes, n, to);
        break;
      case 6:
        pack_codes<6>(in.codes, n, to);
        break;
      default:
        pack_codes<8>(in.codes, n, to);
        break;
    }
    store_scale(encoding.dtype, in.d, planes.plane[1].data(), index);
    store_scale(encoding.dtype, in.m, planes.plane[2].data(), index);
  }
};
