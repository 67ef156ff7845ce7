#include "hub/select.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <array>
#include <map>
#include <optional>

#include "base/error.h"
#include "hub/http_text.h"

namespace pajamas::hub {
namespace {

constexpr std::size_t kNamedFiles = 12;  // in one message
constexpr std::string_view kGguf = ".gguf";
constexpr std::size_t kPartDigits = 5;
constexpr std::string_view kTemplates = "additional_chat_templates/";

std::string lowered(std::string_view text) {
  std::string out(text);
  for (char& c : out) {
    if (c >= 'A' && c <= 'Z') c = static_cast<char>(c - 'A' + 'a');
  }
  return out;
}

std::string_view file_name(std::string_view path) {
  const std::size_t slash = path.rfind('/');
  return slash == std::string_view::npos ? path : path.substr(slash + 1);
}

// A GGUF file's path without the end, and what `-00001-of-00003` says.
struct GgufName {
  std::string stem;
  std::uint64_t part = 1;
  std::uint64_t parts = 1;
};

std::optional<GgufName> gguf_name(const std::string& path) {
  if (!lowered(path).ends_with(kGguf)) return std::nullopt;
  // No models: projectors of pictures, importance matrices.
  const std::string name = lowered(file_name(path));
  if (name.starts_with("mmproj") || name.starts_with("imatrix")) return std::nullopt;
  GgufName result{path.substr(0, path.size() - kGguf.size())};
  const std::string& stem = result.stem;
  constexpr std::size_t kSuffix = 1 + kPartDigits + 4 + kPartDigits;
  if (stem.size() <= kSuffix) return result;
  const std::string_view suffix = std::string_view(stem).substr(stem.size() - kSuffix);
  const auto part = parse_number(suffix.substr(1, kPartDigits));
  const auto parts = parse_number(suffix.substr(1 + kPartDigits + 4));
  if (suffix.front() != '-' || suffix.substr(1 + kPartDigits, 4) != "-of-" || !part || !parts) {
    return result;
  }
  result.part = *part;
  result.parts = *parts;
  result.stem.resize(stem.size() - kSuffix);
  return result;
}

// One model a stem: its parts by number.
struct GgufModel {
  std::map<std::uint64_t, std::string> files;
  std::uint64_t parts = 1;
};
using GgufModels = std::map<std::string, GgufModel>;

GgufModels gguf_models(std::span<const std::string> paths) {
  GgufModels models;
  for (const std::string& path : paths) {
    const auto name = gguf_name(path);
    if (!name) continue;
    GgufModel& model = models[name->stem];
    model.files[name->part] = path;
    model.parts = std::max(model.parts, name->parts);
  }
  return models;
}

// "Q4_K_M" names what ends so (`model-Q4_K_M`) or lies in a folder called so.
bool is_quantization(const std::string& stem, const std::string& wanted) {
  const std::string text = lowered(stem);
  if (("/" + text).find("/" + wanted + "/") != std::string::npos) return true;
  if (!text.ends_with(wanted)) return false;
  if (text.size() == wanted.size()) return true;
  const char before = text[text.size() - wanted.size() - 1];
  return before == '-' || before == '.' || before == '_' || before == '/';
}

std::string names_of(const GgufModels& models, std::string_view without = {}) {
  std::vector<std::string> names;
  const std::size_t others = models.size() - (without.empty() ? 0 : 1);
  for (const auto& [stem, model] : models) {
    if (stem == without && !without.empty()) continue;
    if (names.size() == kNamedFiles) {
      names.push_back(fmt::format("{} more", others - kNamedFiles));
      break;
    }
    names.push_back(printable(model.files.begin()->second, 80));
  }
  return fmt::format("{}", fmt::join(names, ", "));
}

GgufModels matching(const GgufModels& models, const std::string& file) {
  GgufModels found;
  const std::string wanted = lowered(file);
  for (const auto& [stem, model] : models) {
    for (const auto& [part, path] : model.files) {
      if (path == file || lowered(file_name(path)) == wanted) return {{stem, model}};
    }
    if (is_quantization(stem, wanted)) found.emplace(stem, model);
  }
  return found;
}

// What PEFT and mlx-lm write beside a model or in place of one.
bool is_adapter(const std::string& path) {
  static constexpr std::array<std::string_view, 4> kNames{
      "adapter_config.json", "adapter_model.safetensors", "adapter_model.bin",
      "adapters.safetensors"};
  return std::ranges::find(kNames, path) != kNames.end();
}

// The model that is meant; `note` receives what has to be told of the choice.
GgufModel choose_gguf(const ModelId& id, const GgufModels& models, std::string* note) {
  GgufModels found = id.file.empty() ? models : matching(models, id.file);
  if (found.size() > 1 && id.file.empty()) {
    GgufModels usual = matching(models, std::string(kUsualQuantization));
    if (usual.size() == 1) {
      found = std::move(usual);
      if (note != nullptr) {
        *note =
            fmt::format("of {} GGUF models {} is taken; {}:FILE names another: {}", models.size(),
                        printable(found.begin()->second.files.begin()->second, 80), id.repository(),
                        names_of(models, found.begin()->first));
      }
    }
  }
  if (found.size() > 1) {
    throw Error(ErrorCode::kUsage,
                fmt::format("{} GGUF models {}", found.size(),
                            id.file.empty() ? "are in this repository" : "fit this name"),
                fmt::format("name one of them as {}:FILE: {}", id.repository(), names_of(found)));
  }
  if (found.empty()) {
    throw Error(ErrorCode::kNotFound,
                fmt::format("there is no GGUF file \"{}\" in this repository", id.file),
                models.empty() ? "it has none" : fmt::format("it has {}", names_of(models)));
  }
  return found.begin()->second;
}

Selection select_gguf(const ModelId& id, const GgufModels& models) {
  Selection selection;
  const GgufModel model = choose_gguf(id, models, &selection.note);
  selection.gguf = true;
  for (const auto& [part, path] : model.files) selection.weights.push_back(path);
  if (selection.weights.size() != model.parts) {
    throw Error(ErrorCode::kNotFound,
                fmt::format("{} of the {} parts of {} are there", selection.weights.size(),
                            model.parts, printable(selection.weights.front(), 80)),
                "choose another file");
  }
  return selection;
}

}  // namespace

bool begins_gguf_model(const std::string& path) {
  const auto name = gguf_name(path);
  return name && name->part == 1;
}

std::span<const std::string_view> small_files() noexcept {
  static constexpr std::array<std::string_view, 13> kSmall{"config.json",
                                                           "generation_config.json",
                                                           kIndexName,
                                                           "tokenizer.json",
                                                           "tokenizer_config.json",
                                                           "special_tokens_map.json",
                                                           "added_tokens.json",
                                                           "vocab.json",
                                                           "merges.txt",
                                                           "chat_template.jinja",
                                                           "chat_template.json",
                                                           "LICENSE",
                                                           "README.md"};  // the model card
  return kSmall;
}

std::vector<std::string> single_or_shards(
    const std::vector<std::string>& single, const std::vector<std::string>& shards,
    const std::function<std::optional<std::uint64_t>(const std::string&)>& size_of) {
  if (std::ranges::find(shards, kSingleName) != shards.end()) return shards;
  std::uint64_t together = 0;
  for (const std::string& shard : shards) {
    const auto size = size_of(shard);
    if (!size) return single;
    together += *size;
  }
  // Half as large it may be the model in a narrower type; what is smaller was left from something.
  const auto size = size_of(single.front());
  return size && *size >= together / 2 ? single : shards;
}

std::vector<std::string> small_among(std::span<const std::string> paths) {
  std::vector<std::string> small;
  for (const std::string_view name : small_files()) {
    if (std::ranges::find(paths, name) != paths.end()) small.emplace_back(name);
  }
  for (const std::string& path : paths) {
    const bool inside =
        path.starts_with(kTemplates) && path.find('/', kTemplates.size()) == std::string::npos;
    if (inside && path.ends_with(".jinja")) small.push_back(path);
  }
  return small;
}

Selection select_files(const ModelId& id, std::span<const std::string> paths) {
  const auto has = [&](std::string_view path) {
    return std::ranges::find(paths, path) != paths.end();
  };
  const GgufModels models = gguf_models(paths);
  Selection selection;
  selection.indexed = has(kIndexName);
  bool pickled = false;
  for (const std::string& path : paths) {
    if (path.find('/') != std::string::npos) continue;
    pickled = pickled || path.ends_with(".bin") || path.ends_with(".pt") || path.ends_with(".pth");
    if (path.starts_with("model") && path.ends_with(".safetensors")) {
      selection.weights.push_back(path);
    }
  }
  const bool checkpoint = has("config.json") && (selection.indexed || !selection.weights.empty());
  if (!id.file.empty() || (!checkpoint && !models.empty())) return select_gguf(id, models);
  selection.adapter = std::ranges::any_of(paths, is_adapter);
  if (!checkpoint && selection.adapter) {
    throw Error(ErrorCode::kUnsupported, "holds a LoRA adapter and no model",
                "merge it into its base model first");
  }
  if (!checkpoint) {
    throw Error(pickled ? ErrorCode::kUnsupported : ErrorCode::kNotFound,
                pickled ? "has a PyTorch checkpoint only, which can run code when read"
                        : "has no model*.safetensors beside a config.json, and no GGUF file",
                "choose a repository with safetensors or GGUF files");
  }
  if (has(kSingleName)) {  // beside it there may be variants
    selection.weights = {kSingleName};
  } else if (selection.indexed) {
    selection.weights.clear();
  }
  selection.small = small_among(paths);
  return selection;
}

std::string select_gguf_file(const ModelId& id, std::span<const std::string> paths) {
  return choose_gguf(id, gguf_models(paths), nullptr).files.begin()->second;
}

}  // namespace pajamas::hub
