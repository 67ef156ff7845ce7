#include "runtime/native/tap_reader.h"

namespace pajamas::runtime {

void TapReader::show(LinearTap& tap, std::span<const Projection> products, FloatView x,
                     std::span<const std::uint32_t> batch_rows) {
  keys_.clear();
  for (const Projection& product : products) keys_.push_back(product.matrix);
  tap.input(keys_, {device_.read(x, values_), x.rows}, batch_rows);
}

void TapReader::show_experts(LinearTap& tap, std::span<const Projection> products,
                             const Routing& routing, FloatView x) {
  const std::span<const std::uint32_t> begin = device_.read(routing.begin, begin_);
  const std::span<const std::uint32_t> rows = device_.read(routing.rows, rows_);
  const std::span<const float> values = device_.read(x, values_);
  for (std::size_t e = 0; e + 1 < begin.size(); ++e) {
    const std::size_t first = begin[e], count = begin[e + 1] - first;
    if (count == 0) continue;
    keys_.clear();
    for (const Projection& product : products) {
      keys_.push_back(product.matrix);
      keys_.back().expert = static_cast<int>(e);
    }
    tap.input(keys_, {values.subspan(first * x.cols, count * x.cols), count},
              rows.subspan(first, count));
  }
}

}  // namespace pajamas::runtime
