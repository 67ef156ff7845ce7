#include "runtime/mlx/plugin/calls.h"

#include <mlx/mlx.h>

#include <cstddef>
#include <utility>
#include <variant>

#include "base/error.h"

namespace pajamas::runtime {

namespace mx = mlx::core;

namespace {

// A small float's name is the mode's.
std::string mode_of(const Encoding& encoding) {
  return encoding.is_small_float() ? encoding.name() : "affine";
}

mx::array as_type(const mx::array& x, mx::Dtype type) {
  return x.dtype() == type ? x : mx::astype(x, type);
}

}  // namespace

mx::Dtype mlx_type(DType type) {
  switch (type) {
    case DType::kF32:
      return mx::float32;
    case DType::kF16:
      return mx::float16;
    case DType::kBF16:
      return mx::bfloat16;
    default:
      throw Error(ErrorCode::kUnsupported, "MLX has no such numbers");
  }
}

mx::array times(const mx::array& x, const MlxMatrix& matrix) {
  const Encoding& of = matrix.encoding;
  if (of.is_plain()) return mx::matmul(x, mx::transpose(as_type(matrix.weight, x.dtype())));
  return as_type(mx::quantized_matmul(x, matrix.weight, *matrix.scales, matrix.biases, true,
                                      of.group_size, of.bits, mode_of(of)),
                 x.dtype());
}

mx::array times_expert(const mx::array& x, const MlxMatrix& stack, const mx::array& experts) {
  const Encoding& of = stack.encoding;
  const mx::array rows = mx::expand_dims(x, 1);  // [n][1][cols]
  const mx::array products =
      of.is_plain()
          ? mx::gather_mm(rows, mx::swapaxes(as_type(stack.weight, x.dtype()), 1, 2), std::nullopt,
                          experts, true)
          : mx::gather_qmm(rows, stack.weight, *stack.scales, stack.biases, std::nullopt, experts,
                           true, of.group_size, of.bits, mode_of(of), std::nullopt, true);
  return as_type(mx::squeeze(products, 1), x.dtype());
}

mx::array rows_of(const MlxMatrix& matrix, const mx::array& rows, mx::Dtype type) {
  const Encoding& of = matrix.encoding;
  const mx::array weight = mx::take(matrix.weight, rows, 0);
  if (of.is_plain()) return as_type(weight, type);
  std::optional<mx::array> biases;
  if (matrix.biases) biases = mx::take(*matrix.biases, rows, 0);
  return mx::dequantize(weight, mx::take(*matrix.scales, rows, 0), biases, of.group_size, of.bits,
                        mode_of(of), std::nullopt, type);
}

mx::array attention_of(const mx::array& queries, const mx::array& keys, const mx::array& values,
                       float scale, const std::optional<mx::array>& mask,
                       const std::optional<mx::array>& sinks) {
  const char* const mode = mask ? "array" : queries.shape(2) > 1 ? "causal" : "";
  return mx::fast::scaled_dot_product_attention(queries, as_type(keys, queries.dtype()),
                                                as_type(values, queries.dtype()), scale, mode, mask,
                                                sinks);
}

KvPlanes codes_of(const mx::array& rows, const KvForm& form) {
  return mx::quantize(rows, form.group, form.bits);
}

mx::array decoded(const KvPlanes& codes, const KvForm& form, mx::Dtype type) {
  return mx::dequantize(codes[0], codes[1], codes[2], form.group, form.bits, "affine", std::nullopt,
                        type);
}

mx::array times_codes(const mx::array& x, const KvPlanes& codes, const KvForm& form,
                      bool transposed) {
  return as_type(
      mx::quantized_matmul(x, codes[0], as_type(codes[1], x.dtype()), as_type(codes[2], x.dtype()),
                           transposed, form.group, form.bits),
      x.dtype());
}

mx::array adopt(const void* bytes, mx::Shape shape, mx::Dtype type,
                std::shared_ptr<const void> keeper) {
  // Nothing writes to it: it is shared by whoever holds the matrix, and MLX writes in place only to
  // what nobody else holds.
  return mx::array(const_cast<void*>(bytes), std::move(shape), type,
                   [keeper = std::move(keeper)](void*) {});
}

void raise_wired_limit() noexcept {
  if (runs_on_processor()) return;
  try {
    const auto& facts = mx::device_info();
    const auto found = facts.find("max_recommended_working_set_size");
    if (found == facts.end()) return;
    if (const auto* const bytes = std::get_if<std::size_t>(&found->second))
      mx::set_wired_limit(*bytes);
  } catch (const std::exception&) {  // an older system has none
  }
}

std::uint64_t peak_bytes() noexcept { return mx::get_peak_memory(); }

std::string mlx_description() {
  return std::string("mlx ") + mx::version() + (runs_on_processor() ? " on cpu" : " on gpu");
}

bool runs_on_processor() { return mx::default_device() == mx::Device::cpu; }

}  // namespace pajamas::runtime
