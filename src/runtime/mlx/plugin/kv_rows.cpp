#include "runtime/mlx/plugin/kv_rows.h"

#include <mlx/ops.h>

#include <bit>
#include <utility>

#include "base/error.h"
#include "runtime/mlx/plugin/calls.h"

namespace pajamas::runtime {

namespace mx = mlx::core;

namespace {

mx::Dtype number_type(KvType type) noexcept {
  return type == KvType::kF32 ? mx::float32 : type == KvType::kBF16 ? mx::bfloat16 : mx::float16;
}

int code_bits(KvType type) noexcept {
  return type == KvType::kQ8_0 ? 8 : type == KvType::kQ4_0 ? 4 : type == KvType::kQ3_0 ? 3 : 0;
}

// [heads][begin, end)[...]
mx::array positions_of(const mx::array& plane, int begin, int end) {
  if (begin == 0 && end == plane.shape(1)) return plane;
  return mx::slice(plane, {0, begin, 0}, {plane.shape(0), end, plane.shape(2)});
}

// x [heads][n][k] with each head's rows, or with their transpose.
mx::array times_rows(const mx::array& x, const KvPlanes& planes, const KvForm& form,
                     bool transposed) {
  if (form.bits != 0) return times_codes(x, planes, form, transposed);
  const mx::array numbers = mx::astype(planes[0], x.dtype());
  return mx::matmul(x, transposed ? mx::swapaxes(numbers, 1, 2) : numbers);
}

}  // namespace

KvForm::KvForm(KvType kv, int head_dim)
    : type(number_type(kv)),
      dim(head_dim),
      bits(code_bits(kv)),
      group(head_dim % 64 == 0 ? 64 : 32),
      rotated(info(kv).rotated && std::has_single_bit(static_cast<unsigned>(head_dim))) {
  if (bits != 0 && head_dim % group != 0) {
    throw Error(ErrorCode::kUnsupported,
                "MLX has no codes for keys and values of " + std::to_string(head_dim) + " numbers",
                "use --kv-cache f16 or f32");
  }
}

KvPlanes stored_as(const mx::array& rows, const KvForm& form) {
  if (form.bits == 0) return {mx::astype(rows, form.type)};
  return codes_of(mx::astype(form.rotated ? mx::hadamard_transform(rows) : rows, form.type), form);
}

KvPlanes no_rows(int heads, int positions, const KvForm& form) {
  if (form.bits == 0) return {mx::zeros({heads, positions, form.dim}, form.type)};
  const mx::array scales = mx::zeros({heads, positions, form.dim / form.group}, form.type);
  return {mx::zeros({heads, positions, form.dim * form.bits / 32}, mx::uint32), scales, scales};
}

mx::array numbers_of(const KvPlanes& planes, const KvForm& form, mx::Dtype type) {
  return form.bits == 0 ? mx::astype(planes[0], type) : decoded(planes, form, type);
}

KvPlanes KvPiece::rows() const {
  KvPlanes out;
  for (const mx::array& plane : *planes) out.push_back(positions_of(plane, begin, end));
  return out;
}

KvPlanes joined(std::span<const KvPiece> pieces) {
  if (pieces.size() == 1) return pieces[0].rows();
  KvPlanes out;
  for (std::size_t plane = 0; plane < pieces[0].planes->size(); ++plane) {
    std::vector<mx::array> parts;
    for (const KvPiece& piece : pieces)
      parts.push_back(positions_of((*piece.planes)[plane], piece.begin, piece.end));
    out.push_back(mx::concatenate(std::move(parts), 1));
  }
  return out;
}

mx::array attention_over(const mx::array& queries, std::span<const KvPiece> keys,
                         std::span<const KvPiece> values, const KvForm& form, float scale,
                         const std::optional<mx::array>& sinks) {
  const int heads = queries.shape(1), kv_heads = keys[0].planes->at(0).shape(0);
  const int each = heads / kv_heads;
  // Scores of 16 bits would cost percents of a weight.
  const mx::array asked = mx::reshape(
      mx::multiply(mx::astype(queries, mx::float32), mx::array(scale)), {kv_heads, each, form.dim});
  std::vector<mx::array> scores;
  if (sinks) {
    scores.push_back(mx::reshape(mx::astype(*sinks, asked.dtype()), {kv_heads, each, 1}));
  }
  for (const KvPiece& piece : keys) scores.push_back(times_rows(asked, piece.rows(), form, true));
  const mx::array weights =
      mx::softmax(scores.size() == 1 ? scores[0] : mx::concatenate(std::move(scores), 2), 2, true);

  std::optional<mx::array> out;
  int at = sinks ? 1 : 0;
  for (const KvPiece& piece : values) {
    const mx::array own = mx::slice(weights, {0, 0, at}, {kv_heads, each, at + piece.size()});
    at += piece.size();
    const mx::array mixed = times_rows(own, piece.rows(), form, false);
    out = out ? mx::add(*out, mixed) : mixed;
  }
  return mx::reshape(mx::astype(*out, queries.dtype()), {1, heads, 1, form.dim});
}

}  // namespace pajamas::runtime
