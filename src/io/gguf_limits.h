// Facts of the GGUF format that reader and writer share.
#pragma once

#include <cstdint>
#include <string_view>

#include "tensor/dtype.h"
#include "tensor/shape.h"

namespace pajamas::io {

inline constexpr std::string_view kGgufMagic = "GGUF";
inline constexpr std::uint32_t kGgufVersion = 3;
inline constexpr std::string_view kGgufAlignmentKey = "general.alignment";
inline constexpr std::uint64_t kGgufAlignment = 32;    // where the key is absent
inline constexpr std::size_t kMaxGgufTensorName = 63;  // ggml keeps 64 bytes with the last a zero
inline constexpr std::size_t kMaxGgufKey = 65535;

// Bytes of a tensor in a GGUF file, without padding; its rows are whole blocks. Throws on overflow.
std::uint64_t gguf_tensor_bytes(DType dtype, const Shape& shape);

}  // namespace pajamas::io
