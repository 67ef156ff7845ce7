// The attention half of a layer on the CPU engine.
#include <array>
#include <vector>

#include "kernels/math.h"
#include "runtime/native/attention.h"
#include "runtime/native/cpu_engine.h"
#include "runtime/native/cpu_hidden.h"

namespace pajamas::runtime {

using model::Role;
using model::TensorKey;

void CpuEngine::rotate(const CpuHidden& hidden, std::span<float> rows, std::uint64_t heads) const {
  const std::size_t dim = config().head_dim;
  const auto turn = config().rope_interleaved ? kernels::rope_interleaved : kernels::rope;
  device_.pool.for_ranges(hidden.count, kRowsAPiece, [&](std::uint64_t first, std::uint64_t last) {
    for (std::uint64_t i = first; i < last; ++i) {
      const auto cos = std::span(hidden.cos).subspan(i * hidden.half, hidden.half);
      const auto sin = std::span(hidden.sin).subspan(i * hidden.half, hidden.half);
      for (std::uint64_t head = 0; head < heads; ++head) {
        turn(rows.subspan((i * heads + head) * dim, dim), cos, sin);
      }
    }
  });
}

void CpuEngine::attention(int layer, CpuHidden& hidden, Batch batch, LinearTap* tap) {
  const FloatBuffer x = normed({Role::kAttnNorm, layer}, hidden.values);
  const Rows rows{x, hidden.count};
  const std::array inputs{TensorKey{Role::kAttnQ, layer}, TensorKey{Role::kAttnK, layer},
                          TensorKey{Role::kAttnV, layer}};
  std::vector<FloatBuffer> projected = project(inputs, rows, hidden.numbers, tap);
  FloatBuffer &queries = projected[0], &keys = projected[1], &values = projected[2];
  add_bias({Role::kAttnQBias, layer}, queries);
  add_bias({Role::kAttnKBias, layer}, keys);
  add_bias({Role::kAttnVBias, layer}, values);
  norm_heads({Role::kAttnQNorm, layer}, queries);
  norm_heads({Role::kAttnKNorm, layer}, keys);
  rotate(hidden, queries, config().heads);
  rotate(hidden, keys, config().kv_heads);
  remember(layer, batch, keys, values);
  const FloatBuffer mixed = attend_rows(layer, batch, queries);
  const std::array output{TensorKey{Role::kAttnOutput, layer}};
  FloatBuffer update = std::move(project(output, {mixed, hidden.count}, hidden.numbers, tap)[0]);
  add_bias({Role::kAttnOutputBias, layer}, update);
  add(hidden, update);
}

void CpuEngine::norm_heads(model::TensorKey norm, FloatBuffer& heads) const {
  if (!constants_.of(norm).empty()) heads = normed(norm, heads);
}

void CpuEngine::remember(int layer, Batch batch, std::span<const float> keys,
                         std::span<const float> values) {
  const std::size_t width = config().kv_rows();
  device_.pool.for_ranges(batch.size(), kRowsAPiece, [&](std::uint64_t first, std::uint64_t last) {
    for (std::uint64_t i = first; i < last; ++i) {
      session(batch[i].session)
          .put(device_.kernels, static_cast<std::uint64_t>(layer), batch[i].position,
               keys.subspan(i * width, width), values.subspan(i * width, width));
    }
  });
}

namespace {

// Rows of a batch that continue one session without gaps.
struct RowRange {
  std::size_t first;
  std::size_t count;
};

std::vector<RowRange> tiles_of(Batch batch) {
  std::vector<RowRange> tiles;
  for (std::size_t i = 0; i < batch.size(); ++i) {
    if (!tiles.empty() && tiles.back().count < kTileRows &&
        batch[i].session == batch[i - 1].session) {
      ++tiles.back().count;
      continue;
    }
    tiles.push_back({i, 1});
  }
  return tiles;
}

}  // namespace

FloatBuffer CpuEngine::attend_rows(int layer, Batch batch, std::span<const float> queries) const {
  FloatBuffer out(queries.size());
  const auto index = static_cast<std::uint64_t>(layer);
  const std::uint64_t kv_heads = config().kv_heads;
  const std::size_t group = config().heads / kv_heads;
  const std::size_t width = group * config().head_dim;
  const std::uint64_t window = config().window(index);
  const std::span<const float> sinks = constants_.of({Role::kAttnSinks, layer});
  std::vector<AttentionTask> tasks;
  for (const RowRange& rows : tiles_of(batch)) {
    const BatchRow& row = batch[rows.first];
    for (std::uint64_t head = 0; head < kv_heads; ++head) {
      const auto own_sinks = sinks.empty() ? sinks : sinks.subspan(head * group, group);
      const std::size_t at = rows.first * config().q_rows() + head * width;
      tasks.push_back(
          {{session(row.session), index, head, row.position, rows.count, group, window, own_sinks},
           queries.data() + at,
           out.data() + at});
    }
  }
  attend(device_, tasks, config().q_rows());
  return out;
}

}  // namespace pajamas::runtime
