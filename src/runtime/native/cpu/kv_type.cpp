#include "runtime/native/cpu/kv_type.h"

#include <fmt/format.h>

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstring>
#include <limits>
#include <vector>

#include "base/error.h"
#include "codec/codec.h"
#include "codec/fitted.h"
#include "codec/formats.h"
#include "codec/room.h"
#include "kernels/math.h"
#include "runtime/native/cpu/aligned.h"
#include "tensor/convert.h"

namespace pajamas::runtime {
namespace {

constexpr std::size_t kBlock = 32;
constexpr float kMaxF16 = 65504;

// Nearest code of 3 bits, as a signed number.
float q3_code(float ratio) noexcept {
  const float clamped = std::min(std::max(ratio, -4.0f), 3.0f);
  return (clamped + 12582912.0f) - 12582912.0f;  // 1.5 * 2^23: rounds to a whole number
}

// The best scale, as stored, when the codes are those nearest under `step`; and its squared error.
struct Q3Fit {
  float d = 0;
  float error = 0;
};
Q3Fit q3_fit(const float* x, float step) noexcept {
  constexpr std::size_t kSums = 8;  // side by side, for the compiler's vectors
  float codes[kBlock];
  float xq[kSums] = {}, qq[kSums] = {}, errors[kSums] = {};
  const float inverse = 1 / step;
  for (std::size_t i = 0; i < kBlock; ++i) codes[i] = q3_code(x[i] * inverse);
  for (std::size_t i = 0; i < kBlock; i += kSums) {
    for (std::size_t j = 0; j < kSums; ++j) {
      xq[j] += x[i + j] * codes[i + j];
      qq[j] += codes[i + j] * codes[i + j];
    }
  }
  float product = 0, square = 0;
  for (std::size_t j = 0; j < kSums; ++j) {
    product += xq[j];
    square += qq[j];
  }
  const float d = std::clamp(product / square, -kMaxF16, kMaxF16);
  Q3Fit fit{f16_to_float(float_to_f16(d)), 0};
  for (std::size_t i = 0; i < kBlock; i += kSums) {
    for (std::size_t j = 0; j < kSums; ++j) {
      const float error = x[i + j] - fit.d * codes[i + j];
      errors[j] += error * error;
    }
  }
  for (const float error : errors) fit.error += error;
  return fit;
}

// The value of largest size stands at a code between -3 and -4.5: what is best depends on how much
// it stands out.
float q3_scale(const float* x) noexcept {
  float top = 0;
  for (std::size_t i = 0; i < kBlock; ++i) {
    if (std::abs(x[i]) > std::abs(top)) top = x[i];
  }
  if (std::abs(top) < 1e-6f) return 0;  // float16 has no such scales
  Q3Fit best{0, std::numeric_limits<float>::infinity()};
  for (const float at : {-4.4f, -4.2f, -4.0f, -3.8f, -3.6f, -3.4f, -3.2f, -3.0f}) {
    const Q3Fit fit = q3_fit(x, top / at);
    if (fit.error <= best.error) best = fit;
  }
  return best.d;
}

void encode_q3(const float* x, std::byte* out) noexcept {
  const float d = q3_scale(x);
  std::uint8_t low[8] = {}, high[4] = {};
  for (std::size_t i = 0; i < kBlock; ++i) {
    const auto code = static_cast<unsigned>(d == 0 ? 4 : static_cast<int>(q3_code(x[i] / d)) + 4);
    low[i % 8] = static_cast<std::uint8_t>(low[i % 8] | (code & 3u) << (i / 8 * 2));
    high[i % 4] = static_cast<std::uint8_t>(high[i % 4] | (code >> 2) << (i / 4));
  }
  const std::uint16_t scale = float_to_f16(d);
  std::memcpy(out, &scale, sizeof(scale));
  std::memcpy(out + 2, low, sizeof(low));
  std::memcpy(out + 10, high, sizeof(high));
}

template <class Code>
void scale_codes(std::uint16_t scale, const Code (&codes)[kBlock], int bias, float* out) noexcept {
  const float d = f16_to_float(scale);
  for (std::size_t i = 0; i < kBlock; ++i) {
    out[i] = d * static_cast<float>(static_cast<int>(codes[i]) - bias);
  }
}

// Eight codes at a time, in the bytes of a word.
void decode_q3(const std::byte* from, float* out) noexcept {
  std::uint16_t scale;
  std::uint64_t low;
  std::uint32_t high;
  std::memcpy(&scale, from, sizeof(scale));
  std::memcpy(&low, from + 2, sizeof(low));
  std::memcpy(&high, from + 10, sizeof(high));
  constexpr std::uint64_t kOnes = 0x01010101u;
  std::uint8_t codes[kBlock];
  for (unsigned run = 0; run < 4; ++run) {
    const std::uint64_t top = ((high >> (2 * run)) & kOnes) | ((high >> (2 * run + 1)) & kOnes)
                                                                  << 32;
    const std::uint64_t eight = ((low >> (2 * run)) & 0x0303030303030303u) | top << 2;
    std::memcpy(codes + 8 * run, &eight, sizeof(eight));
  }
  scale_codes(scale, codes, 4, out);
}

// The same values as codec::decode_rows, which goes by way of a general block: attention reads the
// whole cache for every token.
void decode_q4(const std::byte* from, float* out) noexcept {
  std::uint16_t scale;
  std::uint64_t pairs[2];
  std::memcpy(&scale, from + offsetof(codec::Q4_0::Block, d), sizeof(scale));
  std::memcpy(pairs, from + offsetof(codec::Q4_0::Block, qs), sizeof(pairs));
  constexpr std::uint64_t kNibbles = 0x0F0F0F0F0F0F0F0Fu;
  std::uint8_t codes[kBlock];
  for (unsigned run = 0; run < 4; ++run) {
    const std::uint64_t eight = (pairs[run % 2] >> (run / 2 * 4)) & kNibbles;
    std::memcpy(codes + 8 * run, &eight, sizeof(eight));
  }
  scale_codes(scale, codes, -codec::Q4_0::kFormat.grid.min_code, out);
}

template <auto kDecode>
void decode_blocks(const KvRow& row, std::span<const std::byte> rows,
                   std::span<float> out) noexcept {
  for (std::size_t i = 0; i < out.size() / kBlock; ++i) {
    kDecode(rows.data() + i * info(row.type).block_bytes, out.data() + i * kBlock);
  }
}

// What a type has room for; in blocks the largest value stands at the code of largest size.
float largest_value(KvType type) noexcept {
  switch (type) {
    case KvType::kQ8_0:
    case KvType::kQ4_0:
      return static_cast<float>(-codec::grid_of({*info(type).type}).min_code) * kMaxF16;
    case KvType::kQ3_0:
      return 4 * kMaxF16;
    default:
      return codec::always_room({.dtype = *info(type).type});
  }
}

void require_room(KvType type, std::span<const float> values) {
  const float most = largest_value(type);
  for (std::size_t at = 0;; ++at) {
    at += codec::first_beyond(values.subspan(at), most);
    if (at == values.size()) return;
    if (!std::isfinite(values[at])) continue;  // told elsewhere: it comes from the weights
    throw Error(ErrorCode::kUnsupported,
                fmt::format("a key or value of {:.6g} has no room in a cache of {}, which ends at "
                            "{:.6g}",
                            values[at], info(type).name, most),
                type == KvType::kBF16 ? "add --kv-cache f32" : "add --kv-cache bf16");
  }
}

// The rows with their filling, transformed where the type has it so.
void prepare_values(const KvRow& row, std::span<const float> values, FloatBuffer& out) {
  const std::size_t count = values.size() / row.dim;
  out.assign(count * row.stored, 0);
  for (std::size_t i = 0; i < count; ++i) {
    const auto to = std::span(out).subspan(i * row.stored, row.dim);
    std::ranges::copy(values.subspan(i * row.dim, row.dim), to.begin());
    if (info(row.type).rotated) kernels::hadamard(to);
  }
}

}  // namespace

void encode_kv(const kernels::KernelTable& kernels, const KvRow& row, std::span<const float> values,
               std::span<std::byte> out) {
  const std::size_t count = values.size() / row.dim;
  PJ_CHECK(values.size() == count * row.dim && out.size() == count * row.bytes);
  if (info(row.type).block == 1) {
    require_room(row.type, values);
    return from_floats(*info(row.type).type, values, out);
  }
  thread_local FloatBuffer prepared;
  prepare_values(row, values, prepared);
  std::vector<std::size_t> broken;  // rows that the search for scales has no place for
  for (std::size_t i = 0; i < count; ++i) {
    const auto one = std::span(prepared).subspan(i * row.stored, row.stored);
    if (codec::first_non_finite(one) == one.size()) continue;
    std::ranges::fill(one, 0.0f);
    broken.push_back(i);
  }
  require_room(row.type, prepared);
  if (row.type == KvType::kQ3_0) {
    for (std::size_t i = 0; i < prepared.size() / kBlock; ++i) {
      encode_q3(prepared.data() + i * kBlock, out.data() + i * info(row.type).block_bytes);
    }
  } else {
    kernels.encode_rows({*info(row.type).type}, prepared, {}, prepared.size(), {{out}});
  }
  for (const std::size_t i : broken) {  // all ones are NaN as a scale
    std::ranges::fill(out.subspan(i * row.bytes, row.bytes), std::byte{0xFF});
  }
}

void decode_kv(const kernels::MathKernels& math, const KvRow& row, std::span<const std::byte> rows,
               std::span<float> out) noexcept {
  switch (row.type) {
    case KvType::kF16:
      return math.widen_f16(rows.data(), out.size(), out.data());
    case KvType::kBF16:
      return math.widen_bf16(rows.data(), out.size(), out.data());
    case KvType::kQ8_0:
      return math.widen_q8_0(rows.data(), out.size(), out.data());
    case KvType::kQ4_0:
      return decode_blocks<decode_q4>(row, rows, out);
    case KvType::kQ3_0:
      return decode_blocks<decode_q3>(row, rows, out);
    case KvType::kF32:
      break;
  }
  std::memcpy(out.data(), rows.data(), out.size_bytes());
}

}  // namespace pajamas::runtime
