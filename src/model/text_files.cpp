#include "model/text_files.h"

#include <algorithm>
#include <map>
#include <nlohmann/json.hpp>

#include "base/error.h"
#include "model/sampling.h"
#include "text/utf8.h"

namespace pajamas::model {
namespace {

using nlohmann::ordered_json;

constexpr int kIndent = 2;

void require_utf8(const std::string& text, const char* what) {
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
    require_utf8(text, key.c_str());
    // Of other names readers take those alone that end so.
    ordered_json& place = key.ends_with("_token") ? config : config["extra_special_tokens"];
    place[key] = text;
  }
  for (const auto& [name, source] : assets.chat_templates) {
    require_utf8(name + source, "the chat template");
  }
  if (!assets.chat_templates.empty()) {
    config["chat_template"] = chat_template_json(assets.chat_templates);
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

std::string make_generation_config(const TextAssets& assets, const io::GgufMetadata* gguf) {
  ordered_json config = ordered_json::object();
  if (assets.special.bos) config["bos_token_id"] = *assets.special.bos;
  if (const auto ends = ends_of(assets); !ends.empty()) config["eos_token_id"] = ends;
  if (assets.special.pad) config["pad_token_id"] = *assets.special.pad;
  if (gguf != nullptr) write_sampling(read_sampling(*gguf), config);
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
