#include "runtime/native/cpu/kv_rows.h"

#include <fmt/format.h>

#include <algorithm>

#include "base/error.h"
#include "runtime/native/cpu/aligned.h"
#include "runtime/native/cpu/kv_type.h"

namespace pajamas::runtime {
namespace {

void store(const kernels::KernelTable& kernels, const KvCache& cache, std::span<const float> rows,
           std::uint32_t position, const Buffer& to) {
  const KvRow& row = cache.row();
  const std::uint64_t heads = rows.size() / row.dim;
  thread_local ByteBuffer encoded;  // all heads at once, so that encoding fills its vectors
  encoded.resize(heads * row.bytes);
  encode_kv(kernels, row, rows, encoded);
  for (std::uint64_t head = 0; head < heads; ++head) {
    std::copy_n(encoded.data() + head * row.bytes, row.bytes,
                host_bytes(to).data() + cache.offset(head, position));
  }
}

}  // namespace

void store_position(const kernels::KernelTable& kernels, const KvCache& cache, std::uint64_t layer,
                    std::uint32_t position, std::span<const float> keys,
                    std::span<const float> values) {
  const KvBlock& block = cache.block(layer, position);
  try {
    store(kernels, cache, keys, position, block.keys);
    store(kernels, cache, values, position, block.values);
  } catch (Error& error) {
    error.at(fmt::format("layer {}", layer));
    throw;
  }
}

}  // namespace pajamas::runtime
