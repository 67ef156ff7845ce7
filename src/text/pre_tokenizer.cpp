// GGUF knows a pre-tokenizer by name only; this table gives the names their meaning.
#include <algorithm>

#include "text/tokenizer_spec.h"

namespace pajamas::text {
namespace {

constexpr std::string_view kGpt2 =
    R"('s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+)";
constexpr std::string_view kQwen2 =
    R"((?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|)"
    R"(\s*[\r\n]+|\s+(?!\S)|\s+)";
constexpr std::string_view kLlama3 =
    R"((?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|)"
    R"(\s*[\r\n]+|\s+(?!\S)|\s+)";
constexpr std::string_view kQwen35 =
    R"((?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?[\p{L}\p{M}]+|\p{N}|)"
    R"( ?[^\s\p{L}\p{M}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+)";
constexpr std::string_view kGpt4o =
    R"([^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*[\p{Ll}\p{Lm}\p{Lo}\p{M}]+)"
    R"((?i:'s|'t|'re|'ve|'m|'ll|'d)?|)"
    R"([^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]+[\p{Ll}\p{Lm}\p{Lo}\p{M}]*)"
    R"((?i:'s|'t|'re|'ve|'m|'ll|'d)?|)"
    R"(\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+)";

struct Known {
  std::string_view name;
  std::string_view pattern;
  bool nfc;
  bool ignore_merges;
};

// The first name of a combination is the one written; others are read as well.
constexpr Known kKnown[] = {
    {"qwen2", kQwen2, true, false},       {"deepseek-r1-qwen", kQwen2, true, false},
    {"qwen35", kQwen35, true, false},     {"gpt-4o", kGpt4o, false, false},
    {"llama4", kGpt4o, false, false},     {"llama-bpe", kLlama3, false, true},
    {"llama-v3", kLlama3, false, true},   {"llama3", kLlama3, false, true},
    {"smaug-bpe", kLlama3, false, false}, {"dbrx", kLlama3, false, false},
    {"gpt-2", kGpt2, false, false},
};

}  // namespace

std::optional<std::string_view> pre_tokenizer_name(const TokenizerSpec& spec) {
  if (spec.patterns.size() != 1 || spec.add_prefix_space) return std::nullopt;
  for (const Known& known : kKnown) {
    // Normalization has no say: GGUF's readers do none.
    if (spec.patterns[0] == known.pattern && spec.ignore_merges == known.ignore_merges) {
      return known.name;
    }
  }
  return std::nullopt;
}

std::optional<PreTokenizer> pre_tokenizer(std::string_view name) {
  const auto* found = std::find_if(std::begin(kKnown), std::end(kKnown),
                                   [&](const Known& known) { return known.name == name; });
  if (found == std::end(kKnown)) return std::nullopt;
  return PreTokenizer{{std::string(found->pattern)}, found->nfc, found->ignore_merges};
}

std::vector<std::string_view> pre_tokenizer_names() {
  std::vector<std::string_view> names;
  for (const Known& known : kKnown) names.push_back(known.name);
  return names;
}

}  // namespace pajamas::text
