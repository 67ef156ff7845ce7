#include "model/rope_config.h"

#include <fmt/format.h>

#include <cmath>
#include <map>
#include <nlohmann/json.hpp>
#include <vector>

#include "base/error.h"
#include "model/architecture.h"
#include "model/hparams.h"
#include "model/rope.h"

namespace pajamas::model {
namespace {

using nlohmann::json;

[[noreturn]] void throw_unknown_scaling(const std::string& kind) {
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
  if (s.kind != RopeScaling::Kind::kLlama3) return;
  require_range(s.low_freq_factor > 0, "low_freq_factor", s.low_freq_factor, "is not positive");
  require_range(s.high_freq_factor > s.low_freq_factor, "high_freq_factor", s.high_freq_factor,
                "is not above low_freq_factor");
}

bool close(double a, double b) { return std::abs(a - b) <= 1e-6 * std::abs(b); }

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

// The keys of a rotary embedding in the newer spelling, wherever config.json has them.
struct RopeKeys {
  json values = json::object();
  std::string place;  // the object that says most of it; empty: config.json itself
};

// One place where config.json may have them.
struct RopePlace {
  const char* name;
  json keys;
};

// transformers 5 has everything in rope_parameters, older ones have rope_scaling and the base at
// the top. A file that an older one has saved again has the right keys inside and the defaults of
// its class outside.
std::vector<RopePlace> rope_places(const JsonParams& params) {
  std::vector<RopePlace> places;
  for (const char* name : {"rope_parameters", "rope_scaling"}) {
    const json* nested = params.find(name);
    if (nested == nullptr) continue;
    with_context(name, [&] { (void)JsonParams(*nested); });  // must be an object
    places.push_back({name, *nested});
  }
  json outside = json::object();
  for (const char* key : {"rope_theta", "partial_rotary_factor"}) {
    if (const json* value = params.find(key)) outside[key] = *value;
  }
  places.push_back({"", std::move(outside)});
  return places;
}

std::string place_in_words(const RopePlace& place) {
  return *place.name == '\0' ? "at the top" : fmt::format("in {}", place.name);
}

// Takes the older name of the type where the newer one is not there.
void take_older_name(RopePlace& place, std::vector<std::string>& notes) {
  const auto older = place.keys.find("type");
  if (older == place.keys.end()) return;
  const json type = *older;
  place.keys.erase(older);
  const auto newer = place.keys.find("rope_type");
  if (newer == place.keys.end() || newer->is_null()) {
    place.keys["rope_type"] = type;
  } else if (!type.is_null() && type != *newer) {
    notes.push_back(
        fmt::format("config.json: rope_type is {} and type {} in {}: the first is taken",
                    shown(*newer), shown(type), place.name));
  }
}

// Each key from the first place that has it; what belongs to a scaling from no place after the one
// that says which scaling it is. Of keys that contradict each other a note tells.
RopeKeys rope_keys(const json& object, std::vector<std::string>& notes) {
  RopeKeys found;
  std::map<std::string, const RopePlace*> origin;
  std::vector<RopePlace> places = rope_places(JsonParams(object));
  bool typed = false;
  for (RopePlace& place : places) {
    take_older_name(place, notes);
    for (const auto& [key, value] : place.keys.items()) {
      if (value.is_null()) continue;
      if (key == "full_attention" || key == "sliding_attention") {
        throw Error(ErrorCode::kUnsupported,
                    "a rotary embedding for each kind of layer is not supported")
            .at(place.name);
      }
      const bool general = key == "rope_theta" || key == "partial_rotary_factor";
      if (typed && !general && !origin.contains(key)) continue;
      const auto [where, first] = origin.emplace(key, &place);
      if (first) {
        found.values[key] = value;
      } else if (found.values[key] != value) {
        notes.push_back(fmt::format("config.json: {} is {} {} and {} {}: the first is taken", key,
                                    shown(found.values[key]), place_in_words(*where->second),
                                    shown(value), place_in_words(place)));
      }
    }
    typed = typed || origin.contains("rope_type");
  }
  found.place = places.front().name;
  return found;
}

void require_whole_heads(const JsonParams& params) {
  if (number_or(params, "partial_rotary_factor", 1) == 1) return;
  throw Error(ErrorCode::kUnsupported, "only whole heads can be rotated")
      .at("partial_rotary_factor");
}

RopeScaling read_scaling(const JsonParams& params, std::uint64_t context) {
  const std::string kind = params.text_or("rope_type", "default");
  RopeScaling s;
  if (kind == "default") return s;
  if (kind != "linear" && kind != "yarn" && kind != "llama3") throw_unknown_scaling(kind);
  s.original_context = params.count_or("original_max_position_embeddings", kMaxContext, context);
  if (kind == "linear") {
    s.kind = RopeScaling::Kind::kLinear;
    s.factor = params.number("factor");
  } else if (kind == "llama3") {
    s.kind = RopeScaling::Kind::kLlama3;
    s.factor = params.number("factor");
    s.low_freq_factor = params.number("low_freq_factor");
    s.high_freq_factor = params.number("high_freq_factor");
    params.count("original_max_position_embeddings", kMaxContext);  // must be there
  } else {
    s.kind = RopeScaling::Kind::kYarn;
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

const char* kind_name(RopeScaling::Kind kind) {
  switch (kind) {
    case RopeScaling::Kind::kLinear:
      return "linear";
    case RopeScaling::Kind::kYarn:
      return "yarn";
    case RopeScaling::Kind::kLlama3:
      return "llama3";
    case RopeScaling::Kind::kNone:
    case RopeScaling::Kind::kFactors:
      break;
  }
  return "default";
}

}  // namespace

namespace {

// YaRN divides by the logarithm of the base.
void check_base(const ModelConfig& config, const std::string& key) {
  if (config.rope_scaling.kind != RopeScaling::Kind::kYarn) return;
  require_range(config.rope_theta > 1, key, config.rope_theta, "is not above 1, which YaRN needs");
}

}  // namespace

void read_rope(const json& object, ModelConfig& config) {
  const RopeKeys keys = rope_keys(object, config.notes);
  const JsonParams params(keys.values);
  const auto read = [&] {
    require_whole_heads(params);
    config.rope_scaling = read_scaling(params, config.context_length);
  };
  if (keys.place.empty()) {
    read();
  } else {
    with_context(keys.place, read);
  }
  config.rope_theta = params.number("rope_theta");
  check_base(config, "rope_theta");
}

void read_rope(const io::GgufMetadata& metadata, ModelConfig& config) {
  const GgufParams params(metadata, config.architecture->gguf_name());
  config.rope_theta = params.number_or("rope.freq_base", 10000.0);
  // As llama.cpp reads it: a factor without a type is linear, and has an older name too.
  const auto has = [&](const char* key) { return metadata.find(params.key(key)) != nullptr; };
  const bool older = !has("rope.scaling.factor") && has("rope.scale_linear");
  const char* factor = older ? "rope.scale_linear" : "rope.scaling.factor";
  const bool scaled = has(factor) && params.number(factor) != 0;
  const std::string kind = params.text_or("rope.scaling.type", scaled ? "linear" : "none");
  if (kind == "none" || (kind == "linear" && !scaled)) return;
  with_context(params.key("rope.scaling.type"), [&] {
    if (kind != "linear" && kind != "yarn") throw_unknown_scaling(kind);
  });
  RopeScaling& s = config.rope_scaling;
  s.kind = kind == "linear" ? RopeScaling::Kind::kLinear : RopeScaling::Kind::kYarn;
  s.factor = params.number(factor);
  s.original_context =
      params.count_or("rope.scaling.original_context_length", kMaxContext, config.context_length);
  if (s.kind == RopeScaling::Kind::kYarn) {
    s.beta_fast = params.number_or("rope.scaling.yarn_beta_fast", 32);
    s.beta_slow = params.number_or("rope.scaling.yarn_beta_slow", 1);
    require_range(s.factor > 0, params.key(factor), s.factor, "is not positive");
    s.attention_factor =
        yarn_attention_factor(s.factor) * params.number_or("rope.scaling.yarn_attn_factor", 1);
    s.truncate = metadata.find_bool(params.key("rope.scaling.yarn_truncate")).value_or(true);
  }
  check(s, {params.key(factor), params.key("rope.scaling.yarn_attn_factor"),
            params.key("rope.scaling.yarn_beta_fast"), params.key("rope.scaling.yarn_beta_slow")});
  check_base(config, params.key("rope.freq_base"));
}

std::string describe(const RopeScaling& s) {
  switch (s.kind) {
    case RopeScaling::Kind::kNone:
      return "none";
    case RopeScaling::Kind::kLinear:
      return fmt::format("linear, factor {}", s.factor);
    case RopeScaling::Kind::kFactors:
      return "a factor for each frequency";
    case RopeScaling::Kind::kYarn:
    case RopeScaling::Kind::kLlama3:
      break;
  }
  return fmt::format(
      "{}, factor {} from {} positions{}", kind_name(s.kind), s.factor, s.original_context,
      s.kind == RopeScaling::Kind::kYarn && !s.truncate ? ", range not rounded" : "");
}

void write_rope_scaling(const ModelConfig& config, io::GgufMetadata& metadata) {
  const RopeScaling& s = config.rope_scaling;
  if (s.kind == RopeScaling::Kind::kNone) return;
  if (s.kind == RopeScaling::Kind::kLlama3 || s.kind == RopeScaling::Kind::kFactors) {
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
  if (s.kind == RopeScaling::Kind::kLinear) return;
  add("rope.scaling.original_context_length", static_cast<std::uint32_t>(s.original_context));
  const double usual = yarn_attention_factor(s.factor);
  if (!close(s.attention_factor, usual)) {
    add("rope.scaling.yarn_attn_factor", static_cast<float>(s.attention_factor / usual));
  }
  add("rope.scaling.yarn_beta_fast", static_cast<float>(s.beta_fast));
  add("rope.scaling.yarn_beta_slow", static_cast<float>(s.beta_slow));
  // llama.cpp always rounds and ignores the key; this engine follows it.
  if (!s.truncate) add("rope.scaling.yarn_truncate", false);
}

namespace {

// The scaling as config.json has it; null where there is none.
json scaling_json(const ModelConfig& config) {
  RopeScaling s = config.rope_scaling;
  if (s.kind == RopeScaling::Kind::kNone) return nullptr;
  if (s.kind == RopeScaling::Kind::kFactors) {
    const auto llama3 = llama3_of(config);
    if (!llama3) {
      throw Error(ErrorCode::kUnsupported, "these factors are no scaling that config.json can say",
                  "take the original checkpoint")
          .at("rope_freqs.weight");
    }
    s = *llama3;
  }
  json scaling = {{"rope_type", kind_name(s.kind)}, {"factor", s.factor}};
  if (s.kind != RopeScaling::Kind::kLinear)
    scaling["original_max_position_embeddings"] = s.original_context;
  if (s.kind == RopeScaling::Kind::kYarn) {
    scaling["beta_fast"] = s.beta_fast;
    scaling["beta_slow"] = s.beta_slow;
    scaling["truncate"] = s.truncate;
    scaling["attention_factor"] = s.attention_factor;
    // mlx-lm reads no attention_factor, but makes one of mscale.
    const double usual = yarn_attention_factor(s.factor);
    if (!close(s.attention_factor, usual) && s.factor > 1) {
      scaling["mscale"] = (s.attention_factor - 1) / (usual - 1);
    }
  } else if (s.kind == RopeScaling::Kind::kLlama3) {
    scaling["low_freq_factor"] = s.low_freq_factor;
    scaling["high_freq_factor"] = s.high_freq_factor;
  }
  return scaling;
}

// Whether mlx-lm, which reads no rope_parameters and the older name of the type first, reads
// `wanted` of this scaling.
bool reads_as(const json& stated, const json& wanted) {
  const auto text = [&](const char* key) {
    return stated.is_object() && stated.contains(key) && stated[key].is_string()
               ? stated[key].get<std::string>()
               : std::string();
  };
  std::string type = text("type").empty() ? text("rope_type") : text("type");
  if (type.empty()) type = "default";
  if (wanted.is_null()) return type == "default";
  if (type != wanted["rope_type"]) return false;
  for (const auto& [key, value] : wanted.items()) {
    if (key == "rope_type" || key == "truncate" || key == "attention_factor" || key == "mscale") {
      continue;
    }
    const bool usual = (key == "beta_fast" && value == 32) || (key == "beta_slow" && value == 1);
    if (!(stated.contains(key) ? stated[key] == value : usual)) return false;
  }
  if (type != "yarn") return true;
  const double factor = wanted["factor"];
  const JsonParams params(stated);
  return close(wanted["attention_factor"],
               yarn_attention_factor(factor, number_or(params, "mscale", 1)) /
                   yarn_attention_factor(factor, number_or(params, "mscale_all_dim", 0)));
}

}  // namespace

void write_rope(const ModelConfig& config, json& to) {
  json scaling = scaling_json(config);
  if (to.value("rope_theta", json()) == config.rope_theta &&
      reads_as(to.value("rope_scaling", json()), scaling)) {
    return;
  }
  to["rope_theta"] = config.rope_theta;
  if (!scaling.is_null() || to.contains("rope_scaling")) to["rope_scaling"] = scaling;
  if (!to.contains("rope_parameters")) return;
  if (scaling.is_null()) scaling = {{"rope_type", "default"}};
  scaling["rope_theta"] = config.rope_theta;
  to["rope_parameters"] = std::move(scaling);
}

}  // namespace pajamas::model
