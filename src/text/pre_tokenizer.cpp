// GGUF knows a pre-tokenizer by name only; these tables give the names their meaning: the patterns
// of the published tokenizers, and what llama.cpp takes for granted with a name (state of 2026-10).
#include <algorithm>
#include <array>

#include "base/error.h"
#include "text/pattern_rewrite.h"
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
constexpr std::string_view kTekken =
    R"([^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*[\p{Ll}\p{Lm}\p{Lo}\p{M}]+|)"
    R"([^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]+[\p{Ll}\p{Lm}\p{Lo}\p{M}]*|)"
    R"(\p{N}| ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+)";
constexpr std::string_view kBailing =
    R"('(?i:[sdmt]|ll|ve|re)|[^\r\n\p{L}\p{N}]?+\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]++[\r\n]*|)"
    R"(\s*[\r\n]|\s+(?!\S)|\s+)";
constexpr std::string_view kSeedCoder =
    R"((?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1}| ?[^\s\p{L}\p{N}\r\n]+|)"
    R"(\s*[\r\n]+|\s+(?!\S)|\s+)";
constexpr std::string_view kExaoneMoe =
    R"((?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?(?:\p{L}\p{M}*(?: \p{L}\p{M}*)*)+|\p{N}|)"
    R"( ?[^\s\p{L}\p{N}]+[\r\n/]?|\s*[\r\n]|\s+(?!\S)|\s+)";
constexpr std::string_view kKimi =
    R"([\p{Han}]+|)"
    R"([^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}&&[^\p{Han}]]*)"
    R"([\p{Ll}\p{Lm}\p{Lo}\p{M}&&[^\p{Han}]]+(?i:'s|'t|'re|'ve|'m|'ll|'d)?|)"
    R"([^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}&&[^\p{Han}]]+)"
    R"([\p{Ll}\p{Lm}\p{Lo}\p{M}&&[^\p{Han}]]*(?i:'s|'t|'re|'ve|'m|'ll|'d)?|)"
    R"(\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+)";
constexpr std::string_view kBloom =
    R"( ?[^(\s|[.,!?\x{2026}\x{3002}\x{FF0C}\x{3001}\x{964}\x{6D4}\x{60C}])]+)";
constexpr std::string_view kDeepseekLetters =
    R"(\s?[)"
    R"(\x{41}-\x{5A}\x{61}-\x{7A}\x{B5}\x{C0}-\x{D6}\x{D8}-\x{F6}\x{F8}-\x{1BA})"
    R"(\x{1BC}-\x{1BF}\x{1C4}-\x{293}\x{295}-\x{2AF}\x{370}-\x{373}\x{376}\x{377})"
    R"(\x{37B}-\x{37D}\x{37F}\x{386}\x{388}-\x{38A}\x{38C}\x{38E}-\x{3A1}\x{3A3}-\x{3F5})"
    R"(\x{3F7}-\x{481}\x{48A}-\x{52F}\x{531}-\x{556}\x{10A0}-\x{10C5}\x{13A0}-\x{13F5})"
    R"(\x{13F8}-\x{13FD}\x{1C90}-\x{1CBA}\x{1CBD}-\x{1CBF}\x{1D00}-\x{1D2B}\x{1D6B}-\x{1D77})"
    R"(\x{1D79}-\x{1D9A}\x{1E00}-\x{1F15}\x{1F18}-\x{1F1D}\x{1F20}-\x{1F45}\x{1F48}-\x{1F4D})"
    R"(\x{1F50}-\x{1F57}\x{1F59}\x{1F5B}\x{1F5D}\x{1F5F}-\x{1F7D}\x{1F80}-\x{1FB4})"
    R"(\x{1FB6}-\x{1FBC}\x{1FBE}\x{1FC2}-\x{1FC4}\x{1FC6}-\x{1FCC}\x{1FD0}-\x{1FD3})"
    R"(\x{1FD6}-\x{1FDB}\x{1FE0}-\x{1FEC}\x{1FF2}-\x{1FF4}\x{1FF6}-\x{1FFC}\x{2102}\x{2107})"
    R"(\x{210A}-\x{2113}\x{2115}\x{2119}-\x{211D}\x{2124}\x{2126}\x{2128}\x{212A}-\x{212D})"
    R"(\x{212F}-\x{2134}\x{2139}\x{213C}-\x{213F}\x{2145}-\x{2149}\x{214E}\x{2183}\x{2184})"
    R"(\x{2C00}-\x{2C7B}\x{2C7E}-\x{2CE4}\x{2CEB}-\x{2CEE}\x{2CF2}\x{2CF3}\x{A640}-\x{A66D})"
    R"(\x{A680}-\x{A69B}\x{A722}-\x{A76F}\x{A771}-\x{A787}\x{A78B}-\x{A78E}\x{AB70}-\x{ABBF})"
    R"(\x{FB00}-\x{FB06}\x{FB13}-\x{FB17}\x{FF21}-\x{FF3A}\x{FF41}-\x{FF5A})"
    R"(\x{10400}-\x{1044F}\x{104B0}-\x{104D3}\x{104D8}-\x{104FB}\x{10C80}-\x{10CB2})"
    R"(\x{10CC0}-\x{10CF2}\x{118A0}-\x{118DF}\x{1E900}-\x{1E943})"
    R"(]+)";
constexpr std::string_view kDeepseekMarks =
    R"(\s?[!-/:-~\x{FF01}-\x{FF0F}\x{FF1A}-\x{FF5E}\x{2018}-\x{201F}\x{3000}-\x{3002}]+)";
constexpr std::string_view kDeepseekAsian =
    R"([\x{4E00}-\x{9FA5}\x{800}-\x{4E00}\x{AC00}-\x{D7FF}]+)";
constexpr std::string_view kDeepseek3Asian =
    R"([\x{4E00}-\x{9FA5}\x{3040}-\x{309F}\x{30A0}-\x{30FF}]+)";
constexpr std::string_view kDeepseek3Words =
    R"([!"#$%&'()*+,\-./:;<=>?@\[\\\]^_`{|}~][A-Za-z]+|[^\r\n\p{L}\p{P}\p{S}]?[\p{L}\p{M}]+|)"
    R"( ?[\p{P}\p{S}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+)";
constexpr std::string_view kYoutuAsian =
    R"([\x{AC00}-\x{D7A3}\x{3131}-\x{318E}]+|)"
    R"([\x{FF01}\x{2026}\x{201C}\x{201D}\x{2018}\x{2019}\x{2014}\x{FF1A}\x{FF1B}\x{FF0C})"
    R"(\x{3001}-\x{303F}\x{FE30}-\x{FE4F}]+|[\x{3105}-\x{312F}]+|)"
    R"([\x{4E00}-\x{9FA5}\x{3040}-\x{309F}\x{30A0}-\x{30FF}]+)";
constexpr std::string_view kYoutuWords =
    R"([^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*[\p{Ll}\p{Lm}\p{Lo}\p{M}]+)"
    R"((?i:'s|'t|'re|'ve|'m|'ll|'d)?|)"
    R"([^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]+[\p{Ll}\p{Lm}\p{Lo}\p{M}]*)"
    R"((?i:'s|'t|'re|'ve|'m|'ll|'d)?|)"
    R"(\p{N}| ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+)";

using Patterns = std::span<const std::string_view>;

constexpr std::string_view kDigit = R"(\p{N})";
constexpr std::string_view kJustGpt2[] = {kGpt2};
constexpr std::string_view kDigitsGpt2[] = {kDigit, kGpt2};
constexpr std::string_view kJustQwen2[] = {kQwen2};
constexpr std::string_view kJustQwen35[] = {kQwen35};
constexpr std::string_view kJustLlama3[] = {kLlama3};
constexpr std::string_view kJustGpt4o[] = {kGpt4o};
constexpr std::string_view kJustTekken[] = {kTekken};
constexpr std::string_view kJustBailing[] = {kBailing};
constexpr std::string_view kJustSeedCoder[] = {kSeedCoder};
constexpr std::string_view kJustExaoneMoe[] = {kExaoneMoe};
constexpr std::string_view kJustKimi[] = {kKimi};
constexpr std::string_view kJustBloom[] = {kBloom};
constexpr std::string_view kBloomDigits[] = {kBloom, kDigit};
constexpr std::string_view kDeepseekLlm[] = {R"([\r\n])", kDeepseekLetters, kDeepseekMarks,
                                             R"(\s+$)",   kDeepseekAsian,   kDigit};
constexpr std::string_view kDeepseekCoder[] = {R"([\r\n])", R"(\s?\p{L}+)", R"(\s?\p{P}+)",
                                               kDeepseekAsian, kDigit};
constexpr std::string_view kDeepseek3[] = {R"(\p{N}{1,3})", kDeepseek3Asian, kDeepseek3Words};
constexpr std::string_view kMinicpm5[] = {
    R"(\p{N}{1,3})",
    R"((?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}+| ?[^\s\p{L}\p{N}]+[\r\n]*|)"
    R"(\s*[\r\n]+|\s+(?!\S)|\s+)"};
constexpr std::string_view kYoutu[] = {kYoutuAsian, kYoutuWords};
constexpr std::string_view kSuperBpe[] = {R"(\p{N}+)", R"((?=(\d{3})+(?!\d)))"};
constexpr std::string_view kFalcon[] = {R"([\p{P}$+<=>^`|~]+)", kGpt2, R"(\p{N}+)",
                                        "[0-9][0-9][0-9]"};

struct Known {
  std::string_view name;
  Patterns patterns;
  bool nfc = false;
  bool ignore_merges = false;
  bool adds_bos = false;
  std::size_t patterns_on_letters = 0;
};

// The first name of a combination is the one written; others are read as well. Names of encoders
// (jina, roberta) and of patterns that are no published tokenizer's are not here.
constexpr Known kKnown[] = {
    {.name = "gpt-2", .patterns = kJustGpt2},
    {.name = "phi-2", .patterns = kJustGpt2},
    {.name = "jais", .patterns = kJustGpt2},
    {.name = "gigachat", .patterns = kJustGpt2},
    {.name = "a.x-4.0", .patterns = kJustGpt2},
    {.name = "mellum", .patterns = kJustGpt2},
    {.name = "exaone4", .patterns = kJustGpt2},
    {.name = "trillion", .patterns = kJustGpt2},
    {.name = "granite-docling", .patterns = kJustGpt2},
    {.name = "olmo", .patterns = kJustGpt2, .nfc = true},
    {.name = "mpt", .patterns = kJustGpt2, .nfc = true},
    {.name = "smollm", .patterns = kDigitsGpt2},
    {.name = "starcoder", .patterns = kDigitsGpt2},
    {.name = "refact", .patterns = kDigitsGpt2},
    {.name = "codeshell", .patterns = kDigitsGpt2},
    {.name = "exaone", .patterns = kDigitsGpt2},
    {.name = "minerva-7b", .patterns = kDigitsGpt2},
    {.name = "mellum2", .patterns = kDigitsGpt2},
    {.name = "command-r", .patterns = kDigitsGpt2, .nfc = true},
    {.name = "qwen2", .patterns = kJustQwen2, .nfc = true},
    {.name = "deepseek-r1-qwen", .patterns = kJustQwen2, .nfc = true},
    {.name = "kormo", .patterns = kJustQwen2, .nfc = true},
    {.name = "f2llmv2", .patterns = kJustQwen2, .nfc = true},
    {.name = "megrez", .patterns = kJustQwen2, .nfc = true},
    {.name = "stablelm2", .patterns = kJustQwen2, .nfc = true},
    {.name = "hunyuan", .patterns = kJustQwen2, .nfc = true},
    {.name = "solar-open", .patterns = kJustQwen2, .nfc = true},
    {.name = "grok-2", .patterns = kJustQwen2, .nfc = true},
    {.name = "qwen35", .patterns = kJustQwen35, .nfc = true},
    {.name = "gpt-4o", .patterns = kJustGpt4o},
    {.name = "llama4", .patterns = kJustGpt4o},
    {.name = "kanana2", .patterns = kJustGpt4o},
    {.name = "talkie", .patterns = kJustGpt4o},
    {.name = "minimax-m2", .patterns = kJustGpt4o},
    {.name = "llama-bpe", .patterns = kJustLlama3, .ignore_merges = true, .adds_bos = true},
    {.name = "llama-v3", .patterns = kJustLlama3, .ignore_merges = true, .adds_bos = true},
    {.name = "llama3", .patterns = kJustLlama3, .ignore_merges = true, .adds_bos = true},
    {.name = "falcon3", .patterns = kJustLlama3, .ignore_merges = true, .adds_bos = true},
    {.name = "falcon-h1", .patterns = kJustLlama3, .ignore_merges = true, .adds_bos = true},
    {.name = "pixtral", .patterns = kJustLlama3, .ignore_merges = true, .adds_bos = true},
    {.name = "midm-2.0", .patterns = kJustLlama3, .ignore_merges = true, .adds_bos = true},
    {.name = "lfm2", .patterns = kJustLlama3, .ignore_merges = true, .adds_bos = true},
    {.name = "minicpm5", .patterns = kMinicpm5, .ignore_merges = true},
    {.name = "smaug-bpe", .patterns = kJustLlama3},
    {.name = "dbrx", .patterns = kJustLlama3},
    {.name = "glm4", .patterns = kJustLlama3},
    {.name = "chatglm-bpe", .patterns = kJustLlama3},
    {.name = "tekken", .patterns = kJustTekken, .ignore_merges = true, .adds_bos = true},
    {.name = "deepseek-llm", .patterns = kDeepseekLlm},
    {.name = "deepseek-coder", .patterns = kDeepseekCoder},
    {.name = "deepseek-v3", .patterns = kDeepseek3},
    {.name = "hunyuan-dense", .patterns = kDeepseek3},
    {.name = "joyai-llm", .patterns = kDeepseek3},
    {.name = "falcon", .patterns = kFalcon, .patterns_on_letters = 2},
    {.name = "bloom", .patterns = kJustBloom},
    {.name = "poro-chat", .patterns = kJustBloom},
    {.name = "gpt3-finnish", .patterns = kJustBloom},
    {.name = "viking", .patterns = kBloomDigits},
    {.name = "superbpe", .patterns = kSuperBpe},
    {.name = "bailingmoe", .patterns = kJustBailing},
    {.name = "bailingmoe2", .patterns = kJustBailing},
    {.name = "llada-moe", .patterns = kJustBailing},
    {.name = "seed-coder", .patterns = kJustSeedCoder},
    {.name = "exaone-moe", .patterns = kJustExaoneMoe},
    {.name = "youtu", .patterns = kYoutu, .ignore_merges = true},
    {.name = "kimi-k2", .patterns = kJustKimi},
};

// Other spellings under which a pattern is published; both cut every text alike.
struct Spelling {
  std::string_view other;
  std::string_view pattern;
};
constexpr Spelling kSpellings[] = {
    {R"('(?i:[sdmt]|ll|ve|re)|[^\r\n\p{L}\p{N}]?+\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]++[\r\n]*|)"
     R"(\s*[\r\n]|\s+(?!\S)|\s+)",
     kLlama3},
    {R"('(?:[sdmt]|ll|ve|re)| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+)", kGpt2},
};

// Two spellings of the same classes become one.
std::string canonical(std::string_view pattern) {
  for (const Spelling& spelling : kSpellings) {
    if (pattern == spelling.other) pattern = spelling.pattern;
  }
  try {
    return to_pcre2(pattern);
  } catch (const Error&) {
    return std::string(pattern);
  }
}

// The patterns of kKnown in that form.
const std::vector<std::vector<std::string>>& canonical_known() {
  static const std::vector<std::vector<std::string>> all = [] {
    std::vector<std::vector<std::string>> out;
    for (const Known& known : kKnown) {
      std::vector<std::string>& patterns = out.emplace_back();
      for (const std::string_view pattern : known.patterns) patterns.push_back(canonical(pattern));
    }
    return out;
  }();
  return all;
}

// `patterns_of(i)` are those of kKnown[i]. Normalization has the last say: GGUF's other readers do
// none.
template <class PatternsOf>
std::optional<std::string_view> find_name(const TokenizerSpec& spec,
                                          const std::vector<std::string>& patterns,
                                          const PatternsOf& patterns_of) {
  std::optional<std::string_view> found;
  for (std::size_t i = 0; i < std::size(kKnown); ++i) {
    const Known& known = kKnown[i];
    const auto& theirs = patterns_of(i);
    if (spec.ignore_merges != known.ignore_merges ||
        spec.patterns_on_letters != known.patterns_on_letters ||
        !std::equal(patterns.begin(), patterns.end(), theirs.begin(), theirs.end())) {
      continue;
    }
    if (known.nfc == spec.nfc) return known.name;
    if (!found) found = known.name;
  }
  return found;
}

struct Anchor {
  std::size_t id = 0;
  std::string_view token = {};
};
struct Published {
  std::string_view name;
  std::array<Anchor, 4> anchors;
  std::size_t tokens = 0;  // at least
};

constexpr Published kPublished[] = {
    {"llama-bpe",
     {{{0, "!"}, {128000, "<|begin_of_text|>"}, {128001, "<|end_of_text|>"}, {0, "!"}}}},
    {"gpt-4o", {{{0, "!"}, {199999, "<|endoftext|>"}, {0, "!"}, {0, "!"}}}},
    {"qwen2", {{{0, "!"}, {151643, "<|endoftext|>"}, {151644, "<|im_start|>"}, {0, "!"}}}},
    {"deepseek-r1-qwen",
     {{{0, "!"},
       {151643, "<\uFF5Cend\u2581of\u2581sentence\uFF5C>"},
       {151646, "<\uFF5Cbegin\u2581of\u2581sentence\uFF5C>"},
       {0, "!"}}}},
    {"gpt-2", {{{0, "!"}, {262, "\u0120the"}, {50256, "<|endoftext|>"}, {0, "!"}}}},
    {"smollm",
     {{{0, "<|endoftext|>"}, {1, "<|im_start|>"}, {2, "<|im_end|>"}, {3, "<repo_name>"}}}},
    {"starcoder",
     {{{0, "<|endoftext|>"}, {1, "<fim_prefix>"}, {2, "<fim_middle>"}, {3, "<fim_suffix>"}}}},
    {"olmo", {{{0, "<|endoftext|>"}, {1, "<|padding|>"}, {2, "!"}, {3, "\""}}}, 50000},
    {"falcon", {{{0, ">>TITLE<<"}, {1, ">>ABSTRACT<<"}, {11, "<|endoftext|>"}, {12, "!"}}}},
    {"deepseek-llm",
     {{{0, "!"},
       {100000, "<\uFF5Cbegin\u2581of\u2581sentence\uFF5C>"},
       {100001, "<\uFF5Cend\u2581of\u2581sentence\uFF5C>"},
       {0, "!"}}}},
    {"deepseek-coder",
     {{{0, "!"},
       {32013, "<\uFF5Cbegin\u2581of\u2581sentence\uFF5C>"},
       {32014, "<\uFF5Cend\u2581of\u2581sentence\uFF5C>"},
       {0, "!"}}}},
    {"deepseek-v3",
     {{{0, "<\uFF5Cbegin\u2581of\u2581sentence\uFF5C>"},
       {1, "<\uFF5Cend\u2581of\u2581sentence\uFF5C>"},
       {2, "<\uFF5C\u2581pad\u2581\uFF5C>"},
       {3, "!"}}},
     128000},
    {"tekken", {{{1, "<s>"}, {2, "</s>"}, {3, "[INST]"}, {4, "[/INST]"}}}, 131072},
};

}  // namespace

std::optional<std::string_view> pre_tokenizer_name(const TokenizerSpec& spec) {
  if (spec.add_prefix_space) return std::nullopt;
  const auto exact = find_name(spec, spec.patterns,
                               [](std::size_t i) -> const Patterns& { return kKnown[i].patterns; });
  if (exact) return exact;
  std::vector<std::string> rewritten;
  for (const std::string& pattern : spec.patterns) rewritten.push_back(canonical(pattern));
  return find_name(spec, rewritten, [](std::size_t i) -> const std::vector<std::string>& {
    return canonical_known()[i];
  });
}

bool matches_everything(const std::string& pattern) {
  const std::string ours = canonical(pattern);
  for (std::size_t i = 0; i < std::size(kKnown); ++i) {
    const std::vector<std::string>& theirs = canonical_known()[i];
    if (theirs.size() == 1 && theirs[0] == ours) return kKnown[i].patterns[0] != kBloom;
  }
  return false;
}

std::optional<PreTokenizer> pre_tokenizer(std::string_view name) {
  const auto* found = std::find_if(std::begin(kKnown), std::end(kKnown),
                                   [&](const Known& known) { return known.name == name; });
  if (found == std::end(kKnown)) return std::nullopt;
  PreTokenizer out;
  out.patterns.assign(found->patterns.begin(), found->patterns.end());
  out.patterns_on_letters = found->patterns_on_letters;
  out.nfc = found->nfc;
  out.ignore_merges = found->ignore_merges;
  out.adds_bos = found->adds_bos;
  return out;
}

std::vector<std::string_view> pre_tokenizer_names() {
  std::vector<std::string_view> names;
  for (const Known& known : kKnown) {
    const bool alias = std::any_of(std::begin(kKnown), &known, [&](const Known& other) {
      return other.patterns.data() == known.patterns.data() && other.nfc == known.nfc &&
             other.ignore_merges == known.ignore_merges;
    });
    if (!alias) names.push_back(known.name);
  }
  return names;
}

std::optional<std::string_view> pre_tokenizer_of_vocabulary(std::span<const std::string> tokens) {
  for (const Published& published : kPublished) {
    const bool all =
        std::all_of(published.anchors.begin(), published.anchors.end(), [&](const Anchor& anchor) {
          return anchor.id < tokens.size() && tokens[anchor.id] == anchor.token;
        });
    if (all && tokens.size() >= published.tokens) return published.name;
  }
  return std::nullopt;
}

}  // namespace pajamas::text
