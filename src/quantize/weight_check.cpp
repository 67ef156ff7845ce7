#include "quantize/weight_check.h"

#include <fmt/format.h>

#include <algorithm>
#include <limits>

#include "base/error.h"
#include "codec/room.h"
#include "quantize/output_format.h"
#include "weights/row_reader.h"

namespace pajamas::quantize {
namespace {

constexpr const char* kDamaged = "the model is damaged: download or convert it again";
// Below these F16 has only 0, and NVFP4 (codec::vanishing).
constexpr float kVanishing = 0x1p-25f, kVanishingNvfp4 = 0x1p-11f;

// Where a row is stored, as errors say it.
Error at_row(Error error, const model::Checkpoint& checkpoint, const model::StoredTensor& tensor,
             std::uint64_t row) {
  const model::Part& part = tensor.parts[row / tensor.rows_per_part()];
  error.at(tensor.stored_row(row).first);
  error.at(printable(checkpoint.files()[part[0].file].path().native(), 300));
  return error;
}

// "weight 5 of row 3 is 1e5", as the source counts them.
std::string weight_at(const model::StoredTensor& tensor, std::uint64_t first,
                      std::span<const float> values, std::size_t at) {
  const std::uint64_t cols = tensor.shape.cols();
  return fmt::format("weight {} of row {} is {}", at % cols,
                     tensor.stored_row(first + at / cols).second, values[at]);
}

// Why it does not fit: "F16 ends at 65504", "the scales of Q4_0 end at 65504".
std::string limit_of(const Encoding& encoding) {
  if (encoding.is_plain()) {
    return fmt::format("{} ends at {}", encoding.name(),
                       encoding.dtype == DType::kF16 ? "65504" : "3.39e38");
  }
  if (encoding.layout == Layout::kNvfp4) return "the scales of nvfp4 are E4M3, which ends at 448";
  const float room = codec::always_room(encoding);
  return room < 65504.0f
             ? fmt::format("the scales of {} are F16, which ends at 65504", encoding.name())
             : fmt::format("{} ends at {:.3g}", encoding.name(), room);
}

}  // namespace

void require_finite(const model::Checkpoint& checkpoint, const model::StoredTensor& tensor,
                    std::uint64_t first, std::span<const float> values) {
  const std::size_t bad = codec::first_non_finite(values);
  if (bad == values.size()) return;
  throw at_row(Error(ErrorCode::kCorruptFile, weight_at(tensor, first, values, bad), kDamaged),
               checkpoint, tensor, first + bad / tensor.shape.cols());
}

void require_finite(const model::Checkpoint& checkpoint, const kernels::KernelTable& kernels,
                    const TaskPool& pool) {
  constexpr std::uint64_t kRows = 64;
  for (const model::StoredTensor& tensor : checkpoint.tensors()) {
    pool.for_ranges(tensor.shape.rows(), kRows, [&](std::uint64_t first, std::uint64_t last) {
      weights::RowReader reader(checkpoint, kernels);
      std::vector<float> values((last - first) * tensor.shape.cols());
      reader.read(tensor, first, last - first, values);
      require_finite(checkpoint, tensor, first, values);
    });
  }
}

void require_finite_scales(const model::Checkpoint& checkpoint, const model::StoredTensor& tensor,
                           std::uint64_t first, const ConstPlanes& stored) {
  const Encoding& encoding = tensor.encoding;
  const std::uint64_t blocks_per_row = tensor.shape.cols() / encoding.block_cols();
  const std::uint64_t row_bytes = encoding.plane_row_bytes(0, tensor.shape.cols());
  const std::size_t bad = codec::first_broken_block(encoding, stored);
  if (bad >= stored.plane[0].size() / row_bytes * blocks_per_row) return;
  const std::uint64_t row = first + bad / blocks_per_row;
  throw at_row(
      Error(
          ErrorCode::kCorruptFile,
          fmt::format("a scale or number of the weights from {} of row {} on is infinite or NaN",
                      bad % blocks_per_row * encoding.block_cols(), tensor.stored_row(row).second),
          kDamaged),
      checkpoint, tensor, row);
}

WeightCheck::WeightCheck(const Plan& plan, const model::Checkpoint& checkpoint)
    : plan_(plan), checkpoint_(checkpoint), seen_(checkpoint.tensors().size()) {}

bool WeightCheck::look(const model::StoredTensor& tensor, std::uint64_t first,
                       std::span<const float> weights, float limit) {
  const bool large = codec::first_beyond(weights, limit) < weights.size();
  if (large) require_finite(checkpoint_, tensor, first, weights);
  std::atomic<std::uint8_t>& seen =
      seen_[static_cast<std::size_t>(&tensor - checkpoint_.tensors().data())];
  std::uint8_t before = seen.load(std::memory_order_relaxed);
  if (before == kLarge) return large;
  const std::uint8_t now = size_of(weights);
  while (before < now && !seen.compare_exchange_weak(before, now, std::memory_order_relaxed)) {
  }
  return large;
}

WeightCheck::Seen WeightCheck::size_of(std::span<const float> weights) noexcept {
  const auto any_beyond = [&](float limit) {
    return codec::first_beyond(weights, limit) < weights.size();
  };
  if (any_beyond(kVanishingNvfp4)) return kLarge;
  if (any_beyond(kVanishing)) return kMiddling;
  return any_beyond(0) ? kSmall : kNothing;
}

void WeightCheck::require_room(const model::StoredTensor& tensor, std::uint64_t first,
                               std::span<const float> weights, std::span<const float> importance,
                               const PlannedOutput& output, const PlannedTensor& target,
                               const ConstPlanes& encoded) const {
  if (target.encoding.layout == Layout::kFp8) return;
  const std::size_t bad =
      codec::first_without_room(target.encoding, weights, importance, tensor.shape.cols(), encoded);
  if (bad == weights.size()) return;
  throw at_row(Error(ErrorCode::kUnsupported,
                     fmt::format("{}, {}", weight_at(tensor, first, weights, bad),
                                 limit_of(target.encoding)),
                     output_format(output.format).advice_on_room(target, weights[bad])),
               checkpoint_, tensor, first + bad / tensor.shape.cols());
}

float room_of(const Encoding& encoding) noexcept {
  // The scales are F32: there is one for every finite weight.
  if (encoding.layout == Layout::kFp8) return std::numeric_limits<float>::max();
  return codec::always_room(encoding);
}

std::vector<std::string> WeightCheck::vanished() const {
  std::vector<std::string> notes;
  for (const PlannedOutput& output : plan_.outputs) {
    std::vector<const PlannedTensor*> lost;
    for (const PlannedTensor& target : output.tensors) {
      const model::StoredTensor* tensor = checkpoint_.find(target.spec.key);
      if (!target.content.empty() || target.repacked || tensor == nullptr ||
          target.encoding.layout == Layout::kFp8) {
        continue;
      }
      const auto at = static_cast<std::size_t>(tensor - checkpoint_.tensors().data());
      const float vanishing = codec::vanishing(target.encoding);
      const std::uint8_t least = vanishing < kVanishing        ? kSmall
                                 : vanishing < kVanishingNvfp4 ? kMiddling
                                                               : kLarge;
      const std::uint8_t seen = seen_[at].load();
      if (seen != kNothing && seen < least) lost.push_back(&target);
    }
    if (lost.empty()) continue;
    notes.push_back(fmt::format(
        "{} {}: {} ({}) so small that {} has only 0 for them: {}", format_name(output.format),
        output.method,
        lost.size() == 1 ? "all weights of a tensor are"
                         : fmt::format("all weights of {} tensors are", lost.size()),
        lost.front()->name, lost.front()->encoding.layout == Layout::kNvfp4 ? "nvfp4" : "F16",
        output_format(output.format).advice_on_vanishing(*lost.front())));
  }
  return notes;
}

}  // namespace pajamas::quantize
