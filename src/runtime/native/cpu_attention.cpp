// The attention half of a layer on the CPU engine.
#include "kernels/math.h"
#include "runtime/native/attention.h"
#include "runtime/native/cpu_engine.h"
#include "runtime/native/cpu_hidden.h"

namespace pajamas::runtime {

using model::Role;

void CpuEngine::rotate(const CpuHidden& hidden, std::span<float> rows, std::uint64_t heads) const {
  const std::size_t dim = config().head_dim;
  const auto turn = config().rope_interleaved ? kernels::rope_interleaved : kernels::rope;
  for (std::size_t i = 0; i < hidden.count; ++i) {
    const auto cos = std::span(hidden.cos).subspan(i * hidden.half, hidden.half);
    const auto sin = std::span(hidden.sin).subspan(i * hidden.half, hidden.half);
    for (std::uint64_t head = 0; head < heads; ++head) {
      turn(rows.subspan((i * heads + head) * dim, dim), cos, sin);
    }
  }
}

void CpuEngine::attention(int layer, CpuHidden& hidden, Batch batch) {
  const FloatBuffer x = normed({Role::kAttnNorm, layer}, hidden.values);
  const Rows rows{x, hidden.count};
  FloatBuffer queries = project({Role::kAttnQ, layer}, rows);
  FloatBuffer keys = project({Role::kAttnK, layer}, rows);
  FloatBuffer values = project({Role::kAttnV, layer}, rows);
  add_bias({Role::kAttnQBias, layer}, queries);
  add_bias({Role::kAttnKBias, layer}, keys);
  add_bias({Role::kAttnVBias, layer}, values);
  rotate(hidden, queries, config().heads);
  rotate(hidden, keys, config().kv_heads);
  const std::size_t width = config().kv_rows();
  for (std::size_t i = 0; i < batch.size(); ++i) {
    session(batch[i].session)
        .put(static_cast<std::uint64_t>(layer), batch[i].position,
             std::span(keys).subspan(i * width, width),
             std::span(values).subspan(i * width, width));
  }
  const FloatBuffer mixed = attend_rows(layer, batch, queries);
  hidden.add(project({Role::kAttnOutput, layer}, {mixed, hidden.count}));
}

FloatBuffer CpuEngine::attend_rows(int layer, Batch batch, std::span<const float> queries) const {
  FloatBuffer out(queries.size());
  const std::uint64_t kv_heads = config().kv_heads;
  const std::size_t group = config().heads / kv_heads;
  const std::size_t width = group * config().head_dim;
  // Row and key head of task t; heads of one row lie side by side.
  device_.pool.for_ranges(batch.size() * kv_heads, 1, [&](std::uint64_t first, std::uint64_t last) {
    for (std::uint64_t t = first; t < last; ++t) {
      const BatchRow& row = batch[t / kv_heads];
      attend(*device_.kernels.math,
             {session(row.session), static_cast<std::uint64_t>(layer), t % kv_heads, row.position,
              group, config().head_dim},
             queries.subspan(t * width, width), std::span(out).subspan(t * width, width));
    }
  });
  return out;
}

}  // namespace pajamas::runtime
