// Facts: llama.cpp, convert_hf_to_gguf and gguf-py (state of 2026-10).
#include "quantize/gguf_metadata.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <nlohmann/json.hpp>
#include <unordered_map>

#include "base/error.h"
#include "model/architecture.h"
#include "model/kv_cache_type.h"
#include "model/own_keys.h"
#include "model/sampling.h"
#include "quantize/gguf_card.h"
#include "text/tokenizer.h"
#include "text/utf8.h"

namespace pajamas::quantize {
namespace {

using io::GgufMetadata;

// GGML_QNT_VERSION: the meaning of the quantized blocks.
constexpr std::uint32_t kQuantizationVersion = 2;

constexpr const char* kPreKey = "tokenizer.ggml.pre";

enum TokenType : std::int32_t { kNormal = 1, kControl = 3, kUserDefined = 4, kUnused = 5 };

// The format wants UTF-8, and readers end where a text is not.
io::GgufValue in_utf8(io::GgufValue value) {
  if (auto* text = std::get_if<std::string>(&value)) {
    *text = text::utf8_lossy(*text);
  } else if (auto* array = std::get_if<io::GgufArray>(&value)) {
    if (auto* texts = std::get_if<std::vector<std::string>>(array)) {
      for (std::string& each : *texts) each = text::utf8_lossy(each);
    }
  }
  return value;
}

bool looks_special(std::string_view token) {
  const auto wrapped = [&](std::string_view open, std::string_view close) {
    return token.size() >= open.size() + close.size() && token.starts_with(open) &&
           token.ends_with(close);
  };
  return token == "<pad>" || token == "<mask>" || token == "<2mass>" || token == "[@BOS@]" ||
         wrapped("<|", "|>") || wrapped("<\uFF5C", "\uFF5C>") || wrapped("<unused", ">");
}

std::string replace_all(std::string text, std::string_view from, std::string_view to) {
  for (std::size_t at = 0; (at = text.find(from, at)) != std::string::npos; at += to.size()) {
    text.replace(at, from.size(), to);
  }
  return text;
}

void add_vocabulary(GgufMetadata& metadata, const text::TokenizerSpec& spec, std::uint64_t vocab) {
  if (spec.tokens.size() > vocab) {
    throw Error(ErrorCode::kCorruptFile,
                fmt::format("the tokenizer defines {} tokens, the model has {} embeddings",
                            spec.tokens.size(), vocab),
                "the tokenizer and the weights do not belong together")
        .at("tokenizer.json");
  }
  std::unordered_map<std::size_t, const text::AddedToken*> added;
  for (const text::AddedToken& token : spec.added_tokens) {
    added.emplace(static_cast<std::size_t>(token.id), &token);
  }
  std::vector<std::string> tokens;
  std::vector<std::int32_t> types;
  for (std::size_t id = 0; id < vocab; ++id) {
    const auto found = added.find(id);
    if (found != added.end()) {
      const bool control = found->second->special || looks_special(found->second->content);
      tokens.push_back(control ? found->second->content
                               : replace_all(found->second->content, "\u2581", " "));
      types.push_back(control ? kControl : kUserDefined);
    } else if (id < spec.tokens.size() && !spec.tokens[id].empty()) {
      tokens.push_back(spec.tokens[id]);
      types.push_back(kNormal);
    } else {
      tokens.push_back(fmt::format("[PAD{}]", id));
      types.push_back(kUnused);
    }
  }
  metadata.add("tokenizer.ggml.tokens", io::GgufArray(std::move(tokens)));
  metadata.add("tokenizer.ggml.token_type", io::GgufArray(std::move(types)));
  std::vector<std::string> merges;
  merges.reserve(spec.merges.size());
  for (const text::Merge& merge : spec.merges) {
    // A space inside a token would be read as the gap between the two.
    const auto escaped = [](std::string_view part) {
      return replace_all(std::string(part), " ", "\u0120");
    };
    merges.push_back(fmt::format("{} {}", escaped(merge.left()), escaped(merge.right())));
  }
  if (!merges.empty()) metadata.add("tokenizer.ggml.merges", io::GgufArray(std::move(merges)));
}

// Whether two tokenizers of one vocabulary make the same of every token's text.
bool same_words(const text::TokenizerSpec& a, const text::TokenizerSpec& b) {
  const text::Tokenizer first(a), second(b);
  for (std::size_t id = 0; id < first.vocab_size(); ++id) {
    const std::string_view word = first.token_bytes(static_cast<std::int32_t>(id));
    if (text::find_invalid_utf8(word) != std::string_view::npos) continue;  // never a whole word
    if (first.encode(word) != second.encode(word)) return false;
  }
  return true;
}

// The name that was asked for, or the one that the patterns have. A name says `ignore_merges` too,
// which is no matter where merges make every word that is a token.
std::optional<std::string> pre_tokenizer_of(const model::TextAssets& assets) {
  if (!assets.pre_tokenizer.empty()) return assets.pre_tokenizer;
  if (const auto name = text::pre_tokenizer_name(assets.tokenizer)) return std::string(*name);
  text::TokenizerSpec other = assets.tokenizer;
  other.ignore_merges = !other.ignore_merges;
  const auto name = text::pre_tokenizer_name(other);
  if (!name || !same_words(assets.tokenizer, other)) return std::nullopt;
  return std::string(*name);
}

void add_tokenizer(GgufMetadata& metadata, const model::TextAssets& assets, std::uint64_t vocab) {
  const auto pre = pre_tokenizer_of(assets);
  if (!pre) {
    throw Error(
        ErrorCode::kUnsupported,
        fmt::format(
            "GGUF has no name for the pre-tokenizer pattern {}",
            printable(fmt::format("{}", fmt::join(assets.tokenizer.patterns, " then ")), 80)),
        fmt::format("known are those of {}; --pre-tokenizer NAME says one of these all the same",
                    fmt::join(text::pre_tokenizer_names(), ", ")))
        .at("tokenizer.json");
  }
  metadata.add("tokenizer.ggml.model", std::string("gpt2"));
  metadata.add(kPreKey, *pre);
  add_vocabulary(metadata, assets.tokenizer, vocab);
  const auto add_id = [&](const char* key, std::optional<std::int32_t> id) {
    if (id) metadata.add(key, static_cast<std::uint32_t>(*id));
  };
  add_id("tokenizer.ggml.bos_token_id", assets.special.bos);
  add_id("tokenizer.ggml.eos_token_id", assets.special.eos);
  add_id("tokenizer.ggml.unknown_token_id", assets.special.unk);
  add_id("tokenizer.ggml.seperator_token_id", assets.special.sep);  // llama.cpp's spelling
  add_id("tokenizer.ggml.padding_token_id", assets.special.pad);
  add_id("tokenizer.ggml.cls_token_id", assets.special.cls);
  add_id("tokenizer.ggml.mask_token_id", assets.special.mask);
  // Two more ends can be named beside eos.
  const std::vector<std::int32_t> ends = model::ends_without_name(assets);
  if (!ends.empty()) add_id("tokenizer.ggml.eot_token_id", ends[0]);
  if (ends.size() > 1) add_id("tokenizer.ggml.eom_token_id", ends[1]);
  metadata.add("tokenizer.ggml.add_bos_token", assets.add_bos);
  if (assets.tokenizer.adds_eos.value_or(false)) {
    metadata.add("tokenizer.ggml.add_eos_token", true);
  }
  model::add_chat_templates(assets.chat_templates, metadata);
}

// llama-quantize's keys about it, behind all others.
constexpr std::string_view kImportanceKeys = "quantize.imatrix.";

void add_importance(GgufMetadata& metadata, const ImportanceOrigin& origin) {
  const auto key = [](std::string_view name) { return fmt::format("{}{}", kImportanceKeys, name); };
  metadata.add(key("file"), text::utf8_lossy(origin.file));
  if (!origin.dataset.empty()) metadata.add(key("dataset"), text::utf8_lossy(origin.dataset));
  metadata.add(key("entries_count"), static_cast<std::uint32_t>(origin.entries));
  if (origin.chunks > 0) {
    metadata.add(key("chunks_count"), static_cast<std::uint32_t>(origin.chunks));
  }
}

GgufMetadata without_importance(const model::ModelConfig& config, std::uint32_t file_type,
                                const GgufSource& source) {
  GgufMetadata metadata;
  if (source.gguf != nullptr) {
    // A pre-tokenizer that was asked for or recognised is said from now on.
    const std::string pre = source.text != nullptr ? source.text->pre_tokenizer : std::string();
    for (const io::GgufPair& pair : source.gguf->pairs()) {
      if (pair.key == "general.file_type") {
        metadata.add(pair.key, file_type);
      } else if (pair.key == kPreKey && !pre.empty()) {
        metadata.add(pair.key, pre);
      } else if (pair.key == "general.quantization_version" || pair.key.starts_with("split.") ||
                 pair.key == model::kKvCacheKey || pair.key == model::kTarget.gguf ||
                 (source.importance != nullptr && pair.key.starts_with(kImportanceKeys))) {
        continue;
      } else {
        metadata.add(pair.key,
                     pair.key.starts_with("tokenizer.") ? pair.value : in_utf8(pair.value));
      }
    }
    if (metadata.find("general.file_type") == nullptr) metadata.add("general.file_type", file_type);
    if (metadata.find(kPreKey) == nullptr && !pre.empty()) metadata.add(kPreKey, pre);
    metadata.add("general.quantization_version", kQuantizationVersion);
    return metadata;
  }
  const model::Architecture& architecture = *config.architecture;
  metadata.add("general.architecture", std::string(architecture.gguf_name()));
  metadata.add("general.type", std::string("model"));
  if (source.generation_config != nullptr) {
    model::write_sampling(model::read_sampling(*source.generation_config), metadata);
  }
  add_identity(metadata, source.card != nullptr ? *source.card : model::ModelCard{}, source.name,
               model::parameter_count(config));
  architecture.write_gguf(config, metadata);
  metadata.add("general.file_type", file_type);
  metadata.add("general.quantization_version", kQuantizationVersion);
  if (source.text != nullptr) add_tokenizer(metadata, *source.text, config.vocab);
  return metadata;
}

}  // namespace

GgufMetadata make_gguf_metadata(const model::ModelConfig& config, std::uint32_t file_type,
                                const GgufSource& source) {
  GgufMetadata metadata = without_importance(config, file_type, source);
  if (!source.kv_cache_type.empty()) {
    metadata.add(model::kKvCacheKey, text::utf8_lossy(source.kv_cache_type));
  }
  if (!source.target.empty()) metadata.add(model::kTarget.gguf, text::utf8_lossy(source.target));
  if (source.importance != nullptr) add_importance(metadata, *source.importance);
  return metadata;
}

}  // namespace pajamas::quantize
