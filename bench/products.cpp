// How fast matrices are multiplied straight from storage (one activation row: what generation
// does) and through panels (512 rows: what a prompt does), by type of weights and instruction set.
//
//     products [--threads N] [--rows N] [--sets] [--cached] [TYPE...]
//
// Weights are more than the last-level cache holds; with --cached they fit the second-level cache,
// which shows what the instructions alone allow. GB/s counts stored bytes, GMAC/s products.
#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <cstring>
#include <string>
#include <thread>
#include <vector>

#include "codec/codec.h"
#include "runtime/native/cpu/aligned.h"
#include "runtime/native/cpu/linear.h"

namespace {

using namespace pajamas;
using namespace pajamas::runtime;

constexpr std::uint64_t kCols = 3584, kRows = 1024;
constexpr std::uint64_t kStoredBytes = std::uint64_t{160} << 20;

std::vector<float> waves(std::size_t count) {
  std::vector<float> out(count);
  std::uint32_t state = 1;
  for (float& v : out) {
    state = state * 1664525u + 1013904223u;
    v = static_cast<float>(state >> 8) / 8388608.0f - 1;
  }
  return out;
}

// The same encoded rows again and again, each copy at a place of its own.
struct Matrix {
  Matrix(const Encoding& encoding, std::uint64_t rows, std::uint64_t least_bytes) {
    const std::uint64_t row = encoding.row_bytes(kCols);
    const std::uint64_t copies = least_bytes / (row * rows) + 1;
    view = {encoding, copies * rows, kCols, {}};
    const auto weights = waves(rows * kCols);
    Planes planes;
    for (std::size_t p = 0; p < encoding.planes(); ++p) {
      const std::uint64_t bytes = encoding.plane_row_bytes(p, kCols);
      stored[p].resize(copies * rows * bytes);
      planes.plane[p] = std::span(stored[p]).first(rows * bytes);
      view.planes[p] = {stored[p], bytes, 0};
    }
    kernels::best_kernels().encode_rows(encoding, weights, {}, kCols, planes);
    for (std::size_t p = 0; p < encoding.planes(); ++p) {
      const std::size_t bytes = planes.plane[p].size();
      for (std::uint64_t c = 1; c < copies; ++c) {
        std::memcpy(stored[p].data() + c * bytes, stored[p].data(), bytes);
      }
    }
  }
  ByteBuffer stored[Encoding::kMaxPlanes];
  weights::WeightView view;
};

double seconds(const Processor& processor, const weights::WeightView& view, std::size_t count,
               int repeats) {
  const auto x = waves(count * kCols);
  std::vector<float> out(count * view.rows);
  const LinearJob job{view, {x, count}, out};
  LinearScratch scratch;
  double best = 1e30;
  for (int i = 0; i < repeats; ++i) {
    const auto start = std::chrono::steady_clock::now();
    linear(processor, {&job, 1}, scratch);
    const std::chrono::duration<double> time = std::chrono::steady_clock::now() - start;
    best = std::min(best, time.count());
  }
  return best;
}

}  // namespace

int main(int argc, char** argv) {
  int threads = static_cast<int>(std::thread::hardware_concurrency());
  std::size_t rows = 512;
  bool sets = false, cached = false;
  std::vector<std::string> wanted;  // all, if none
  for (int i = 1; i < argc; ++i) {
    const std::string arg = argv[i];
    if (arg == "--sets") sets = true;
    if (arg == "--cached") cached = true;
    if (arg == "--threads" && i + 1 < argc) {
      threads = std::stoi(argv[++i]);
    } else if (arg == "--rows" && i + 1 < argc) {
      rows = std::stoul(argv[++i]);
    } else if (!arg.starts_with("-")) {
      wanted.push_back(arg);
    }
  }
  const TaskPool pool(threads);
  const std::uint64_t matrix_rows = cached ? 256 : kRows;
  fmt::print("{} threads, {} columns; best of several\n", threads, kCols);
  fmt::print("{:10} {:12} {:>12} {:>12}\n", "type", "products", "1 row GB/s",
             fmt::format("{} GMAC/s", rows));
  for (const Encoding& encoding : {Encoding{DType::kQ4_K},
                                   Encoding{DType::kQ6_K},
                                   Encoding{DType::kQ8_0},
                                   Encoding{DType::kQ3_K},
                                   Encoding{DType::kQ2_K},
                                   Encoding{DType::kQ5_K},
                                   Encoding{DType::kQ4_0},
                                   Encoding{DType::kIQ4_NL},
                                   Encoding{DType::kIQ4_XS},
                                   Encoding{DType::kIQ3_S},
                                   Encoding{DType::kIQ3_XXS},
                                   Encoding{DType::kIQ2_S},
                                   Encoding{DType::kIQ2_XS},
                                   Encoding{DType::kIQ2_XXS},
                                   Encoding{DType::kIQ1_M},
                                   Encoding{DType::kIQ1_S},
                                   Encoding{DType::kTQ2_0},
                                   Encoding{DType::kTQ1_0},
                                   Encoding{DType::kMXFP4},
                                   Encoding::mxfp4(),
                                   Encoding::affine(4, 64, DType::kBF16),
                                   Encoding::affine(8, 64, DType::kBF16),
                                   Encoding::affine(6, 64, DType::kBF16),
                                   Encoding::affine(3, 64, DType::kBF16),
                                   Encoding::affine(2, 64, DType::kBF16)}) {
    if (!wanted.empty() && std::ranges::find(wanted, encoding.name()) == wanted.end()) continue;
    const Matrix matrix(encoding, matrix_rows, cached ? 0 : kStoredBytes);
    const double bytes = static_cast<double>(encoding.row_bytes(kCols) * matrix.view.rows);
    weights::WeightView part = matrix.view;
    part.rows = matrix_rows;
    const double macs = static_cast<double>(rows * matrix_rows * kCols);
    const auto report = [&](std::string_view name, const kernels::Int8Kernels* int8) {
      const Processor processor{kernels::best_kernels(), pool, int8};
      fmt::print("{:10} {:12} {:12.1f} {:12.1f}\n", encoding.name(), name,
                 bytes / seconds(processor, matrix.view, 1, cached ? 2000 : 40) / 1e9,
                 macs / seconds(processor, part, rows, cached ? 100 : 12) / 1e9);
    };
    if (sets) {
      report("float", nullptr);
      for (const kernels::Int8Kernels* set : kernels::all_int8_kernels()) {
        if (set->supported(cpu_features()) && set->panel_rows != 0) report(set->name, set);
      }
    } else {
      report("int8", &kernels::best_kernels().int8(cpu_features()));
    }
  }
}
