#include "model/decoder.h"

#include <fmt/format.h>

#include <nlohmann/json.hpp>

#include "base/error.h"
#include "model/architecture.h"
#include "model/hparams.h"
#include "model/rope_config.h"

namespace pajamas::model {
namespace {

using nlohmann::json;

void check_experts(const ModelConfig& config, const std::string& used_key) {
  if (config.experts_used <= config.experts) return;
  throw Error(
      ErrorCode::kCorruptFile,
      fmt::format("{} experts cannot be chosen from {}", config.experts_used, config.experts),
      "take config from the published model")
      .at(used_key);
}

}  // namespace

ModelConfig read_decoder(const Architecture& architecture, const json& object) {
  const JsonParams params(object);
  ModelConfig config;
  config.architecture = &architecture;
  config.layers = params.count("num_hidden_layers", kMaxLayers);
  config.hidden = params.count("hidden_size", kMaxWidth);
  config.heads = params.count("num_attention_heads", kMaxHeads);
  config.kv_heads = params.count_or("num_key_value_heads", kMaxHeads, config.heads);
  const std::uint64_t usual = architecture.usual_head_dim();
  if (!params.has("head_dim") && usual == 0 && config.hidden % config.heads != 0) {
    throw Error(ErrorCode::kCorruptFile, "is not divisible by num_attention_heads",
                "take config from the published model")
        .at("hidden_size");
  }
  config.head_dim =
      params.count_or("head_dim", kMaxWidth, usual > 0 ? usual : config.hidden / config.heads);
  config.states_head_dim = params.has("head_dim") || usual > 0;
  config.ffn = params.count("intermediate_size", kMaxWidth);
  config.vocab = params.count("vocab_size", kMaxWidth);
  config.context_length = params.count("max_position_embeddings", kMaxContext);
  config.norm_eps = params.number("rms_norm_eps");
  config.tied_output = params.flag_or("tie_word_embeddings", false);
  read_rope(object, config);
  check_config(config, {"num_key_value_heads", "head_dim", "rope_theta", "rms_norm_eps"});
  return config;
}

ModelConfig read_decoder(const Architecture& architecture, const io::GgufMetadata& metadata) {
  const GgufParams params(metadata, architecture.gguf_name());
  ModelConfig config;
  config.architecture = &architecture;
  config.layers = params.count("block_count", kMaxLayers);
  config.hidden = params.count("embedding_length", kMaxWidth);
  config.heads = params.count("attention.head_count", kMaxHeads);
  config.kv_heads = params.count_or("attention.head_count_kv", kMaxHeads, config.heads);
  if (metadata.find(params.key("attention.key_length")) == nullptr &&
      config.hidden % config.heads != 0) {
    throw Error(ErrorCode::kCorruptFile, "is not divisible by the number of heads")
        .at(params.key("embedding_length"));
  }
  config.head_dim =
      params.count_or("attention.key_length", kMaxWidth, config.hidden / config.heads);
  config.states_head_dim = metadata.find(params.key("attention.key_length")) != nullptr;
  if (params.count_or("attention.value_length", kMaxWidth, config.head_dim) != config.head_dim) {
    throw Error(ErrorCode::kUnsupported, "differs from the length of keys")
        .at(params.key("attention.value_length"));
  }
  config.ffn = params.count("feed_forward_length", kMaxWidth);
  config.context_length = params.count("context_length", kMaxContext);
  config.norm_eps = params.number("attention.layer_norm_rms_epsilon");
  if (params.count_or("rope.dimension_count", kMaxWidth, config.head_dim) != config.head_dim) {
    throw Error(ErrorCode::kUnsupported, "only whole heads can be rotated")
        .at(params.key("rope.dimension_count"));
  }
  config.rope_interleaved = architecture.gguf_interleaves_heads();
  read_rope(metadata, config);
  check_config(config,
               {params.key("attention.head_count_kv"), params.key("attention.key_length"),
                params.key("rope.freq_base"), params.key("attention.layer_norm_rms_epsilon")});
  return config;
}

void write_decoder(const ModelConfig& config, io::GgufMetadata& metadata) {
  const GgufParams params(metadata, config.architecture->gguf_name());
  const auto add_count = [&](const char* suffix, std::uint64_t value) {
    metadata.add(params.key(suffix), static_cast<std::uint32_t>(value));
  };
  add_count("block_count", config.layers);
  add_count("context_length", config.context_length);
  add_count("embedding_length", config.hidden);
  add_count("feed_forward_length", config.ffn);
  add_count("attention.head_count", config.heads);
  add_count("attention.head_count_kv", config.kv_heads);
  write_rope_scaling(config, metadata);
  metadata.add(params.key("rope.freq_base"), static_cast<float>(config.rope_theta));
  metadata.add(params.key("attention.layer_norm_rms_epsilon"), static_cast<float>(config.norm_eps));
  if (config.experts > 0) {
    add_count("expert_count", config.experts);
    add_count("expert_used_count", config.experts_used);
  }
  if (config.states_head_dim) {
    add_count("attention.key_length", config.head_dim);
    add_count("attention.value_length", config.head_dim);
  }
  if (config.experts > 0) add_count("expert_feed_forward_length", config.expert_ffn);
}

void write_decoder(const ModelConfig& config, json& to) {
  const Architecture& architecture = *config.architecture;
  to["model_type"] = architecture.hf_type();
  to["architectures"] = json::array({architecture.hf_class()});
  to["num_hidden_layers"] = config.layers;
  to["hidden_size"] = config.hidden;
  to["num_attention_heads"] = config.heads;
  to["num_key_value_heads"] = config.kv_heads;
  to["head_dim"] = config.head_dim;
  to["intermediate_size"] = config.ffn;
  to["vocab_size"] = config.vocab;
  to["max_position_embeddings"] = config.context_length;
  to["rms_norm_eps"] = config.norm_eps;
  to["tie_word_embeddings"] = config.tied_output;
  to["hidden_act"] = "silu";
  write_rope(config, to);
}

void require_flag(const json& config, const char* key, bool usual) {
  if (JsonParams(config).flag_or(key, usual) == usual) return;
  throw Error(ErrorCode::kUnsupported, fmt::format("only {} is supported", usual)).at(key);
}

void require_text(const json& config, const char* key, std::string_view usual) {
  const std::string value = JsonParams(config).text_or(key, std::string(usual));
  if (value == usual) return;
  throw Error(ErrorCode::kUnsupported,
              fmt::format("\"{}\" is not supported, only \"{}\"", printable(value, 40), usual))
      .at(key);
}

void require_full_attention(const json& object, std::uint64_t first, std::uint64_t layers) {
  const JsonParams params(object);
  if (const json* types = params.find("layer_types")) {
    if (!types->is_array()) {
      throw Error(ErrorCode::kCorruptFile, "must be a list of one entry a layer").at("layer_types");
    }
    for (const json& type : *types) {
      if (type == "full_attention") continue;
      throw Error(
          ErrorCode::kUnsupported,
          fmt::format("{} is not supported in this architecture, only full_attention", shown(type)))
          .at("layer_types");
    }
    return;
  }
  if (!params.flag_or("use_sliding_window", false) || !params.has("sliding_window")) return;
  const std::uint64_t windowed = params.index_or("max_window_layers", first);
  if (windowed >= layers) return;
  throw Error(ErrorCode::kUnsupported,
              fmt::format("the layers from {} have a window of {}, and this architecture is "
                          "computed without windows",
                          windowed, shown(*params.find("sliding_window"))))
      .at("use_sliding_window");
}

void read_experts(const json& object, const ExpertKeys& keys, ModelConfig& config) {
  const JsonParams params(object);
  config.experts = params.count(keys.count, kMaxExperts);
  config.experts_used = params.count(keys.used, kMaxExperts);
  config.expert_ffn = params.count(keys.ffn, kMaxWidth);
  check_experts(config, keys.used);
}

void read_experts(const io::GgufMetadata& metadata, ModelConfig& config) {
  const GgufParams params(metadata, config.architecture->gguf_name());
  config.experts = params.count("expert_count", kMaxExperts);
  config.experts_used = params.count("expert_used_count", kMaxExperts);
  config.expert_ffn = params.count("expert_feed_forward_length", kMaxWidth);
  check_experts(config, params.key("expert_used_count"));
}

}  // namespace pajamas::model
