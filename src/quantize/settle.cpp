// What becomes of weights that are stored with loss already.
#include <fmt/format.h>
#include <fmt/ranges.h>

#include "base/error.h"
#include "codec/codec.h"
#include "quantize/output_format.h"

namespace pajamas::quantize {
namespace {

bool loses(const Encoding& stored) noexcept {
  // FP8 is a form in which models are published by those who trained them.
  return !stored.is_plain() && stored.layout != Layout::kFp8;
}

void take_over(const Encoding& encoding, std::string reason, Choice& choice) {
  choice.encoding = encoding;
  choice.reason = std::move(reason);
  choice.substitution.clear();
  choice.repacked = true;
}

[[noreturn]] void throw_second_loss(const std::map<std::string, std::size_t>& pairs) {
  std::vector<std::string> parts;
  for (const auto& [pair, count] : pairs) parts.push_back(fmt::format("{} of {}", count, pair));
  throw Error(ErrorCode::kUsage,
              fmt::format("weights would be quantized a second time ({})", fmt::join(parts, ", ")),
              "take the original checkpoint, or add --allow-requantize");
}

}  // namespace

std::vector<std::string> settle_stored(const Recipe& recipe, const StoredEncodings& stored,
                                       std::span<const model::TensorSpec> tensors,
                                       std::span<Choice> choices) {
  // "Q4_K to Q3_K": how many, refused and allowed.
  std::map<std::string, std::size_t> second, allowed;
  for (std::size_t i = 0; i < tensors.size(); ++i) {
    const auto found = stored.find(tensors[i].key);
    if (found == stored.end() || !loses(found->second)) continue;
    const Encoding& from = found->second;
    Choice& choice = choices[i];
    if (codec::can_repack(from, choice.encoding)) {
      take_over(choice.encoding,
                fmt::format("{}; stored so: taken over bit for bit", choice.reason), choice);
    } else if (choice.encoding.is_plain() && choice.substitution.empty()) {
      continue;  // nothing more is lost
    } else if (recipe.allow_requantize) {
      choice.reason += fmt::format("; a second time, from {}", from.name());
      ++allowed[fmt::format("{} to {}", from.name(), choice.encoding.name())];
    } else if (const auto mxfp4 = output_format(recipe.format).mxfp4();
               mxfp4 && from.is_mxfp4() && tensors[i].is_stack() && !choice.overridden) {
      take_over(*mxfp4,
                "stored as MXFP4: kept bit for bit; --allow-requantize opens it to the method",
                choice);
    } else {
      ++second[fmt::format("{} to {}", from.name(), choice.encoding.name())];
    }
  }
  if (!second.empty()) throw_second_loss(second);
  std::vector<std::string> notes;
  for (const auto& [pair, count] : allowed) {
    notes.push_back(fmt::format("{}: {} tensor{} quantized a second time, {}",
                                format_name(recipe.format), count, count == 1 ? "" : "s", pair));
  }
  return notes;
}

std::vector<std::string> tell_substitutions(const Recipe& recipe, std::span<const Choice> choices) {
  std::map<std::string, std::size_t> kinds;
  for (const Choice& choice : choices) {
    if (!choice.substitution.empty()) ++kinds[choice.substitution];
  }
  std::vector<std::string> notes;
  for (const auto& [kind, count] : kinds) {
    notes.push_back(fmt::format("{} {}: {} tensor{}, {}", format_name(recipe.format), recipe.method,
                                count, count == 1 ? "" : "s", kind));
  }
  if (!notes.empty() && recipe.no_fallback) {
    throw Error(
        ErrorCode::kUnsupported, fmt::format("{}", fmt::join(notes, "; ")),
        "leave out --no-fallback, or choose a type that fits with --method or --tensor-type");
  }
  return notes;
}

}  // namespace pajamas::quantize
