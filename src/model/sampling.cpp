// Facts: transformers' GenerationConfig, gguf-py's Keys.General.SAMPLING_* and llama.cpp's common.
#include "model/sampling.h"

#include <array>
#include <cmath>
#include <filesystem>
#include <nlohmann/json.hpp>
#include <string>

#include "model/json_file.h"

namespace pajamas::model {
namespace {

using nlohmann::json;

struct SamplingKey {
  std::optional<double> Sampling::*value;
  const char* gguf;
  const char* hf;     // in generation_config.json
  const char* older;  // llama.cpp's converter looks for this one there; may be null
  bool whole;
  double least, most;
};
constexpr std::array<SamplingKey, 6> kKeys{{
    {&Sampling::top_k, "general.sampling.top_k", "top_k", nullptr, true, -1, 1e9},
    {&Sampling::top_p, "general.sampling.top_p", "top_p", nullptr, false, 0, 1},
    {&Sampling::min_p, "general.sampling.min_p", "min_p", nullptr, false, 0, 1},
    {&Sampling::temperature, "general.sampling.temp", "temperature", nullptr, false, 0, 1e6},
    {&Sampling::penalty_last_n, "general.sampling.penalty_last_n", "penalty_last_n", nullptr, true,
     -1, 1e9},
    {&Sampling::repeat_penalty, "general.sampling.penalty_repeat", "repetition_penalty",
     "penalty_repeat", false, 1e-6, 1e6},
}};

void set(Sampling& sampling, const SamplingKey& key, double value) {
  if (!(value >= key.least && value <= key.most)) return;
  if (key.whole && value != std::floor(value)) return;
  if (key.value == &Sampling::top_k && value < 0) value = 0;
  // No share at all would leave no token.
  if (key.value == &Sampling::top_p && value == 0) return;
  sampling.*key.value = value;
}

const json* find_number(const json& object, const char* key) {
  if (key == nullptr) return nullptr;
  const auto found = object.find(key);
  return found == object.end() || !found->is_number() ? nullptr : &*found;
}

// GGUF holds floats: 0.7 again, not 0.699999988079071.
double rounded(double value) { return std::round(value * 1e6) / 1e6; }

}  // namespace

Sampling read_sampling(const json& generation) {
  Sampling sampling;
  if (!generation.is_object()) return sampling;
  for (const SamplingKey& key : kKeys) {
    const json* value = find_number(generation, key.hf);
    if (value == nullptr) value = find_number(generation, key.older);
    if (value != nullptr) set(sampling, key, value->get<double>());
  }
  // Whatever else it says is for those who sample all the same; the penalty counts here too.
  if (generation.value("do_sample", json()) == false) sampling.temperature = 0;
  return sampling;
}

Sampling read_sampling(const io::GgufMetadata& metadata) {
  Sampling sampling;
  for (const SamplingKey& key : kKeys) {
    const auto value = metadata.find_number(key.gguf);
    if (value) set(sampling, key, std::abs(*value) <= 1e9 ? rounded(*value) : *value);
  }
  return sampling;
}

Sampling read_sampling(const Checkpoint& checkpoint) {
  if (checkpoint.gguf() != nullptr) return read_sampling(*checkpoint.gguf());
  const auto path = checkpoint.path() / "generation_config.json";
  if (!std::filesystem::is_regular_file(path)) return {};
  return read_sampling(read_json_file(path));
}

void write_sampling(const Sampling& sampling, io::GgufMetadata& metadata) {
  for (const SamplingKey& key : kKeys) {
    const auto& value = sampling.*key.value;
    if (!value) continue;
    if (key.whole) {
      metadata.add(key.gguf, static_cast<std::int32_t>(*value));
    } else {
      metadata.add(key.gguf, static_cast<float>(*value));
    }
  }
}

void write_sampling(const Sampling& sampling, nlohmann::ordered_json& generation) {
  const bool greedy = sampling.temperature == 0.0;
  if (sampling.temperature || sampling.top_k || sampling.top_p || sampling.min_p) {
    generation["do_sample"] = !greedy;
  }
  for (const SamplingKey& key : kKeys) {
    const auto& value = sampling.*key.value;
    // transformers refuses a temperature of 0 and means do_sample: false.
    if (!value || (greedy && key.value == &Sampling::temperature)) continue;
    if (key.whole) {
      generation[key.hf] = static_cast<std::int64_t>(*value);
    } else {
      generation[key.hf] = *value;
    }
  }
}

}  // namespace pajamas::model
