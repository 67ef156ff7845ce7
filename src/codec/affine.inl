// MLX affine: three planes; codes are one bitstream a row, lowest bit first, so that eight codes
// fill `bits` bytes. Included by codec/rows.inl.
#pragma once

template <int kBits>
void unpack_stream(const std::byte* from, int count, std::int16_t* codes) noexcept {
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
void pack_stream(const std::int16_t* codes, int count, std::byte* to) noexcept {
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

// Calls Action::run<kBits> with a number of bits that is known.
template <class Action, std::size_t kAt = 0, class... Arguments>
inline void with_bits(int bits, const Arguments&... arguments) noexcept {
  if constexpr (kAt < kAffineBits.size()) {
    if (bits == kAffineBits[kAt]) return Action::template run<kAffineBits[kAt]>(arguments...);
    with_bits<Action, kAt + 1>(bits, arguments...);
  }
}
struct UnpackCodes {
  template <int kBits>
  static void run(const std::byte* from, int count, std::int16_t* codes) noexcept {
    unpack_stream<kBits>(from, count, codes);
  }
};
struct PackCodes {
  template <int kBits>
  static void run(const std::int16_t* codes, int count, std::byte* to) noexcept {
    pack_stream<kBits>(codes, count, to);
  }
};

struct AffineCodec {
  Encoding encoding;

  std::size_t group_bytes() const noexcept {
    return static_cast<std::size_t>(encoding.group_size) * encoding.bits / 8;
  }

  void unpack_at(const ConstPlanes& planes, std::size_t index, FittedBlock& out) const noexcept {
    const std::byte* from = planes.plane[0].data() + index * group_bytes();
    with_bits<UnpackCodes>(encoding.bits, from, int{encoding.group_size}, out.codes + 0);
    out.d = load_scale(encoding.dtype, planes.plane[1].data(), index);
    out.m = load_scale(encoding.dtype, planes.plane[2].data(), index);
  }

  void pack_at(const FittedBlock& in, const Planes& planes, std::size_t index) const noexcept {
    std::byte* to = planes.plane[0].data() + index * group_bytes();
    with_bits<PackCodes>(encoding.bits, in.codes + 0, int{encoding.group_size}, to);
    store_scale(encoding.dtype, in.d, planes.plane[1].data(), index);
    store_scale(encoding.dtype, in.m, planes.plane[2].data(), index);
  }
};
