// How long attention takes over each type of cache: one key head of 128 with 7 query heads.
#include "runtime/native/cpu/attention.h"

#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <vector>

#include "runtime/native/cpu/kv_rows.h"

namespace {

using namespace pajamas;
using namespace pajamas::runtime;

constexpr std::size_t kDim = 128, kGroup = 7;
constexpr std::uint32_t kPositions = 4096;

std::vector<float> waves(std::size_t count) {
  std::vector<float> out(count);
  std::uint32_t state = 1;
  for (float& v : out) {
    state = state * 1664525u + 1013904223u;
    v = static_cast<float>(state >> 8) / 8388608.0f - 1;
  }
  return out;
}

template <class Action>
double microseconds(int repeats, Action&& action) {
  double best = 1e30;
  for (int i = 0; i < repeats; ++i) {
    const auto start = std::chrono::steady_clock::now();
    action();
    const std::chrono::duration<double, std::micro> time = std::chrono::steady_clock::now() - start;
    best = std::min(best, time.count());
  }
  return best;
}

}  // namespace

int main() {
  model::ModelConfig config;
  config.layers = 1;
  config.kv_heads = 1;
  config.head_dim = kDim;
  const auto& kernels = kernels::best_kernels();
  const auto rows = waves(kPositions * kDim);
  const auto queries = waves(16 * kGroup * kDim);
  std::vector<float> out(queries.size());
  fmt::print("kernels {}; microseconds: best of 20\n", kernels.name);
  fmt::print("{:8} {:>12} {:>12} {:>14} {:>16}\n", "type", "bytes/row", "store a row",
             "1 query row", "16 query rows");
  for (const KvTypeInfo& type : kKvTypes) {
    HostAllocator memory;
    KvCache cache(memory, config, type.id);
    const double store = microseconds(1, [&] {
      for (std::uint32_t p = 0; p < kPositions; ++p) {
        cache.make_room(0, p + 1);
        const auto row = std::span(rows).subspan(p * kDim, kDim);
        store_position(kernels, cache, 0, p, row, row);
        cache.count(0, p + 1);
      }
    });
    const auto attend_rows = [&](std::size_t count) {
      return microseconds(20, [&] {
        const auto first = static_cast<std::uint32_t>(kPositions - count);
        attend(kernels, {cache, 0, 0, first, count, kGroup, 0, {}}, queries.data(), out.data(),
               kGroup * kDim);
      });
    };
    fmt::print("{:8} {:12} {:12.2f} {:14.0f} {:16.0f}\n", type.name, cache.row().bytes,
               store / kPositions / 2, attend_rows(1), attend_rows(16));
  }
}
