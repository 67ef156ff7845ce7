// Flags that give parts of a model a better type than the method does.
#include <fmt/format.h>

#include <algorithm>
#include <optional>

#include "base/error.h"
#include "codec/format.h"
#include "quantize/output_format.h"
#include "quantize/recipe.h"
#include "tensor/affine.h"

namespace pajamas::quantize {
namespace {

using model::Role;

// The next better encoding that rows of `cols` fit; nothing above 8 bits.
std::optional<Encoding> step_up(const Encoding& encoding, std::uint64_t cols) {
  if (encoding.is_affine()) {
    const auto better = std::ranges::upper_bound(kAffineBits, static_cast<int>(encoding.bits));
    if (better == kAffineBits.end()) return std::nullopt;
    return Encoding::affine(*better, encoding.group_size, encoding.dtype);
  }
  const codec::Format* format = codec::find_format(encoding);
  if (encoding.layout != Layout::kStream || format == nullptr) return std::nullopt;
  const Encoding better{.dtype = format->better};
  if (format->better == DType::kCount || !better.fits(cols)) return std::nullopt;
  return better;
}

double bits_per_weight(const Encoding& encoding, std::uint64_t cols) {
  return 8.0 * static_cast<double>(encoding.row_bytes(cols)) / static_cast<double>(cols);
}

bool is_attention(Role role) noexcept {
  return role == Role::kAttnQ || role == Role::kAttnK || role == Role::kAttnV ||
         role == Role::kAttnOutput;
}

// Everything that may be raised, and the notes about it.
class Raising {
 public:
  Raising(const Recipe& recipe, const model::ModelConfig& config,
          std::span<const model::TensorSpec> tensors, std::span<Choice> choices)
      : recipe_(recipe), config_(config), tensors_(tensors), choices_(choices) {}

  // The encoding that a layer's tensor of this role has now.
  const Encoding* encoding_of(Role role, int layer) const {
    for (std::size_t i = 0; i < tensors_.size(); ++i) {
      if (tensors_[i].key.role == role && tensors_[i].key.layer == layer)
        return &choices_[i].encoding;
    }
    return nullptr;
  }

  void architecture_aware() {
    if (config_.experts == 0) {
      notes_.push_back("--architecture-aware: nothing to do, this model has no experts");
      return;
    }
    notes_.push_back(
        fmt::format("--architecture-aware: the router has {}: one wrong choice of an "
                    "expert costs more than its few weights",
                    output_format(recipe_.format).router_type()));
    raise_where("attention above the experts: it is few weights, used by every token",
                [&](const model::TensorSpec& t) {
                  return is_attention(t.key.role) ? encoding_of(Role::kExpertGate, t.key.layer)
                                                  : nullptr;
                });
    raise_where("ffn_down_exps a step above gate and up: its errors reach the output unfiltered",
                [&](const model::TensorSpec& t) {
                  return t.key.role == Role::kExpertDown
                             ? encoding_of(Role::kExpertGate, t.key.layer)
                             : nullptr;
                });
  }

  void preserve_attention_patterns() {
    const auto full = [&](int layer) {
      return layer >= 0 && config_.window(static_cast<std::uint64_t>(layer)) == 0;
    };
    const bool mixed = std::ranges::count(config_.sliding_layers, true) > 0 &&
                       std::ranges::count(config_.sliding_layers, false) > 0;
    if (!mixed) {
      notes_.push_back(
          "--preserve-attention-patterns: nothing to do, all layers of this model attend alike");
      return;
    }
    const auto sliding = std::ranges::find(config_.sliding_layers, true);
    const auto layer = static_cast<int>(sliding - config_.sliding_layers.begin());
    raise_where("attention of layers that see everything a step above those with a window",
                [&](const model::TensorSpec& t) {
                  return is_attention(t.key.role) && full(t.key.layer)
                             ? encoding_of(t.key.role, layer)
                             : nullptr;
                });
  }

  void expert_balanced() {
    if (config_.experts == 0) {
      notes_.push_back("--expert-balanced: nothing to do, this model has no experts");
      return;
    }
    notes_.push_back(fmt::format(
        "--expert-balanced: all {} experts of a layer have equal precision (each projection is one "
        "stack of one type)",
        config_.experts));
  }

  std::vector<std::string> take_notes() { return std::move(notes_); }

 private:
  // Raises every tensor until it is a step better than what `than` gives for it (null: not meant).
  // The user's own overrides and weights taken over as stored stay.
  template <class Than>
  void raise_where(std::string_view why, const Than& than) {
    std::map<std::string, std::size_t> changed;
    std::size_t as_stored = 0;
    for (std::size_t i = 0; i < tensors_.size(); ++i) {
      const Encoding* other = than(tensors_[i]);
      Choice& choice = choices_[i];
      if (other == nullptr || choice.overridden) continue;
      if (choice.repacked) {
        ++as_stored;
        continue;
      }
      const std::uint64_t cols = tensors_[i].shape.cols();
      const Encoding before = choice.encoding;
      while (bits_per_weight(choice.encoding, cols) <= bits_per_weight(*other, cols)) {
        const auto better = step_up(choice.encoding, cols);
        if (!better) break;
        choice.encoding = *better;
      }
      if (choice.encoding == before) continue;
      choice.reason += fmt::format("; raised from {}: {}", before.name(), why);
      ++changed[fmt::format("{} to {}", before.name(), choice.encoding.name())];
    }
    for (const auto& [what, count] : changed) {
      notes_.push_back(fmt::format("{}: {} tensor{} from {}: {}", format_name(recipe_.format),
                                   count, count == 1 ? "" : "s", what, why));
    }
    if (as_stored > 0) {
      notes_.push_back(fmt::format("{}: {} tensor{} taken over as stored: not raised ({})",
                                   format_name(recipe_.format), as_stored,
                                   as_stored == 1 ? "" : "s", why));
    } else if (changed.empty()) {
      notes_.push_back(fmt::format("{}: already so: {}", format_name(recipe_.format), why));
    }
  }

  const Recipe& recipe_;
  const model::ModelConfig& config_;
  std::span<const model::TensorSpec> tensors_;
  std::span<Choice> choices_;
  std::vector<std::string> notes_;
};

}  // namespace

std::vector<std::string> raise_types(const Recipe& recipe, const model::ModelConfig& config,
                                     std::span<const model::TensorSpec> tensors,
                                     std::span<Choice> choices) {
  Raising raising(recipe, config, tensors, choices);
  if (recipe.architecture_aware) raising.architecture_aware();
  if (recipe.preserve_attention_patterns) raising.preserve_attention_patterns();
  if (recipe.expert_balanced) raising.expert_balanced();
  return raising.take_notes();
}

}  // namespace pajamas::quantize
