// How the makers of a model recommend to draw tokens: one table of the names that
// generation_config.json and GGUF's general.sampling.* give these numbers.
#pragma once

#include <nlohmann/json_fwd.hpp>
#include <optional>

#include "io/gguf.h"
#include "model/checkpoint.h"

namespace pajamas::model {

// What is not said is absent; what no sampler can do is left out.
struct Sampling {
  std::optional<double> temperature;  // 0: always the likeliest token (do_sample: false)
  std::optional<double> top_k;        // a whole number; 0: all
  std::optional<double> top_p;
  std::optional<double> min_p;
  std::optional<double> repeat_penalty;
  std::optional<double> penalty_last_n;  // a whole number of tokens that the penalty sees; -1: all
};

// Of a generation_config.json; anything but an object says nothing.
Sampling read_sampling(const nlohmann::json& generation_config);
Sampling read_sampling(const io::GgufMetadata& metadata);
// What belongs to the container: GGUF's metadata, or generation_config.json beside the weights.
Sampling read_sampling(const Checkpoint& checkpoint);

// In llama.cpp's order.
void write_sampling(const Sampling& sampling, io::GgufMetadata& metadata);
// With do_sample, where something is said about sampling.
void write_sampling(const Sampling& sampling, nlohmann::ordered_json& generation_config);

}  // namespace pajamas::model
