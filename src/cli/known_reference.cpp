#include "cli/known_reference.h"

#include <algorithm>
#include <vector>

#include "base/error.h"
#include "cli/model_summary.h"
#include "hub/inventory.h"
#include "hub/model_id.h"
#include "io/gguf.h"
#include "model/checkpoint.h"
#include "model/model_card.h"

namespace pajamas::cli {
namespace {

namespace fs = std::filesystem;

// Letters and digits, small ones: "Qwen2.5 7B Instruct" and "Qwen2.5-7B-Instruct" are one name.
std::string bare(std::string_view name) {
  std::string out;
  for (const char c : name) {
    if (c >= 'A' && c <= 'Z') out += static_cast<char>(c - 'A' + 'a');
    if ((c >= 'a' && c <= 'z') || (c >= '0' && c <= '9')) out += c;
  }
  return out;
}

bool have_one_shape(const model::ModelConfig& a, const model::ModelConfig& b) {
  return a.architecture == b.architecture && a.layers == b.layers && a.hidden == b.hidden &&
         a.vocab == b.vocab && a.experts == b.experts;
}

// In the order in which they are believed.
struct Source {
  std::string name;  // owner/name, or a name alone
  const char* why;
};

std::vector<Source> sources_of(const model::Checkpoint& checkpoint, const fs::path& path) {
  std::vector<Source> sources;
  const auto add = [&](const std::string& text, const char* why) {
    if (const auto id = hub::parse_model_id(text)) sources.push_back({id->repository(), why});
  };
  // A GGUF's base models are what the original was trained from, as converters write them.
  if (const io::GgufMetadata* const gguf = checkpoint.gguf()) {
    if (const std::string* const url = gguf->find_string("general.source.repo_url")) {
      add(*url, "which the file names as its source");
    }
    if (const std::string* const name = gguf->find_string("general.name")) {
      sources.push_back({*name, "which has the name that the file bears"});
    }
  }
  std::vector<std::string> ignored;
  const fs::path folder = fs::is_directory(path) ? path : path.parent_path();
  const model::ModelCard card = model::load_model_card(folder, ignored);
  if (card.base_models && card.base_models->size() == 1) {
    add(card.base_models->front().id, "which the model card names as its base");
  }
  return sources;
}

bool is_meant(const hub::CachedRepository& repository, const std::string& name) {
  if (name.find('/') != std::string::npos) return repository.name == name;
  return bare(repository.name.substr(repository.name.find('/') + 1)) == bare(name);
}

// Whether it is an original of this shape.
bool is_original(const fs::path& path, const model::ModelConfig& config) {
  try {
    const model::Checkpoint checkpoint = model::Checkpoint::open(path);
    return !is_quantized(checkpoint) && have_one_shape(checkpoint.config(), config);
  } catch (const Error&) {
    return false;
  }
}

}  // namespace

std::optional<KnownReference> known_reference(const fs::path& path, const fs::path& cache) {
  const model::Checkpoint checkpoint = model::Checkpoint::open(path);
  if (!is_quantized(checkpoint)) return std::nullopt;
  const std::vector<Source> sources = sources_of(checkpoint, path);
  if (sources.empty()) return std::nullopt;
  const std::vector<hub::CachedRepository> repositories = hub::cached_repositories(cache);
  for (const Source& source : sources) {
    for (const hub::CachedRepository& repository : repositories) {
      if (repository.snapshot.empty() || !is_meant(repository, source.name)) continue;
      if (!is_original(repository.snapshot, checkpoint.config())) continue;
      return KnownReference{repository.name, repository.snapshot, source.why};
    }
  }
  return std::nullopt;
}

}  // namespace pajamas::cli
