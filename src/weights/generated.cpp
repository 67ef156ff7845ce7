#include "weights/generated.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <cstring>
#include <numbers>
#include <tuple>

#include "base/bytes.h"
#include "base/error.h"
#include "base/splitmix.h"
#include "tensor/rows.h"

namespace pajamas::weights {
namespace {

using model::Role;

constexpr std::uint64_t kAlignment = 64;      // of a plane
constexpr std::uint64_t kDistinctRows = 256;  // at least, as many experts have one each in a router
constexpr std::uint64_t kDistinct = 256u << 10;  // weights, at least

// What a tensor's numbers are like.
enum class Numbers : std::uint8_t { kMatrix, kNorm, kSmall };

Numbers numbers_of(Role role) noexcept {
  switch (role) {
    case Role::kOutputNorm:
    case Role::kAttnNorm:
    case Role::kFfnNorm:
    case Role::kAttnQNorm:
    case Role::kAttnKNorm:
      return Numbers::kNorm;
    case Role::kAttnQBias:
    case Role::kAttnKBias:
    case Role::kAttnVBias:
    case Role::kAttnOutputBias:
    case Role::kAttnSinks:
    case Role::kRouterBias:
    case Role::kExpertGateBias:
    case Role::kExpertUpBias:
    case Role::kExpertDownBias:
      return Numbers::kSmall;
    default:
      return Numbers::kMatrix;
  }
}

class Random {
 public:
  explicit Random(std::uint64_t seed) noexcept : state_(seed) {}
  std::uint64_t next() noexcept { return next_split_mix(state_); }
  double uniform() noexcept { return static_cast<double>((next() >> 11) + 1) * 0x1p-53; }
  float normal() noexcept {
    const double radius = std::sqrt(-2 * std::log(uniform()));
    return static_cast<float>(radius * std::cos(2 * std::numbers::pi * uniform()));
  }

 private:
  std::uint64_t state_;
};

// Encoded rows that tensors of one kind are made of.
struct RowStock {
  std::uint64_t rows = 0;
  std::array<std::vector<std::byte>, Encoding::kMaxPlanes> planes;
};

RowStock make_stock(const Encoding& encoding, std::uint64_t cols, Numbers numbers,
                    std::uint64_t seed, const kernels::KernelTable& kernels, const TaskPool& pool,
                    const StopFlag& stop) {
  RowStock stock;
  stock.rows = std::max(kDistinctRows, kDistinct / cols);
  for (std::size_t p = 0; p < encoding.planes(); ++p) {
    stock.planes[p].resize(stock.rows * encoding.plane_row_bytes(p, cols));
  }
  const float spread =
      numbers == Numbers::kMatrix ? 1 / std::sqrt(static_cast<float>(cols)) : 0.05f;
  const float middle = numbers == Numbers::kNorm ? 1.0f : 0.0f;
  pool.for_ranges(stock.rows, 4, [&](std::uint64_t first, std::uint64_t last) {
    stop.check();
    Random random(seed * 0x9e3779b9u + first);
    std::vector<float> weights((last - first) * cols);
    for (float& weight : weights) weight = middle + spread * random.normal();
    Planes out;
    for (std::size_t p = 0; p < encoding.planes(); ++p) {
      const std::uint64_t bytes = encoding.plane_row_bytes(p, cols);
      out.plane[p] = std::span(stock.planes[p]).subspan(first * bytes, (last - first) * bytes);
    }
    kernels.encode_rows(encoding, weights, {}, cols, out);
  });
  return stock;
}

std::uint64_t plane_bytes(const GeneratedTensor& tensor, std::size_t plane) {
  const std::uint64_t row = tensor.encoding.plane_row_bytes(plane, tensor.shape.cols());
  return checked_mul(tensor.shape.rows(), row);
}

std::uint64_t aligned(std::uint64_t bytes) {
  return checked_add(bytes, kAlignment - 1) / kAlignment * kAlignment;
}

void require_rows_apart(const GeneratedTensor& tensor) {
  const Encoding& encoding = tensor.encoding;
  if (rows_sharing(encoding) == 1 && codec::can_encode(encoding) && codec::can_decode(encoding) &&
      encoding.fits(tensor.shape.cols())) {
    return;
  }
  throw Error(ErrorCode::kUnsupported,
              fmt::format("cannot make random weights stored as {}", encoding.name()),
              "use another method");
}

}  // namespace

std::uint64_t GeneratedWeights::bytes_of(const std::vector<GeneratedTensor>& tensors) {
  std::uint64_t bytes = 0;
  for (const GeneratedTensor& tensor : tensors) {
    for (std::size_t p = 0; p < tensor.encoding.planes(); ++p) {
      bytes = checked_add(bytes, aligned(plane_bytes(tensor, p)));
    }
  }
  return bytes;
}

GeneratedWeights::GeneratedWeights(model::ModelConfig config,
                                   const std::vector<GeneratedTensor>& tensors,
                                   ScratchMemory memory, const kernels::KernelTable& kernels,
                                   const TaskPool& pool, Progress& progress, const StopFlag& stop)
    : config_(std::move(config)), memory_(std::move(memory)) {
  const std::uint64_t all = bytes_of(tensors);
  PJ_CHECK(memory_.bytes().size() >= all);
  for (const GeneratedTensor& tensor : tensors) require_rows_apart(tensor);
  using Kind = std::tuple<std::string, std::uint64_t, Numbers>;
  std::map<Kind, RowStock> stocks;
  Random starts(1);
  std::uint64_t offset = 0;
  progress.begin("generating weights", all, "bytes");
  for (const GeneratedTensor& tensor : tensors) {
    const Encoding& encoding = tensor.encoding;
    const std::uint64_t cols = tensor.shape.cols();
    const std::uint64_t rows = tensor.shape.rows();
    const Numbers numbers = numbers_of(tensor.key.role);
    const Kind kind{encoding.name(), cols, numbers};
    auto stock = stocks.find(kind);
    if (stock == stocks.end()) {
      stock = stocks
                  .emplace(kind,
                           make_stock(encoding, cols, numbers, stocks.size(), kernels, pool, stop))
                  .first;
    }
    const RowStock& from = stock->second;
    const std::uint64_t start = starts.next() % from.rows;
    WeightView view{encoding, rows, cols, {}};
    for (std::size_t p = 0; p < encoding.planes(); ++p) {
      const std::uint64_t row_bytes = encoding.plane_row_bytes(p, cols);
      const std::span<std::byte> to = memory_.bytes().subspan(offset, rows * row_bytes);
      const std::uint64_t grain = std::max<std::uint64_t>(1, (1u << 20) / row_bytes);
      pool.for_ranges(rows, grain, [&](std::uint64_t first, std::uint64_t last) {
        stop.check();
        for (std::uint64_t row = first; row < last; ++row) {
          std::memcpy(to.data() + row * row_bytes,
                      from.planes[p].data() + (start + row) % from.rows * row_bytes, row_bytes);
        }
        progress.advance((last - first) * row_bytes);
      });
      view.planes[p] = {to, row_bytes, 0};
      offset += aligned(to.size());
    }
    views_.emplace(tensor.key, view);
  }
  progress.end();
}

bool GeneratedWeights::contains(model::TensorKey key) const noexcept {
  return views_.contains({key.role, key.layer, -1});
}

void GeneratedWeights::acquire(std::span<const model::TensorKey> keys,
                               std::vector<WeightLease>& leases) const {
  const std::size_t before = leases.size();
  for (const model::TensorKey key : keys) {
    const auto at = views_.find({key.role, key.layer, -1});
    if (at == views_.end()) {
      leases.erase(leases.begin() + static_cast<std::ptrdiff_t>(before), leases.end());
      throw Error(ErrorCode::kNotFound,
                  fmt::format("there is no tensor {}", model::role_name(key.role)));
    }
    WeightView view = at->second;
    if (key.expert >= 0) {
      const std::uint64_t rows = view.rows / config_.experts;
      view = rows_of(view, static_cast<std::uint64_t>(key.expert) * rows, rows);
    }
    leases.emplace_back(view);
  }
}

Residency GeneratedWeights::residency(model::TensorKey key) const noexcept {
  if (!contains(key)) return Residency::kStored;
  return memory_.is_file() ? Residency::kCached : Residency::kResident;
}

}  // namespace pajamas::weights
