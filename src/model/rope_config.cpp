#include "model/rope_config.h"

#include <fmt/format.h>

#include <cmath>
#include <nlohmann/json.hpp>

#include "base/error.h"
#include "model/architecture.h"
#include "model/hparams.h"
#include "model/rope.h"

namespace pajamas::model {
namespace {

using nlohmann::json;
using Kind = RopeScaling::Kind;

[[noreturn]] void throw_unknown(const std::string& kind) {
  throw Error(ErrorCode::kUnsupported,
              fmt::format("rotary scaling \"{}\" is not supported", printable(kind, 40)),
              "supported: default, linear, yarn, llama3");
}

void require_range(bool good, const std::string& key, double value, const char* range) {
  if (good) return;
  throw Error(ErrorCode::kCorruptFile, fmt::format("{} {}", value, range),
              "take config from the published model")
      .at(key);
}

// What must hold for the frequencies to be finite and positive. `names` are the source's.
struct ScalingNames {
  std::string factor, attention_factor, beta_fast, beta_slow;
};
void check(const RopeScaling& s, const ScalingNames& names) {
  constexpr double kMost = 1e6;
  constexpr const char* kRange = "is not between 0 and a million";
  require_range(s.factor > 0 && s.factor <= kMost, names.factor, s.factor, kRange);
  require_range(s.attention_factor > 0 && s.attention_factor <= kMost, names.attention_factor,
                s.attention_factor, kRange);
  require_range(s.beta_fast > 0 && s.beta_fast <= kMost, names.beta_fast, s.beta_fast, kRange);
  require_range(s.beta_slow > 0 && s.beta_slow <= kMost, names.beta_slow, s.beta_slow, kRange);
  if (s.kind != Kind::kLlama3) return;
  require_range(s.low_freq_factor > 0, "low_freq_factor", s.low_freq_factor, "is not positive");
  require_range(s.high_freq_factor > s.low_freq_factor, "high_freq_factor", s.high_freq_factor,
                "is not above low_freq_factor");
}

double number_or(const JsonParams& params, const char* key, double otherwise) {
  return params.has(key) ? params.number(key) : otherwise;
}

double read_attention_factor(const JsonParams& params, double factor) {
  if (params.has("attention_factor")) return params.number("attention_factor");
  const double m = number_or(params, "mscale", 0), all = number_or(params, "mscale_all_dim", 0);
  if (m != 0 && all != 0)
    return yarn_attention_factor(factor, m) / yarn_attention_factor(factor, all);
  return yarn_attention_factor(factor);
}

RopeScaling read_scaling(const JsonParams& params, std::uint64_t context) {
  const std::string kind = params.text_or("rope_type", params.text_or("type", "default"));
  RopeScaling s;
  if (kind == "default") return s;
  if (kind != "linear" && kind != "yarn" && kind != "llama3") throw_unknown(kind);
  if (number_or(params, "partial_rotary_factor", 1) != 1) {
    throw Error(ErrorCode::kUnsupported, "only whole heads can be rotated")
        .at("partial_rotary_factor");
  }
  s.original_context = params.count_or("original_max_position_embeddings", kMaxContext, context);
  if (kind == "linear") {
    s.kind = Kind::kLinear;
    s.factor = params.number("factor");
  } else if (kind == "llama3") {
    s.kind = Kind::kLlama3;
    s.factor = params.number("factor");
    s.low_freq_factor = params.number("low_freq_factor");
    s.high_freq_factor = params.number("high_freq_factor");
    params.count("original_max_position_embeddings", kMaxContext);  // must be there
  } else {
    s.kind = Kind::kYarn;
    s.factor = number_or(params, "factor",
                         static_cast<double>(context) / static_cast<double>(s.original_context));
    s.beta_fast = number_or(params, "beta_fast", 32);
    s.beta_slow = number_or(params, "beta_slow", 1);
    s.truncate = params.flag_or("truncate", true);
    require_range(s.factor > 0, "factor", s.factor, "is not positive");
    s.attention_factor = read_attention_factor(params, s.factor);
  }
  check(s, {"factor", "attention_factor", "beta_fast", "beta_slow"});
  return s;
}

const char* kind_name(Kind kind) {
  switch (kind) {
    case Kind::kLinear:
      return "linear";
    case Kind::kYarn:
      return "yarn";
    case Kind::kLlama3:
      return "llama3";
    case Kind::kNone:
    case Kind::kFactors:
      break;
  }
  return "default";
}

}  // namespace

namespace {

// YaRN divides by the logarithm of the base.
void check_base(const ModelConfig& config, const std::string& key) {
  if (config.rope_scaling.kind != Kind::kYarn) return;
  require_range(config.rope_theta > 1, key, config.rope_theta, "is not above 1, which YaRN needs");
}

}  // namespace

void read_rope(const json& object, ModelConfig& config) {
  const JsonParams params(object);
  const json* theta_from = &object;
  for (const char* key : {"rope_parameters", "rope_scaling"}) {
    const json* nested = params.find(key);
    if (nested == nullptr) continue;
    with_context(key, [&] {
      const JsonParams inside(*nested);
      if (inside.has("rope_theta")) theta_from = nested;
      const RopeScaling scaling = read_scaling(inside, config.context_length);
      if (scaling.kind == Kind::kNone) return;
      if (config.rope_scaling.kind != Kind::kNone && config.rope_scaling != scaling) {
        throw Error(ErrorCode::kCorruptFile, "contradicts rope_parameters",
                    "take config from the published model");
      }
      config.rope_scaling = scaling;
    });
  }
  if (number_or(params, "partial_rotary_factor", 1) != 1) {
    throw Error(ErrorCode::kUnsupported, "only whole heads can be rotated")
        .at("partial_rotary_factor");
  }
  // The older spelling wins where a file has both; it is reported as missing where it has neither.
  if (params.has("rope_theta")) theta_from = &object;
  config.rope_theta = JsonParams(*theta_from).number("rope_theta");
  check_base(config, "rope_theta");
}

void read_rope(const io::GgufMetadata& metadata, ModelConfig& config) {
  const GgufParams params(metadata, config.architecture->gguf_name());
  config.rope_theta = params.number_or("rope.freq_base", 10000.0);
  const std::string kind = params.text_or("rope.scaling.type", "none");
  if (kind == "none") return;
  with_context(params.key("rope.scaling.type"), [&] {
    if (kind != "linear" && kind != "yarn") throw_unknown(kind);
  });
  RopeScaling& s = config.rope_scaling;
  s.kind = kind == "linear" ? Kind::kLinear : Kind::kYarn;
  s.factor = params.number("rope.scaling.factor");
  s.original_context =
      params.count_or("rope.scaling.original_context_length", kMaxContext, config.context_length);
  if (s.kind == Kind::kYarn) {
    s.beta_fast = params.number_or("rope.scaling.yarn_beta_fast", 32);
    s.beta_slow = params.number_or("rope.scaling.yarn_beta_slow", 1);
    require_range(s.factor > 0, params.key("rope.scaling.factor"), s.factor, "is not positive");
    s.attention_factor =
        yarn_attention_factor(s.factor) * params.number_or("rope.scaling.yarn_attn_factor", 1);
    s.truncate = metadata.find_bool(params.key("rope.scaling.yarn_truncate")).value_or(true);
  }
  check(s, {params.key("rope.scaling.factor"), params.key("rope.scaling.yarn_attn_factor"),
            params.key("rope.scaling.yarn_beta_fast"), params.key("rope.scaling.yarn_beta_slow")});
  check_base(config, params.key("rope.freq_base"));
}

std::string describe(const RopeScaling& s) {
  switch (s.kind) {
    case Kind::kNone:
      return "none";
    case Kind::kLinear:
      return fmt::format("linear, factor {}", s.factor);
    case Kind::kFactors:
      return "a factor for each frequency";
    case Kind::kYarn:
    case Kind::kLlama3:
      break;
  }
  return fmt::format("{}, factor {} from {} positions{}", kind_name(s.kind), s.factor,
                     s.original_context,
                     s.kind == Kind::kYarn && !s.truncate ? ", range not rounded" : "");
}

void write_rope_scaling(const ModelConfig& config, io::GgufMetadata& metadata) {
  const RopeScaling& s = config.rope_scaling;
  if (s.kind == Kind::kNone) return;
  if (s.kind == Kind::kLlama3 || s.kind == Kind::kFactors) {
    // A tensor of factors, which only this architecture has there.
    if (config.architecture->gguf_interleaves_heads()) return;
    throw Error(ErrorCode::kUnsupported, "GGUF cannot say so for this architecture",
                "write --format mlx")
        .at("rope_scaling llama3");
  }
  const GgufParams params(metadata, config.architecture->gguf_name());
  const auto add = [&](const char* suffix, io::GgufValue value) {
    metadata.add(params.key(suffix), std::move(value));
  };
  add("rope.scaling.type", std::string(kind_name(s.kind)));
  add("rope.scaling.factor", static_cast<float>(s.factor));
  if (s.kind == Kind::kLinear) return;
  add("rope.scaling.original_context_length", static_cast<std::uint32_t>(s.original_context));
  const double usual = yarn_attention_factor(s.factor);
  if (std::abs(s.attention_factor - usual) > 1e-6 * usual) {
    add("rope.scaling.yarn_attn_factor", static_cast<float>(s.attention_factor / usual));
  }
  add("rope.scaling.yarn_beta_fast", static_cast<float>(s.beta_fast));
  add("rope.scaling.yarn_beta_slow", static_cast<float>(s.beta_slow));
  // llama.cpp always rounds and ignores the key; this engine follows it.
  if (!s.truncate) add("rope.scaling.yarn_truncate", false);
}

void write_rope(const ModelConfig& config, json& to) {
  to["rope_theta"] = config.rope_theta;
  RopeScaling s = config.rope_scaling;
  if (s.kind == Kind::kNone) return;
  if (s.kind == Kind::kFactors) {
    const auto llama3 = llama3_of(config);
    if (!llama3) {
      throw Error(ErrorCode::kUnsupported, "these factors are no scaling that config.json can say",
                  "take the original checkpoint")
          .at("rope_freqs.weight");
    }
    s = *llama3;
  }
  json scaling = {{"rope_type", kind_name(s.kind)}, {"factor", s.factor}};
  if (s.kind != Kind::kLinear) scaling["original_max_position_embeddings"] = s.original_context;
  if (s.kind == Kind::kYarn) {
    scaling["beta_fast"] = s.beta_fast;
    scaling["beta_slow"] = s.beta_slow;
    scaling["truncate"] = s.truncate;
    scaling["attention_factor"] = s.attention_factor;
  } else if (s.kind == Kind::kLlama3) {
    scaling["low_freq_factor"] = s.low_freq_factor;
    scaling["high_freq_factor"] = s.high_freq_factor;
  }
  to["rope_scaling"] = scaling;
}

}  // namespace pajamas::model
