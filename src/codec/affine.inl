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

// Four codes of 16 bits each as one word, to four of kBits.
template <int kBits>
std::uint64_t pack_four(const std::int16_t* codes) noexcept {
  std::uint64_t word;
  __builtin_memcpy(&word, codes, 8);
  constexpr std::uint64_t kTwo = (std::uint64_t{1} << (2 * kBits)) - 1;
  word = (word | word >> (16 - kBits)) & (kTwo | kTwo << 32);
  return (word | word >> (32 - 2 * kBits)) & ((std::uint64_t{1} << (4 * kBits)) - 1);
}

template <int kBits>
void pack_codes(const std::int16_t* codes, int count, std::byte* to) noexcept {
  for (int i = 0; i < count; i += 8, to += kBits) {
    const std::uint64_t word = pack_four<kBits>(codes + i) | pack_four<kBits>(codes + i + 4)
                                                                 << (4 * kBits);
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
