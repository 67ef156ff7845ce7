#include "quantize/weight_check.h"

#include <fmt/format.h>

#include <algorithm>
#include <limits>

#include "base/error.h"
#include "codec/room.h"
#include "quantize/output_format.h"
#include "weights/finite.h"

namespace pajamas::quantize {
namespace {

// Below these F16 has only 0, and NVFP4 (codec::vanishing).
constexpr float kVanishing = 0x1p-25f, kVanishingNvfp4 = 0x1p-11f;

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

WeightCheck::WeightCheck(const Plan& plan, const model::Checkpoint& checkpoint)
    : plan_(plan), checkpoint_(checkpoint), seen_(checkpoint.tensors().size()) {}

bool WeightCheck::look(const model::StoredTensor& tensor, std::uint64_t first,
                       std::span<const float> weights, float limit) {
  const bool large = codec::first_beyond(weights, limit) < weights.size();
  if (large) weights::require_finite(checkpoint_, tensor, first, weights);
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
  throw weights::at_row(Error(ErrorCode::kUnsupported,
                              fmt::format("{}, {}", weights::weight_at(tensor, first, weights, bad),
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
