#include "quantize/size_target.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <map>
#include <optional>

#include "base/bytes.h"
#include "base/error.h"
#include "base/readable.h"
#include "quantize/allocation.h"
#include "quantize/output_format.h"

namespace pajamas::quantize {
namespace {

// What files pad a tensor to, at most.
constexpr std::uint64_t kPadding = 32;

// The tensors that have a choice, with all that they may become.
class Choices {
 public:
  Choices(const PlanInput& input, const Recipe& recipe) : input_(input), recipe_(recipe) {
    const OutputFormat& format = output_format(recipe.format);
    std::vector<std::string> notes;
    std::map<model::TensorKey, std::size_t> index;
    for (const Encoding& encoding : format.encodings(input)) {
      // What comes of it is what the plan makes of it: rows that do not fit, weights that are taken
      // over as stored, the user's own types.
      Recipe all = recipe;
      all.no_fallback = false;
      for (const model::TensorSpec& tensor : model::tensors_of(input.config)) {
        if (tensor.is_matrix) all.types[tensor.key] = encoding;
      }
      for (const PlannedTensor& tensor : format.tensors(input, all, notes)) {
        if (!tensor.spec.is_matrix) continue;
        // What only holds with a matrix is no choice without one (where the user asked for it, the
        // other rounds have it).
        if (tensor.encoding == encoding && !recipe.importance &&
            needs_importance(tensor.spec, encoding)) {
          continue;
        }
        const auto [at, is_new] = index.try_emplace(tensor.spec.key, specs_.size());
        if (is_new) {
          specs_.push_back(tensor.spec);
          candidates_.emplace_back();
          as_stored_.emplace_back();
        }
        add(at->second, tensor);
      }
    }
  }

  // What each of them costs.
  void weigh(LossSource& losses, const TaskPool& pool) {
    pool.for_ranges(specs_.size(), 1, [&](std::uint64_t first, std::uint64_t) {
      std::vector<Candidate>& candidates = candidates_[first];
      if (candidates.size() == 1) return;
      std::vector<Encoding> encodings;
      for (const Candidate& candidate : candidates) encodings.push_back(candidate.encoding);
      const std::vector<double> found = losses.of(specs_[first], encodings);
      for (std::size_t i = 0; i < candidates.size(); ++i) {
        candidates[i].loss = as_stored_[first][i] ? 0 : found[i];
      }
    });
  }

  std::span<const std::vector<Candidate>> candidates() const noexcept { return candidates_; }

  // The recipe with these types; its method is what most weights have.
  Recipe with(const std::vector<std::size_t>& chosen) const {
    Recipe recipe = recipe_;
    std::vector<std::pair<Encoding, std::uint64_t>> weights;
    for (std::size_t i = 0; i < specs_.size(); ++i) {
      const Encoding& encoding = candidates_[i][chosen[i]].encoding;
      recipe.types[specs_[i].key] = encoding;
      auto at = std::ranges::find(weights, encoding, &decltype(weights)::value_type::first);
      if (at == weights.end()) at = weights.insert(at, {encoding, 0});
      at->second += specs_[i].shape.elements();
    }
    std::ranges::stable_sort(weights, std::ranges::greater(),
                             &decltype(weights)::value_type::second);
    std::vector<Encoding> usual;
    for (const auto& [encoding, count] : weights) usual.push_back(encoding);
    output_format(recipe.format).name_after(usual, recipe);
    return recipe;
  }

  // The largest candidate of each.
  std::vector<std::size_t> largest() const {
    std::vector<std::size_t> chosen;
    for (const std::vector<Candidate>& candidates : candidates_) {
      const auto most = std::ranges::max_element(candidates, {}, &Candidate::bytes);
      chosen.push_back(static_cast<std::size_t>(most - candidates.begin()));
    }
    return chosen;
  }

  std::uint64_t bytes(const std::vector<std::size_t>& chosen) const {
    std::uint64_t sum = 0;
    for (std::size_t i = 0; i < chosen.size(); ++i) sum += candidates_[i][chosen[i]].bytes;
    return sum;
  }

  PlannedOutput plan(const std::vector<std::size_t>& chosen) const {
    std::vector<std::string> notes;
    return output_format(recipe_.format).plan(input_, with(chosen), notes);
  }

 private:
  void add(std::size_t index, const PlannedTensor& tensor) {
    std::vector<Candidate>& candidates = candidates_[index];
    if (std::ranges::find(candidates, tensor.encoding, &Candidate::encoding) != candidates.end()) {
      return;
    }
    candidates.push_back({tensor.encoding, align_up(tensor.bytes, kPadding), 0});
    as_stored_[index].push_back(tensor.repacked);
  }

  const PlanInput& input_;
  const Recipe& recipe_;
  std::vector<model::TensorSpec> specs_;
  std::vector<std::vector<Candidate>> candidates_;
  std::vector<std::vector<bool>> as_stored_;  // of each candidate
};

void refuse_flags(const Recipe& recipe, const char* option) {
  const char* flag = recipe.architecture_aware            ? "--architecture-aware"
                     : recipe.preserve_attention_patterns ? "--preserve-attention-patterns"
                                                          : nullptr;
  if (flag == nullptr) return;
  throw Error(ErrorCode::kUsage, fmt::format("chooses all types, and so does {}", flag),
              "give one of them; --tensor-type holds beside either")
      .at(option);
}

// How the plan's size compares with the target: by how many bytes it is above it.
std::uint64_t excess(const PlannedOutput& output, const SizeTarget& target, std::uint64_t limit) {
  const std::uint64_t bytes = target.file_bytes > 0 ? output.file_bytes : output.tensor_bytes;
  return bytes > limit ? bytes - limit : 0;
}

[[noreturn]] void throw_too_small(const PlannedOutput& smallest, const SizeTarget& target,
                                  const char* option) {
  const std::string least =
      target.file_bytes > 0
          ? fmt::format("{} ({} bytes)", readable_bytes(smallest.file_bytes), smallest.file_bytes)
          : fmt::format("{:.3f} bits per weight", smallest.bits_per_weight);
  throw Error(
      ErrorCode::kUsage,
      fmt::format("the smallest {} of this model has {}", format_name(smallest.format), least),
      "give at least that, or take a smaller model")
      .at(option);
}

std::string types_of(const PlannedOutput& output) {
  std::map<std::string, std::size_t> counts;
  for (const PlannedTensor& tensor : output.tensors) {
    if (tensor.spec.is_matrix) ++counts[tensor.encoding.name()];
  }
  std::vector<std::pair<std::size_t, std::string>> sorted;
  for (const auto& [name, count] : counts) sorted.emplace_back(count, name);
  std::ranges::stable_sort(sorted, std::ranges::greater(), &decltype(sorted)::value_type::first);
  std::vector<std::string> parts;
  for (const auto& [count, name] : sorted) parts.push_back(fmt::format("{} {}", count, name));
  return fmt::format("{}", fmt::join(parts, ", "));
}

}  // namespace

std::string meet_target(const PlanInput& input, const SizeTarget& target, LossSource& losses,
                        const TaskPool& pool, Recipe& recipe) {
  const char* const option = target.file_bytes > 0 ? "--target-size" : "--target-bpw";
  refuse_flags(recipe, option);
  if (output_format(recipe.format).encodings(input).empty()) {
    throw Error(
        ErrorCode::kUsage,
        fmt::format("{} has one type, there is nothing to choose", format_name(recipe.format)),
        "leave it out of --format")
        .at(option);
  }
  recipe.label = target.label;
  Choices choices(input, recipe);
  choices.weigh(losses, pool);
  const double bits =
      target.bits_per_weight * static_cast<double>(model::parameter_count(input.config)) / 8;
  const std::uint64_t limit =
      target.file_bytes > 0 ? target.file_bytes : static_cast<std::uint64_t>(bits);
  // What is there besides: measured where it is most.
  const std::vector<std::size_t> largest = choices.largest();
  const PlannedOutput widest = choices.plan(largest);
  const std::uint64_t all = target.file_bytes > 0 ? widest.file_bytes : widest.tensor_bytes;
  std::uint64_t besides = all - std::min(all, choices.bytes(largest));
  std::optional<PlannedOutput> output;
  std::optional<Allocation> allocation;
  for (;;) {
    allocation = limit > besides ? allocate(choices.candidates(), limit - besides) : std::nullopt;
    const bool any = allocation.has_value();
    if (!any) allocation = smallest_allocation(choices.candidates());
    output = choices.plan(allocation->chosen);
    const std::uint64_t above = excess(*output, target, limit);
    if (above == 0) break;
    if (!any) throw_too_small(*output, target, option);
    besides += above;
  }
  recipe = choices.with(allocation->chosen);
  return fmt::format("{}: {} of at most {}: {} ({:.3f} bits per weight; {} {:.4g})",
                     format_name(recipe.format), readable_bytes(output->file_bytes), target.label,
                     types_of(*output), output->bits_per_weight, losses.name(), allocation->loss);
}

}  // namespace pajamas::quantize
