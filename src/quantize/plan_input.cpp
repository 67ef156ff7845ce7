#include "quantize/plan_input.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>

#include "base/error.h"
#include "base/file.h"
#include "base/json_numbers.h"
#include "base/place.h"
#include "model/hparams.h"
#include "model/json_file.h"
#include "model/shards.h"
#include "quantize/pieces.h"
#include "tensor/rows.h"
#include "text/tokenizer.h"
#include "text/utf8.h"

namespace pajamas::quantize {
namespace {

namespace fs = std::filesystem;
using nlohmann::json;

// What goes along with the weights, unchanged, where the source has it. Chat templates follow.
constexpr std::array<const char*, 8> kCompanions{"tokenizer.json",
                                                 "tokenizer_config.json",
                                                 "special_tokens_map.json",
                                                 "added_tokens.json",
                                                 "vocab.json",
                                                 "merges.txt",
                                                 "generation_config.json",
                                                 "LICENSE"};

// dtype, or torch_dtype in older files, which is stale where there are both; BF16 where neither
// says anything useful.
DType plain_type(const json& config) {
  const model::JsonParams params(config);
  const std::string name = params.text_or("dtype", params.text_or("torch_dtype", "bfloat16"));
  if (name == "float32") return DType::kF32;
  if (name == "float16") return DType::kF16;
  return DType::kBF16;
}

std::string folder_name(const fs::path& folder) {
  std::error_code code;
  const fs::path full = fs::canonical(folder, code);
  const fs::path named = code ? folder : full;
  // A snapshot of the hub's cache: models--OWNER--NAME/snapshots/COMMIT.
  const std::string repository = named.parent_path().parent_path().filename();
  if (named.parent_path().filename() == "snapshots" && repository.starts_with("models--")) {
    return repository.substr(repository.rfind("--") + 2);
  }
  return named.filename().empty() ? named.parent_path().filename() : named.filename();
}

void add_notes(const std::vector<std::string>& notes, PlanInput& input) {
  input.notes.insert(input.notes.end(), notes.begin(), notes.end());
}

void set_config(json config, PlanInput& input) {
  input.config_json = std::move(config);
  input.config = model::config_of(input.config_json);
  input.plain = plain_type(input.config_json);
  add_notes(input.config.notes, input);
}

void load_config(const fs::path& file, PlanInput& input) {
  json config = model::read_config_file(file);
  with_context(place_of(file), [&] { set_config(std::move(config), input); });
}

bool has_weights(const fs::path& folder) {
  for (const auto& entry : fs::directory_iterator(folder)) {
    const std::string name = entry.path().filename();
    if (name.ends_with(".safetensors") || name.ends_with(".index.json") || name.ends_with(".bin") ||
        name.ends_with(".pth") || name.ends_with(".pt")) {
      return true;
    }
  }
  return false;
}

// The files of chat templates. Whoever reads the output has to take those that a GGUF file of the
// same pass has: a template of tokenizer_config.json that files overrule goes, and
// chat_template.json, which nothing reads that reads MLX, becomes chat_template.jinja.
void add_templates(const fs::path& folder, PlanInput& input) {
  if (!input.text) return;
  json config = json::object();
  const auto found = std::ranges::find(input.companions, "tokenizer_config.json", &SmallFile::name);
  if (found != input.companions.end()) config = parse_json(found->content);
  const model::ChatTemplates inside = model::chat_templates_of(config);
  model::ChatTemplates files = model::chat_template_files(folder);
  if (files.empty() && inside.empty()) files = input.text->chat_templates;
  if (files.empty()) return;
  if (!inside.empty() && inside != files) {
    config.erase("chat_template");
    found->content = dump_json(config, 2) + "\n";
  }
  for (auto& [name, source] : files) {
    input.companions.push_back({model::chat_template_path(name), std::move(source)});
  }
}

void load_companions(const fs::path& folder, PlanInput& input) {
  for (const char* name : kCompanions) {
    if (fs::is_regular_file(folder / name)) {
      input.companions.push_back({name, read_text_file(folder / name)});
    }
  }
  add_templates(folder, input);
  const fs::path generation = folder / "generation_config.json";
  if (fs::exists(generation)) input.generation_json = model::read_config_file(generation);
}

// What the weights are stored as: of an opened model every tensor that is not plain numbers, and
// how much is read at a time where that is more than usual.
void note_stored(const model::Checkpoint& checkpoint, PlanInput& input) {
  for (const model::StoredTensor& tensor : checkpoint.tensors()) {
    if (!tensor.encoding.is_plain()) {
      input.stored.emplace(tensor.key, tensor.encoding);
    } else if (checkpoint.gguf() == nullptr && is_plain_float(tensor.encoding.dtype) &&
               tensor.encoding.dtype != input.plain) {
      input.plain_types.emplace(tensor.key, tensor.encoding.dtype);
    }
    const std::uint64_t rows = piece_rows(tensor, rows_sharing(tensor.encoding));
    const std::uint64_t cols = tensor.shape.cols();
    if (rows > piece_rows(cols, 1)) input.piece = std::max(input.piece, rows * cols);
  }
}

// What the weights say of the model, where it is more than config.json says or something else; of
// its notes those that config.json did not give.
void take_config(const model::ModelConfig& config, PlanInput& input) {
  const auto known = static_cast<std::ptrdiff_t>(input.config.notes.size());
  input.notes.insert(input.notes.end(), config.notes.begin() + known, config.notes.end());
  if (config.tied_output != input.config.tied_output) {
    input.config_json["tie_word_embeddings"] = config.tied_output;
  }
  input.config = config;
}

// Of a configuration alone: what it says.
void note_stored(PlanInput& input) {
  if (model::stored_quantization(input.config_json) != model::StoredQuantization::kMxfp4) return;
  for (const model::TensorSpec& tensor : model::tensors_of(input.config)) {
    if (tensor.is_stack()) input.stored.emplace(tensor.key, Encoding::mxfp4());
  }
}

// A tokenizer that cannot work is not passed on into a file that looks finished.
void take_text(model::TextAssets text, PlanInput& input) {
  input.text = std::move(text);
  add_notes(input.text->notes, input);
  with_context(input.text->origin, [&] { (void)text::Tokenizer(input.text->tokenizer); });
}

PlanInput load_gguf(const fs::path& file, std::optional<model::Checkpoint>* checkpoint,
                    const model::TextOptions& text) {
  PlanInput input;
  model::Checkpoint opened = model::Checkpoint::open(file);
  input.name = text::utf8_lossy(file.stem().native());
  input.config = opened.config();
  input.config_json = json::object();
  input.gguf = std::make_shared<io::GgufMetadata>(*opened.gguf());
  note_stored(opened, input);
  const Encoding& embedding = opened.get({model::Role::kTokenEmbedding}).encoding;
  if (embedding.is_plain()) input.plain = embedding.dtype;
  take_text(model::load_text_assets(opened, text), input);
  if (checkpoint != nullptr) checkpoint->emplace(std::move(opened));
  return input;
}

}  // namespace

PlanInput load_plan_input(const fs::path& folder, std::optional<model::Checkpoint>* checkpoint,
                          const model::TextOptions& text) {
  std::error_code code;
  if (!fs::is_directory(folder, code)) return load_gguf(folder, checkpoint, text);
  PlanInput input;
  input.name = text::utf8_lossy(folder_name(folder));
  load_config(folder / "config.json", input);
  if (checkpoint != nullptr || has_weights(folder)) {
    model::Checkpoint opened = model::Checkpoint::open(folder);
    take_config(opened.config(), input);
    note_stored(opened, input);
    if (checkpoint != nullptr) checkpoint->emplace(std::move(opened));
  } else {
    with_context(place_of(folder / "config.json"), [&] { note_stored(input); });
    input.notes.push_back("there are no weights here: planned from config.json alone");
  }
  if (checkpoint != nullptr || fs::exists(folder / "tokenizer.json")) {
    take_text(model::load_text_assets(folder, text), input);
  } else {
    input.notes.push_back("there is no tokenizer.json here: sizes are without the tokenizer");
  }
  load_companions(folder, input);
  input.card = model::load_model_card(folder, input.notes);
  return input;
}

PlanInput load_plan_input_from_config(const fs::path& config_file) {
  json config = model::read_config_file(config_file);
  std::string name =
      folder_name(config_file.parent_path().empty() ? fs::path(".") : config_file.parent_path());
  return with_context(place_of(config_file),
                      [&] { return plan_input_of_config(std::move(config), std::move(name)); });
}

PlanInput plan_input_of_config(json config, std::string name) {
  PlanInput input;
  input.name = text::utf8_lossy(name);
  set_config(std::move(config), input);
  note_stored(input);
  input.notes.push_back("planned from a configuration alone: sizes are without the tokenizer");
  return input;
}

}  // namespace pajamas::quantize
