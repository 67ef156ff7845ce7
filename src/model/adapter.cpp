// Facts: peft, utils/constants.py and config.py (names, peft_type); mlx-lm, tuner/utils.py.
#include "model/adapter.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <nlohmann/json.hpp>

#include "base/error.h"
#include "model/hparams.h"
#include "model/json_file.h"

namespace pajamas::model {
namespace {

namespace fs = std::filesystem;

constexpr const char* kConfig = "adapter_config.json";
constexpr std::array<std::string_view, 4> kFiles{kConfig, "adapter_model.safetensors",
                                                 "adapter_model.bin", "adapters.safetensors"};

std::string kind_of(const JsonParams& config) {
  std::string type = config.text_or("peft_type", config.text_or("fine_tune_type", "LORA"));
  for (char& c : type) c = c >= 'a' && c <= 'z' ? static_cast<char>(c - 'a' + 'A') : c;
  if (type == "LORA" || type == "DORA") return fmt::format("a {}oRA adapter", type[0]);
  return fmt::format("an adapter ({})", printable(type, 40));
}

}  // namespace

std::optional<Adapter> find_adapter(const fs::path& folder) {
  std::error_code code;
  const auto is_there = [&](std::string_view name) { return fs::exists(folder / name, code); };
  if (std::ranges::none_of(kFiles, is_there)) return std::nullopt;
  Adapter adapter{"a LoRA adapter", ""};
  try {
    const nlohmann::json config = read_json_file(folder / kConfig);
    const JsonParams params(config);
    adapter.kind = kind_of(params);
    adapter.base = params.text_or("base_model_name_or_path", params.text_or("model", ""));
  } catch (const Error&) {  // what is named above is known without it
  }
  return adapter;
}

std::string how_to_merge(const Adapter& adapter) {
  if (adapter.base.empty()) return "merge it into its base model first";
  return fmt::format("merge it into its base model ({}) first", printable(adapter.base, 120));
}

}  // namespace pajamas::model
