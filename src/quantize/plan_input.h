// What planning looks at: a checkpoint's headers, or its configuration alone.
#pragma once

#include <cstdint>
#include <filesystem>
#include <map>
#include <memory>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <vector>

#include "model/checkpoint.h"
#include "model/model_card.h"
#include "model/text_assets.h"
#include "quantize/plan.h"

namespace pajamas::quantize {

struct PlanInput {
  std::string name;  // of the model
  model::ModelConfig config;
  nlohmann::json config_json;
  nlohmann::json generation_json;  // null where there is none
  model::ModelCard card;           // of a folder that has one
  std::optional<model::TextAssets> text;
  std::vector<SmallFile> companions;  // tokenizer and generation files, as they go to MLX
  DType plain = DType::kBF16;         // what MLX keeps unquantized values in
  StoredEncodings stored;             // of the source, where they are not plain numbers
  std::map<model::TensorKey, DType>
      plain_types;          // of a folder's plain numbers, others than `plain`
  std::uint64_t piece = 0;  // weights of the largest piece that has more rows than usual
  std::shared_ptr<const io::GgufMetadata> gguf;  // of a source that is a GGUF file
  std::vector<std::string> notes;
};

// From a Hugging Face or MLX directory or a GGUF file; weights are checked if they are there.
// `checkpoint` receives the opened weights where the caller wants them (then they must be there).
PlanInput load_plan_input(const std::filesystem::path& model,
                          std::optional<model::Checkpoint>* checkpoint,
                          const model::TextOptions& text = {});
// From a config.json alone: without the tokenizer's bytes.
PlanInput load_plan_input_from_config(const std::filesystem::path& config_file);
// The same of what such a file holds. `name` is the model's.
PlanInput plan_input_of_config(nlohmann::json config, std::string name);

}  // namespace pajamas::quantize
