#include "model/text_assets.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <nlohmann/json.hpp>

#include "base/error.h"
#include "base/file.h"
#include "base/place.h"
#include "base/suggest.h"
#include "model/hparams.h"
#include "model/json_file.h"
#include "model/known_tokens.h"
#include "model/tokenizer_config.h"

namespace pajamas::model {
namespace {

namespace fs = std::filesystem;
using nlohmann::json;

// The seven parts a special token can play, as tokenizer_config.json and config.json name them.
struct SpecialName {
  const char* name;
  std::optional<std::int32_t> SpecialTokens::*id;
  const char* gguf;  // after "tokenizer.ggml."; the misspelling of sep is llama.cpp's
};
constexpr std::array<SpecialName, 7> kSpecialNames{{
    {"bos", &SpecialTokens::bos, "bos_token_id"},
    {"eos", &SpecialTokens::eos, "eos_token_id"},
    {"unk", &SpecialTokens::unk, "unknown_token_id"},
    {"sep", &SpecialTokens::sep, "seperator_token_id"},
    {"pad", &SpecialTokens::pad, "padding_token_id"},
    {"cls", &SpecialTokens::cls, "cls_token_id"},
    {"mask", &SpecialTokens::mask, "mask_token_id"},
}};

// Published files name -1, the size of the vocabulary or 4294967295 where they mean none.
std::optional<std::int32_t> token_id(const json& value, std::size_t vocab, std::string_view place,
                                     std::string_view key, std::vector<std::string>& notes) {
  if (value.is_number_integer()) {
    const auto id = value.get<std::int64_t>();
    const bool wraps = value.is_number_unsigned() && id < 0;
    if (!wraps && id >= 0 && static_cast<std::uint64_t>(id) < vocab) {
      return static_cast<std::int32_t>(id);
    }
  }
  std::string note = fmt::format("{}: {} is {}, no token of a vocabulary of {}: ignored", place,
                                 key, shown(value), vocab);
  if (std::ranges::find(notes, note) == notes.end()) notes.push_back(std::move(note));
  return std::nullopt;
}

// Ids of a key that is one number, a list of them, or absent.
std::vector<std::int32_t> id_list(const json& config, std::string_view place,
                                  const std::string& key, std::size_t vocab,
                                  std::vector<std::string>& notes) {
  std::vector<std::int32_t> ids;
  const auto found = config.find(key);
  if (found == config.end() || found->is_null()) return ids;
  const auto add = [&](const json& value) {
    if (const auto id = token_id(value, vocab, place, key, notes)) ids.push_back(*id);
  };
  if (!found->is_array()) {
    add(*found);
  } else {
    for (const json& value : *found) add(value);
  }
  return ids;
}

std::optional<std::int32_t> added_token_id(const text::TokenizerSpec& spec,
                                           std::string_view content) {
  for (const text::AddedToken& token : spec.added_tokens) {
    if (token.content == content) return token.id;
  }
  return std::nullopt;
}

// First the texts of tokenizer_config.json, then the ids of config.json for what is still open.
SpecialTokens read_special(const text::TokenizerSpec& spec, const json& tokenizer_config,
                           const json& config, std::size_t vocab, std::vector<std::string>& notes) {
  SpecialTokens special;
  for (const SpecialName& name : kSpecialNames) {
    if (const auto text =
            special_token_text(tokenizer_config, fmt::format("{}_token", name.name))) {
      special.*name.id = added_token_id(spec, *text);
    }
    const auto ids =
        id_list(config, "config.json", fmt::format("{}_token_id", name.name), vocab, notes);
    if (!(special.*name.id) && !ids.empty()) special.*name.id = ids.front();
  }
  return special;
}

void finish(TextAssets& assets) {
  if (assets.special.eos) assets.stop.push_back(*assets.special.eos);
  const std::vector<std::int32_t> known = known_ends(assets.tokenizer);
  assets.stop.insert(assets.stop.end(), known.begin(), known.end());
  std::sort(assets.stop.begin(), assets.stop.end());
  assets.stop.erase(std::unique(assets.stop.begin(), assets.stop.end()), assets.stop.end());
  if (assets.add_bos && !assets.special.bos) assets.add_bos = false;
}

[[noreturn]] void unknown_pre_tokenizer(std::string_view name, std::string_view place) {
  const std::vector<std::string_view> names = text::pre_tokenizer_names();
  const bool option = place.starts_with("--");
  throw Error(option ? ErrorCode::kUsage : ErrorCode::kUnsupported,
              fmt::format("there is no pre-tokenizer \"{}\"", printable(name, 40)),
              did_you_mean(name, names) +
                  fmt::format("give --pre-tokenizer one of {}", fmt::join(names, ", ")))
      .at(place);
}

// For files that have a pre-tokenizer of their own.
void name_pre_tokenizer(TextAssets& assets, const TextOptions& options) {
  if (options.pre_tokenizer.empty()) return;
  if (!text::pre_tokenizer(options.pre_tokenizer)) {
    unknown_pre_tokenizer(options.pre_tokenizer, "--pre-tokenizer");
  }
  assets.pre_tokenizer = options.pre_tokenizer;
  assets.notes.push_back(fmt::format(
      "tokenizer.json says how text is cut; --pre-tokenizer {} is only what a GGUF file "
      "made from it will say",
      options.pre_tokenizer));
}

TextAssets load_directory(const fs::path& folder, const TextOptions& options) {
  const fs::path tokenizer_file = folder / "tokenizer.json";
  if (!fs::exists(tokenizer_file)) {
    throw Error(ErrorCode::kNotFound, "tokenizer.json is missing",
                "download it from the published model; vocab.json and merges.txt alone do not do")
        .at(place_of(folder));
  }
  TextAssets assets;
  assets.origin = place_of(tokenizer_file);
  assets.tokenizer = with_context(place_of(tokenizer_file), [&] {
    return text::parse_tokenizer_json(read_text_file(tokenizer_file));
  });
  const json tokenizer_config = read_tokenizer_config(folder);
  add_config_tokens(assets.tokenizer, tokenizer_config);
  add_known_tokens(assets.tokenizer, false);
  const json config = json_object_if_there(folder / "config.json");
  const json generation = json_object_if_there(folder / "generation_config.json");
  // A model pads its vocabulary beyond what the tokenizer defines.
  std::size_t vocab = assets.tokenizer.tokens.size();
  with_context(place_of(folder / "config.json"), [&] {
    vocab = std::max<std::size_t>(vocab, JsonParams(config).count_or("vocab_size", kMaxWidth, 1));
    assets.special = read_special(assets.tokenizer, tokenizer_config, config, vocab, assets.notes);
    assets.stop = id_list(config, "config.json", "eos_token_id", vocab, assets.notes);
  });
  with_context(place_of(folder / "generation_config.json"), [&] {
    const auto ids = [&](const std::string& key) {
      return id_list(generation, "generation_config.json", key, vocab, assets.notes);
    };
    // The others only for what there is to tell: MLX takes the file as it is.
    for (const SpecialName& name : kSpecialNames) (void)ids(fmt::format("{}_token_id", name.name));
    const auto stop = ids("eos_token_id");
    if (!stop.empty()) assets.stop = stop;
  });
  with_context(place_of(folder / "tokenizer_config.json"), [&] {
    assets.add_bos = JsonParams(tokenizer_config)
                         .flag_or("add_bos_token", assets.tokenizer.adds_bos.value_or(false));
  });
  assets.template_tokens = named_special_tokens(tokenizer_config);
  assets.chat_templates = read_chat_templates(folder, tokenizer_config);
  name_pre_tokenizer(assets, options);
  finish(assets);
  return assets;
}

// token_type values of GGUF that matter here.
constexpr std::int32_t kTypeControl = 3;
constexpr std::int32_t kTypeUserDefined = 4;
constexpr std::int32_t kTypeUnused = 5;

// The name that the user, the file or its vocabulary gives. Without one llama.cpp takes a pattern
// that is no published tokenizer's, and says that the model will be worse for it.
std::string pre_tokenizer_of(const io::GgufMetadata& metadata, const std::string& asked,
                             std::vector<std::string>& notes) {
  constexpr const char* kKey = "tokenizer.ggml.pre";
  if (!asked.empty()) {
    if (!text::pre_tokenizer(asked)) unknown_pre_tokenizer(asked, "--pre-tokenizer");
    return asked;
  }
  const std::string* said = metadata.find_string(kKey);
  const bool nothing = said == nullptr || said->empty();
  if (!nothing && *said != "default") {
    if (!text::pre_tokenizer(*said)) unknown_pre_tokenizer(*said, kKey);
    return *said;
  }
  const std::string problem = nothing ? "is missing" : "says \"default\"";
  const auto known =
      text::pre_tokenizer_of_vocabulary(*metadata.find_strings("tokenizer.ggml.tokens"));
  if (!known) {
    throw Error(
        ErrorCode::kUnsupported,
        fmt::format("{}, and the vocabulary is none that is known by sight", problem),
        fmt::format("give --pre-tokenizer one of {}", fmt::join(text::pre_tokenizer_names(), ", ")))
        .at(kKey);
  }
  notes.push_back(
      fmt::format("{} {}: the vocabulary is one that goes with {}, which is taken "
                  "(--pre-tokenizer NAME takes another)",
                  kKey, problem, *known));
  return std::string(*known);
}

text::TokenizerSpec tokenizer_of(const io::GgufMetadata& metadata, const TextOptions& options,
                                 TextAssets& assets) {
  const std::string* model = metadata.find_string("tokenizer.ggml.model");
  const auto* tokens = metadata.find_strings("tokenizer.ggml.tokens");
  if (model == nullptr || tokens == nullptr) {
    throw Error(ErrorCode::kCorruptFile, "is missing", "this file holds no tokenizer")
        .at(model == nullptr ? "tokenizer.ggml.model" : "tokenizer.ggml.tokens");
  }
  if (*model != "gpt2") {
    throw Error(ErrorCode::kUnsupported,
                fmt::format("tokenizer \"{}\" is not supported, only gpt2 (byte-level BPE)",
                            printable(*model, 40)))
        .at("tokenizer.ggml.model");
  }
  assets.pre_tokenizer = pre_tokenizer_of(metadata, options.pre_tokenizer, assets.notes);
  const auto pre = text::pre_tokenizer(assets.pre_tokenizer);
  PJ_CHECK(pre.has_value());
  text::TokenizerSpec spec;
  spec.tokens_name = "tokenizer.ggml.tokens";
  spec.merges_name = "tokenizer.ggml.merges";
  spec.patterns = pre->patterns;
  spec.nfc = pre->nfc;
  spec.ignore_merges = pre->ignore_merges;
  spec.patterns_on_letters = pre->patterns_on_letters;
  spec.patterns_before_prefix = spec.patterns.size() - spec.patterns_on_letters;
  spec.adds_bos = metadata.find_bool("tokenizer.ggml.add_bos_token").value_or(pre->adds_bos);
  spec.adds_eos = metadata.find_bool("tokenizer.ggml.add_eos_token").value_or(false);
  spec.tokens = *tokens;
  const auto types = metadata.find_integers("tokenizer.ggml.token_type");
  if (types && types->size() != tokens->size()) {
    throw Error(ErrorCode::kCorruptFile,
                fmt::format("has {} entries for {} tokens", types->size(), tokens->size()))
        .at("tokenizer.ggml.token_type");
  }
  for (std::size_t i = 0; types && i < types->size(); ++i) {
    const std::int32_t type = (*types)[i];
    if (type == kTypeUnused) spec.tokens[i].clear();
    if (type != kTypeControl && type != kTypeUserDefined) continue;
    spec.added_tokens.push_back({.id = static_cast<std::int32_t>(i),
                                 .content = spec.tokens[i],
                                 .special = type == kTypeControl});
  }
  const auto* merges = metadata.find_strings("tokenizer.ggml.merges");
  if (merges == nullptr) {
    throw Error(ErrorCode::kCorruptFile, "is missing", "this file holds no complete tokenizer")
        .at("tokenizer.ggml.merges");
  }
  with_context("tokenizer.ggml.merges", [&] {
    for (const std::string& merge : *merges) spec.merges.push_back(text::parse_merge(merge));
  });
  add_known_tokens(spec, true);
  return spec;
}

// Of a GGUF file of that path.
TextAssets text_assets_at(const fs::path& path, const io::GgufMetadata& metadata,
                          const TextOptions& options) {
  TextAssets assets =
      with_context(place_of(path), [&] { return text_assets_of(metadata, options); });
  assets.origin = place_of(path);
  return assets;
}

}  // namespace

TextAssets text_assets_of(const io::GgufMetadata& metadata, const TextOptions& options) {
  TextAssets assets;
  assets.tokenizer = tokenizer_of(metadata, options, assets);
  const std::size_t vocab = assets.tokenizer.tokens.size();
  const auto read_id = [&](const std::string& key) -> std::optional<std::int32_t> {
    const auto id = metadata.find_number(key);
    if (!id) return std::nullopt;
    // Whole numbers of 32 bits are exact here, below zero too.
    const bool whole = *id == std::floor(*id) && std::abs(*id) <= 1e15;
    return token_id(whole ? json(static_cast<std::int64_t>(*id)) : json(*id), vocab, "GGUF", key,
                    assets.notes);
  };
  for (const SpecialName& name : kSpecialNames) {
    assets.special.*name.id = read_id(fmt::format("tokenizer.ggml.{}", name.gguf));
  }
  for (const SpecialName& name : kSpecialNames) {
    const auto id = assets.special.*name.id;
    if (!id) continue;
    assets.template_tokens[fmt::format("{}_token", name.name)] =
        assets.tokenizer.tokens[static_cast<std::size_t>(*id)];
  }
  for (const char* key : {"tokenizer.ggml.eot_token_id", "tokenizer.ggml.eom_token_id"}) {
    if (const auto id = read_id(key)) assets.stop.push_back(*id);
  }
  assets.add_bos = *assets.tokenizer.adds_bos;
  assets.chat_templates = chat_templates_of(metadata);
  finish(assets);
  // As in llama.cpp, even where a key names it.
  const auto not_an_end = message_end(assets.tokenizer);
  if (not_an_end && assets.stop.size() > 1) std::erase(assets.stop, *not_an_end);
  return assets;
}

std::vector<std::int32_t> ends_without_name(const TextAssets& assets) {
  const std::vector<std::int32_t> known = known_ends(assets.tokenizer);
  std::vector<std::int32_t> out;
  for (const std::int32_t id : assets.stop) {
    const bool named =
        id == assets.special.eos || std::find(known.begin(), known.end(), id) != known.end();
    if (!named) out.push_back(id);
  }
  return out;
}

TextAssets load_text_assets(const Checkpoint& checkpoint, const TextOptions& options) {
  if (checkpoint.gguf() == nullptr) return load_text_assets(checkpoint.path(), options);
  return text_assets_at(checkpoint.path(), *checkpoint.gguf(), options);
}

TextAssets load_text_assets(const fs::path& path, const TextOptions& options) {
  std::error_code code;
  const fs::file_status status = fs::status(path, code);
  if (!fs::exists(status)) {
    throw Error(ErrorCode::kNotFound, "no such file or directory",
                did_you_mean_path(path) +
                    "give a GGUF file, a directory with tokenizer.json, or a tokenizer.json")
        .at(place_of(path));
  }
  if (fs::is_directory(status)) return load_directory(path, options);
  if (io::looks_like_gguf(path)) {
    return text_assets_at(path, io::GgufFile::open(path).metadata(), options);
  }
  TextAssets assets;
  assets.origin = place_of(path);
  assets.tokenizer = with_context(place_of(path),
                                  [&] { return text::parse_tokenizer_json(read_text_file(path)); });
  assets.add_bos = assets.tokenizer.adds_bos.value_or(false);
  name_pre_tokenizer(assets, options);
  finish(assets);
  return assets;
}

}  // namespace pajamas::model
