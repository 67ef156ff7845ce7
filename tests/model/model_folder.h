// Small model directories made of random bytes, whose tensors tests store in any form they like.
#pragma once

#include <cstdint>
#include <cstring>
#include <map>
#include <nlohmann/json.hpp>
#include <string>
#include <utility>
#include <vector>

#include "io/safetensors.h"
#include "io/temp.h"
#include "model/checkpoint.h"

namespace pajamas::test {

// Random bytes that stand for rows: [experts][rows][bytes of a row].
struct Bytes {
  std::uint64_t experts, rows, row_bytes;
  std::string data;

  Bytes(std::uint64_t e, std::uint64_t r, std::uint64_t b)
      : experts(e), rows(r), row_bytes(b), data(e * r * b, '\0') {
    static std::uint64_t state = 1;
    for (char& c : data) {
      state = state * 6364136223846793005u + 1442695040888963407u;
      // Exponents of BF16 numbers stay finite, whichever byte they fall into.
      c = static_cast<char>(state >> 40 & 0x3F);
    }
  }
  std::string row(std::uint64_t expert, std::uint64_t r) const {
    return data.substr((expert * rows + r) * row_bytes, row_bytes);
  }
  std::string element(std::uint64_t expert, std::uint64_t r, std::uint64_t c,
                      std::uint64_t size = 2) const {
    return row(expert, r).substr(c * size, size);
  }
};

class ModelFolder {
 public:
  struct Tensor {
    DType dtype;
    Shape shape;
    std::string data;
  };

  // Every tensor but the experts' of the configuration, BF16.
  explicit ModelFolder(nlohmann::json config_json) : config(std::move(config_json)) {
    for (const auto& spec : model::tensors_of(model::parse_config_json(config.dump()))) {
      if (spec.forms.empty()) {
        add(spec.hf, DType::kBF16, spec.shape, Bytes(1, 1, spec.shape.elements() * 2).data);
      }
    }
  }

  void add(const std::string& name, DType dtype, const Shape& shape, std::string data) {
    tensors[name] = {dtype, shape, std::move(data)};
  }

  // Writes everything, tensors split over two shards, and opens it.
  model::Checkpoint open() const {
    folder_.write("config.json", config.dump());
    std::vector<io::SafetensorsSpec> specs[2];
    std::string data[2];
    std::size_t i = 0;
    for (const auto& [name, tensor] : tensors) {
      const std::size_t shard = i++ % 3 == 0 ? 0 : 1;
      specs[shard].push_back({name, tensor.dtype, tensor.shape});
      data[shard] += tensor.data;
    }
    for (std::size_t shard = 0; shard < 2; ++shard) {
      folder_.write("model-" + std::to_string(shard) + ".safetensors",
                    io::lay_out_safetensors(specs[shard], {}).header + data[shard]);
    }
    return model::Checkpoint::open(folder_.path());
  }
  const std::filesystem::path& path() const { return folder_.path(); }

  nlohmann::json config;
  std::map<std::string, Tensor> tensors;

 private:
  TempFolder folder_;
};

struct TinyShape {
  std::uint64_t experts = 3, rows = 144, cols = 160;  // rows: the experts' width
};

inline nlohmann::json tiny_moe_config(const char* type, const TinyShape& shape) {
  return {{"model_type", type},
          {"num_hidden_layers", 1},
          {"hidden_size", shape.cols},
          {"num_attention_heads", 2},
          {"num_key_value_heads", 1},
          {"head_dim", 8},
          {"intermediate_size", shape.rows},
          {"moe_intermediate_size", shape.rows},
          {"vocab_size", 10},
          {"max_position_embeddings", 100},
          {"rms_norm_eps", 1e-6},
          {"rope_theta", 10000.0},
          {"num_experts", shape.experts},
          {"num_experts_per_tok", 2},
          {"norm_topk_prob", true},
          {"sliding_window", 16}};
}

// The experts of layer 0 as the model needs them, BF16: what any form must read as.
struct Experts {
  explicit Experts(const TinyShape& s)
      : shape(s),
        gate(s.experts, s.rows, s.cols * 2),
        up(s.experts, s.rows, s.cols * 2),
        down(s.experts, s.cols, s.rows * 2) {}

  const Bytes& of(model::Role role) const {
    return role == model::Role::kExpertGate ? gate : role == model::Role::kExpertUp ? up : down;
  }

  TinyShape shape;
  Bytes gate, up, down;
};

inline constexpr const char* kExpertsName = "model.layers.0.mlp.experts.";
inline constexpr std::pair<model::Role, const char*> kExpertRoles[] = {
    {model::Role::kExpertGate, "gate_proj"},
    {model::Role::kExpertUp, "up_proj"},
    {model::Role::kExpertDown, "down_proj"}};

// One tensor for each expert: [rows][cols].
inline void store_each(const Experts& x, ModelFolder& folder) {
  for (const auto& [role, name] : kExpertRoles) {
    const Bytes& b = x.of(role);
    for (std::uint64_t e = 0; e < b.experts; ++e) {
      folder.add(kExpertsName + std::to_string(e) + "." + name + ".weight", DType::kBF16,
                 {b.rows, b.row_bytes / 2},
                 b.data.substr(e * b.rows * b.row_bytes, b.rows * b.row_bytes));
    }
  }
}

// [experts][gate rows, then up rows][cols], and down as it is.
inline void store_halves(const Experts& x, ModelFolder& folder) {
  const auto& [experts, rows, cols] = x.shape;
  std::string both;
  for (std::uint64_t e = 0; e < experts; ++e) {
    for (std::uint64_t r = 0; r < 2 * rows; ++r) {
      both += r < rows ? x.gate.row(e, r) : x.up.row(e, r - rows);
    }
  }
  folder.add(std::string(kExpertsName) + "gate_up_proj", DType::kBF16, {experts, 2 * rows, cols},
             both);
  folder.add(std::string(kExpertsName) + "down_proj", DType::kBF16, {experts, cols, rows},
             x.down.data);
}

// [experts][cols][gate and up in turn], and down transposed.
inline void store_transposed(const Experts& x, ModelFolder& folder) {
  const auto& [experts, rows, cols] = x.shape;
  std::string both, down;
  for (std::uint64_t e = 0; e < experts; ++e) {
    for (std::uint64_t c = 0; c < cols; ++c) {
      for (std::uint64_t r = 0; r < rows; ++r) {
        both += x.gate.element(e, r, c) + x.up.element(e, r, c);
      }
    }
    for (std::uint64_t r = 0; r < rows; ++r) {
      for (std::uint64_t c = 0; c < cols; ++c) down += x.down.element(e, c, r);
    }
  }
  folder.add(std::string(kExpertsName) + "gate_up_proj", DType::kBF16, {experts, cols, 2 * rows},
             both);
  folder.add(std::string(kExpertsName) + "down_proj", DType::kBF16, {experts, rows, cols}, down);
}

// gpt-oss's biases: [experts][gate and up in turn], and down's as they are.
struct ExpertBiases {
  explicit ExpertBiases(const TinyShape& s)
      : gate(1, s.experts, s.rows * 2),
        up(1, s.experts, s.rows * 2),
        down(1, s.experts, s.cols * 2) {}
  Bytes gate, up, down;
};

inline void store_biases(const TinyShape& s, const ExpertBiases& x, ModelFolder& folder) {
  std::string both;
  for (std::uint64_t e = 0; e < s.experts; ++e) {
    for (std::uint64_t r = 0; r < s.rows; ++r) {
      both += x.gate.element(0, e, r) + x.up.element(0, e, r);
    }
  }
  folder.add(std::string(kExpertsName) + "gate_up_proj_bias", DType::kBF16, {s.experts, 2 * s.rows},
             both);
  folder.add(std::string(kExpertsName) + "down_proj_bias", DType::kBF16, {s.experts, s.cols},
             x.down.data);
}

// MXFP4 planes of a stack.
struct Mxfp4Bytes {
  Mxfp4Bytes(std::uint64_t experts, std::uint64_t rows, std::uint64_t cols)
      : codes(experts, rows, cols / 2), scales(experts, rows, cols / 32) {}
  Bytes codes, scales;
};
struct Mxfp4Experts {
  explicit Mxfp4Experts(const TinyShape& s)
      : gate(s.experts, s.rows, s.cols),
        up(s.experts, s.rows, s.cols),
        down(s.experts, s.cols, s.rows) {}
  const Mxfp4Bytes& of(model::Role role) const {
    return role == model::Role::kExpertGate ? gate : role == model::Role::kExpertUp ? up : down;
  }
  Mxfp4Bytes gate, up, down;
};

// [experts][gate and up rows in turn][groups][16] and its scales; down as it is.
inline void store_mxfp4(const TinyShape& s, const Mxfp4Experts& x, ModelFolder& folder) {
  std::string codes, scales;
  for (std::uint64_t e = 0; e < s.experts; ++e) {
    for (std::uint64_t r = 0; r < s.rows; ++r) {
      codes += x.gate.codes.row(e, r) + x.up.codes.row(e, r);
      scales += x.gate.scales.row(e, r) + x.up.scales.row(e, r);
    }
  }
  const std::string name = kExpertsName;
  folder.add(name + "gate_up_proj_blocks", DType::kU8, {s.experts, 2 * s.rows, s.cols / 32, 16},
             codes);
  folder.add(name + "gate_up_proj_scales", DType::kU8, {s.experts, 2 * s.rows, s.cols / 32},
             scales);
  folder.add(name + "down_proj_blocks", DType::kU8, {s.experts, s.cols, s.rows / 32, 16},
             x.down.codes.data);
  folder.add(name + "down_proj_scales", DType::kU8, {s.experts, s.cols, s.rows / 32},
             x.down.scales.data);
}

}  // namespace pajamas::test
