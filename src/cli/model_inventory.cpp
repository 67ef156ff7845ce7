#include "cli/model_inventory.h"

#include <algorithm>
#include <map>
#include <set>

#include "base/error.h"
#include "cli/model_summary.h"
#include "model/checkpoint.h"

namespace pajamas::cli {
namespace {

namespace fs = std::filesystem;

constexpr int kDeepest = 4;  // levels below the folder
constexpr std::size_t kPartSuffix = std::string_view("-00001-of-00003").size();

std::string lowered(std::string text) {
  for (char& c : text) {
    if (c >= 'A' && c <= 'Z') c = static_cast<char>(c - 'A' + 'a');
  }
  return text;
}

bool is_digits(std::string_view text) {
  return !text.empty() && std::ranges::all_of(text, [](char c) { return c >= '0' && c <= '9'; });
}

// The path of a GGUF file without what says which part of a split model it is.
std::string whole_name(const fs::path& path) {
  std::string stem =
      path.native().substr(0, path.native().size() - path.extension().native().size());
  if (stem.size() <= kPartSuffix) return stem;
  const std::string_view suffix = std::string_view(stem).substr(stem.size() - kPartSuffix);
  if (suffix[0] != '-' || !is_digits(suffix.substr(1, 5)) || suffix.substr(6, 4) != "-of-" ||
      !is_digits(suffix.substr(10))) {
    return stem;
  }
  return stem.substr(0, stem.size() - kPartSuffix);
}

// Projectors of pictures and importance matrices have the form of models and are none.
bool is_model_file(const fs::path& path) {
  const std::string name = lowered(path.filename());
  return name.ends_with(".gguf") && !name.starts_with("mmproj") && !name.starts_with("imatrix");
}

// Groups of files that make up a model: GGUF parts by their common name, a folder's safetensors.
struct Candidates {
  std::map<std::string, std::vector<fs::path>> gguf;
  std::map<fs::path, std::vector<fs::path>> safetensors;
  std::set<fs::path> configured;  // folders with a config.json
};

Candidates look_through(const fs::path& folder) {
  Candidates found;
  std::error_code code;
  fs::recursive_directory_iterator at(folder, fs::directory_options::skip_permission_denied, code);
  for (const fs::recursive_directory_iterator end; !code && at != end; at.increment(code)) {
    std::error_code ignored;
    const fs::path& path = at->path();
    const std::string name = path.filename();
    if (at->is_directory(ignored)) {
      if (name.starts_with('.') || at.depth() >= kDeepest) at.disable_recursion_pending();
    } else if (!at->is_regular_file(ignored) || name.starts_with('.')) {
      continue;
    } else if (is_model_file(path)) {
      found.gguf[whole_name(path)].push_back(path);
    } else if (name.ends_with(".safetensors")) {
      found.safetensors[path.parent_path()].push_back(path);
    } else if (name == "config.json") {
      found.configured.insert(path.parent_path());
    }
  }
  return found;
}

FoundModel found_model(const fs::path& path, std::vector<fs::path> files, bool gguf) {
  FoundModel model;
  model.path = path;
  model.files = std::move(files);
  std::sort(model.files.begin(), model.files.end());
  for (const fs::path& file : model.files) {
    std::error_code code;
    const std::uintmax_t size = fs::file_size(file, code);
    if (!code) model.bytes += size;
  }
  model.format = gguf ? "GGUF" : "Hugging Face";
  try {
    const model::Checkpoint checkpoint = model::Checkpoint::open(path);
    model.format = model::container_name(checkpoint.container());
    model.type = quantization_name(checkpoint);
    model.architecture = checkpoint.config().architecture->name();
    model.parameters = model::parameter_count(checkpoint.config());
  } catch (const Error& error) {
    model.problem = error.problem();
  }
  return model;
}

}  // namespace

std::vector<FoundModel> find_models(const fs::path& folder) {
  const Candidates candidates = look_through(folder);
  std::vector<FoundModel> models;
  for (const auto& [name, files] : candidates.gguf) {
    models.push_back(found_model(*std::ranges::min_element(files), files, true));
  }
  for (const auto& [path, files] : candidates.safetensors) {
    if (candidates.configured.contains(path)) models.push_back(found_model(path, files, false));
  }
  std::ranges::sort(models, {}, &FoundModel::path);
  return models;
}

}  // namespace pajamas::cli
