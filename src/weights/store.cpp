#include "weights/store.h"

#include "base/error.h"

namespace pajamas::weights {

WeightLease WeightStore::acquire(model::TensorKey key) const {
  std::vector<WeightLease> leases;
  acquire(std::span(&key, 1), leases);
  return std::move(leases.front());
}

WeightView rows_of(const WeightView& all, std::uint64_t first, std::uint64_t count) {
  PJ_CHECK(count > 0 && first <= all.rows && count <= all.rows - first);
  WeightView some = all;
  some.rows = count;
  for (std::size_t p = 0; p < all.encoding.planes(); ++p) {
    WeightPlane& plane = some.planes[p];
    const std::uint64_t sharing = all.encoding.rows_sharing(p);
    PJ_CHECK(first % sharing == 0);
    // From the last row on, as much lies behind it as does in the whole.
    const std::uint64_t last_of_all = (all.rows - 1) / sharing;
    const std::uint64_t last = (first + count - 1) / sharing;
    const std::uint64_t row = plane.bytes.size() - last_of_all * plane.row_step;
    const std::uint64_t begin = first / sharing;
    plane.bytes =
        plane.bytes.subspan(begin * plane.row_step, (last - begin) * plane.row_step + row);
  }
  return some;
}

}  // namespace pajamas::weights
