#include "runtime/mlx/plugin/matrices.h"

#include <mlx/ops.h>
#include <mlx/transforms.h>

#include <cstring>
#include <utility>
#include <vector>

#include "base/error.h"

namespace pajamas::runtime {

namespace mx = mlx::core;
using model::Role;
using model::TensorKey;

namespace {

// One plane of a matrix, [..., words] where `words` fill a row of `row_bytes`.
mx::array plane_array(const weights::WeightPlane& plane, std::uint64_t rows,
                      std::uint64_t row_bytes, std::uint64_t number_bytes, mx::Shape shape,
                      mx::Dtype type, const std::shared_ptr<const void>& keeper) {
  if (plane.col_step == 0 && plane.row_step == row_bytes) {
    return adopt(plane.bytes.data(), std::move(shape), type, keeper);
  }
  auto copy = std::make_shared<std::vector<std::byte>>(rows * row_bytes);
  for (std::uint64_t r = 0; r < rows; ++r) {
    const std::byte* const from = plane.bytes.data() + r * plane.row_step;
    std::byte* const to = copy->data() + r * row_bytes;
    if (plane.col_step == 0) {
      std::memcpy(to, from, row_bytes);
      continue;
    }
    for (std::uint64_t c = 0; c < row_bytes / number_bytes; ++c) {
      std::memcpy(to + c * number_bytes, from + c * plane.col_step, number_bytes);
    }
  }
  const void* const bytes = copy->data();
  return adopt(bytes, std::move(shape), type, std::move(copy));
}

bool is_of_experts(Role role) noexcept {
  return role >= Role::kExpertGate && role <= Role::kExpertDownBias;
}

// Whether the rows of each lease begin where those of the one before end, in all planes.
bool lie_side_by_side(std::span<const weights::WeightLease> leases) {
  for (std::size_t i = 1; i < leases.size(); ++i) {
    const weights::WeightView& before = leases[i - 1].view();
    for (std::size_t p = 0; p < before.encoding.planes(); ++p) {
      const weights::WeightPlane& plane = before.planes[p];
      if (plane.col_step != 0 || leases[i].view().planes[p].bytes.data() !=
                                     plane.bytes.data() + before.rows * plane.row_step)
        return false;
    }
  }
  return true;
}

// The planes of a view, whose rows are those of a matrix, or of a stack of `stacked`.
MlxMatrix matrix_of(const weights::WeightView& view, std::uint64_t stacked,
                    const std::shared_ptr<const void>& keeper) {
  const Encoding encoding = view.encoding;
  const auto plane = [&](std::size_t p, mx::Dtype type) {
    const std::uint64_t row_bytes = encoding.plane_row_bytes(p, view.cols);
    mx::Shape shape{static_cast<int>(view.rows / stacked),
                    static_cast<int>(row_bytes / mx::size_of(type))};
    if (stacked > 1) shape.insert(shape.begin(), static_cast<int>(stacked));
    return plane_array(view.planes[p], view.rows, row_bytes, mx::size_of(type), std::move(shape),
                       type, keeper);
  };
  if (encoding.is_plain()) return {encoding, plane(0, mlx_type(encoding.dtype)), {}, {}};
  if (encoding.is_small_float()) {
    return {encoding, plane(0, mx::uint32), plane(1, mx::uint8), {}};
  }
  if (!encoding.is_affine()) {
    throw Error(ErrorCode::kUnsupported,
                "the backend \"mlx\" does not run weights stored as " + encoding.name());
  }
  const mx::Dtype scale = mlx_type(encoding.dtype);
  return {encoding, plane(0, mx::uint32), plane(1, scale), plane(2, scale)};
}

// Several of one form as a stack; a copy.
MlxMatrix stack_of(const std::vector<MlxMatrix>& parts) {
  const auto stacked = [&](auto&& member) {
    std::vector<mx::array> arrays;
    for (const MlxMatrix& part : parts) arrays.push_back(member(part));
    mx::array out = mx::stack(arrays, 0);
    mx::eval(out);
    return out;
  };
  MlxMatrix out{parts[0].encoding, stacked([](const MlxMatrix& m) { return m.weight; }), {}, {}};
  if (parts[0].scales) out.scales = stacked([](const MlxMatrix& m) { return *m.scales; });
  if (parts[0].biases) out.biases = stacked([](const MlxMatrix& m) { return *m.biases; });
  return out;
}

}  // namespace

MlxMatrices::MlxMatrices(std::shared_ptr<const weights::WeightStore> store, mx::Dtype type)
    : store_(std::move(store)), type_(type) {}

// Experts may be parts of a file each, or of several.
std::vector<TensorKey> MlxMatrices::parts_of(TensorKey key) const {
  std::vector<TensorKey> parts(is_of_experts(key.role) ? config().experts : 1, key);
  for (std::size_t e = 0; e < parts.size() && is_of_experts(key.role); ++e)
    parts[e].expert = static_cast<int>(e);
  return parts;
}

void MlxMatrices::prefetch(std::span<const TensorKey> keys) const noexcept {
  try {
    for (const TensorKey key : keys) {
      if (!matrices_.contains(key) && has(key)) store_->prefetch(parts_of(key));
    }
  } catch (const std::bad_alloc&) {  // it was a hint
  }
}

MlxMatrix MlxMatrices::make(TensorKey key) const {
  const std::vector<TensorKey> keys = parts_of(key);
  std::vector<weights::WeightLease> leases;
  store_->acquire(keys, leases);
  using Kept =
      std::pair<std::shared_ptr<const weights::WeightStore>, std::vector<weights::WeightLease>>;
  const auto kept = std::make_shared<const Kept>(store_, std::move(leases));
  const std::vector<weights::WeightLease>& held = kept->second;
  MlxMatrix out = [&] {
    weights::WeightView all = held[0].view();
    if (lie_side_by_side(held)) {
      all.rows *= held.size();
      return matrix_of(all, held.size(), kept);
    }
    std::vector<MlxMatrix> parts;
    for (const weights::WeightLease& lease : held)
      parts.push_back(matrix_of(lease.view(), 1, kept));
    return stack_of(parts);
  }();
  if (out.biases) {
    out.scales = mx::astype(*out.scales, type_);
    out.biases = mx::astype(*out.biases, type_);
    mx::eval(*out.scales, *out.biases);
  }
  return out;
}

const MlxMatrix& MlxMatrices::of(TensorKey key) {
  const auto found = matrices_.find(key);
  if (found != matrices_.end()) return found->second;
  return matrices_.emplace(key, make(key)).first->second;
}

const mx::array* MlxMatrices::vector(TensorKey key) {
  auto found = vectors_.find(key);
  if (found == vectors_.end()) {
    std::optional<mx::array> made;
    if (has(key)) {
      const mx::array numbers = make(key).weight;
      const int cols = numbers.shape(-1), rows = static_cast<int>(numbers.size()) / cols;
      made = mx::reshape(mx::astype(numbers, type_),
                         rows == 1 ? mx::Shape{cols} : mx::Shape{rows, cols});
      mx::eval(*made);
    }
    found = vectors_.emplace(key, std::move(made)).first;
  }
  return found->second ? &*found->second : nullptr;
}

}  // namespace pajamas::runtime
