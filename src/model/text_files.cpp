#include "model/text_files.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <map>
#include <nlohmann/json.hpp>

#include "base/error.h"
#include "text/utf8.h"

namespace pajamas::model {
namespace {

using nlohmann::ordered_json;

constexpr int kIndent = 2;

void require_text(const std::string& text, const char* what) {
  if (text::find_invalid_utf8(text) == std::string::npos) return;
  throw Error(ErrorCode::kCorruptFile, "is not UTF-8").at(what);
}

std::string make_tokenizer_config(const TextAssets& assets) {
  ordered_json config = {{"tokenizer_class", "PreTrainedTokenizerFast"},
                         {"add_bos_token", assets.add_bos},
                         {"add_prefix_space", assets.tokenizer.add_prefix_space},
                         {"clean_up_tokenization_spaces", false}};
  std::map<std::string, std::string> tokens = assets.template_tokens;
  if (assets.add_bos && assets.special.bos) {
    tokens.emplace("bos_token",
                   assets.tokenizer.tokens.at(static_cast<std::size_t>(*assets.special.bos)));
  }
  for (const auto& [key, text] : tokens) {
    require_text(text, key.c_str());
    config[key] = text;
  }
  if (assets.chat_template) {
    require_text(*assets.chat_template, "the chat template");
    config["chat_template"] = *assets.chat_template;
  }
  return config.dump(kIndent) + "\n";
}

// The end that the model's makers name first, then the others.
std::vector<std::int32_t> ends_of(const TextAssets& assets) {
  std::vector<std::int32_t> ends = assets.stop;
  if (assets.special.eos) {
    const auto found = std::find(ends.begin(), ends.end(), *assets.special.eos);
    if (found != ends.end()) std::rotate(ends.begin(), found, found + 1);
  }
  return ends;
}

void add_sampling(ordered_json& config, const io::GgufMetadata& metadata) {
  struct Setting {
    const char* gguf;
    const char* name;
    bool whole;
  };
  static constexpr std::array<Setting, 5> kSettings{{
      {"general.sampling.temp", "temperature", false},
      {"general.sampling.top_k", "top_k", true},
      {"general.sampling.top_p", "top_p", false},
      {"general.sampling.min_p", "min_p", false},
      {"general.sampling.penalty_repeat", "repetition_penalty", false},
  }};
  for (const Setting& setting : kSettings) {
    const auto value = metadata.find_number(setting.gguf);
    if (!value || !std::isfinite(*value) || std::abs(*value) > 1e9) continue;
    config["do_sample"] = true;
    if (setting.whole) {
      config[setting.name] = static_cast<std::int64_t>(*value);
    } else {
      // GGUF holds a float: 0.7 again, not 0.699999988079071.
      config[setting.name] = std::round(*value * 1e6) / 1e6;
    }
  }
}

std::string make_generation_config(const TextAssets& assets, const io::GgufMetadata* gguf) {
  ordered_json config = ordered_json::object();
  if (assets.special.bos) config["bos_token_id"] = *assets.special.bos;
  if (const auto ends = ends_of(assets); !ends.empty()) config["eos_token_id"] = ends;
  if (assets.special.pad) config["pad_token_id"] = *assets.special.pad;
  if (gguf != nullptr) add_sampling(config, *gguf);
  return config.dump(kIndent) + "\n";
}

}  // namespace

std::vector<TextFile> make_text_files(const TextAssets& assets, const io::GgufMetadata* gguf) {
  text::SurroundingTokens around;
  if (assets.add_bos) around.bos = assets.special.bos;
  if (assets.tokenizer.adds_eos.value_or(false)) around.eos = assets.special.eos;
  return {{"tokenizer.json", text::write_tokenizer_json(assets.tokenizer, around)},
          {"tokenizer_config.json", make_tokenizer_config(assets)},
          {"generation_config.json", make_generation_config(assets, gguf)}};
}

}  // namespace pajamas::model
