// Facts: gguf-py, Metadata.apply_metadata_heuristic and set_gguf_meta_model (gguf 0.19).
#include "quantize/gguf_card.h"

#include <fmt/format.h>

#include "quantize/model_name.h"

namespace pajamas::quantize {
namespace {

using io::GgufMetadata;

// The hub's names are shorter; what is longer is not taken apart.
constexpr std::size_t kLongestId = 200;
constexpr std::string_view kHub = "huggingface.co/";

void add_text(GgufMetadata& metadata, std::string key, const std::string& value) {
  if (!value.empty()) metadata.add(std::move(key), value);
}

const std::string& either(const std::string& first, const std::string& second) {
  return first.empty() ? second : first;
}

bool is_address(std::string_view id) {
  return id.starts_with("http://") || id.starts_with("https://") || id.starts_with("ssh://");
}

// What `owner/name` says of a model; an id without an owner is a name.
void add_id_fields(std::string_view id, std::uint64_t parameters,
                   std::map<std::string, std::string>& fields) {
  if (id.size() > kLongestId) {
    fields["name"] = id;
    return;
  }
  const bool spaced = id.find(' ') != std::string_view::npos;  // a name that people read
  const std::size_t slash = spaced ? std::string_view::npos : id.find('/');
  std::string_view owner = slash == std::string_view::npos ? "" : id.substr(0, slash);
  const std::string_view name = slash == std::string_view::npos ? id : id.substr(slash + 1);
  if (owner.starts_with('.')) owner = {};  // a path
  const ModelName parsed = parse_model_name(name, parameters);
  fields["name"] = parsed.title;
  fields["version"] = parsed.version;
  if (owner.empty()) return;
  fields["organization"] = parse_model_name(owner, parameters).title;
  fields.try_emplace("repo_url", fmt::format("https://{}{}/{}", kHub, owner, name));
}

std::map<std::string, std::string> fields_of(const model::CardSource& source,
                                             std::uint64_t parameters) {
  std::map<std::string, std::string> fields = source.fields;
  std::string_view id = source.id;
  if (id.empty()) return fields;
  if (!is_address(id)) {
    add_id_fields(id, parameters, fields);
    return fields;
  }
  fields["repo_url"] = source.id;
  id.remove_prefix(id.find("://") + 3);
  if (source.id.starts_with("ssh") || !id.starts_with(kHub)) return fields;
  id.remove_prefix(kHub.size());
  const std::size_t slash = id.find('/');
  const bool is_repository = slash != std::string_view::npos && slash > 0 &&
                             slash + 1 < id.size() && id.find('/', slash + 1) == id.npos;
  if (is_repository) add_id_fields(id, parameters, fields);
  return fields;
}

void add_sources(GgufMetadata& metadata, std::string_view kind,
                 const std::optional<std::vector<model::CardSource>>& sources,
                 std::uint64_t parameters) {
  if (!sources) return;
  metadata.add(fmt::format("general.{}.count", kind), static_cast<std::uint32_t>(sources->size()));
  for (std::size_t i = 0; i < sources->size(); ++i) {
    const auto fields = fields_of((*sources)[i], parameters);
    for (const char* key : model::kCardSourceFields) {
      const auto found = fields.find(key);
      if (found == fields.end()) continue;
      add_text(metadata, fmt::format("general.{}.{}.{}", kind, i, key), found->second);
    }
  }
}

void add_texts(GgufMetadata& metadata, const char* key, const std::vector<std::string>& texts) {
  if (!texts.empty()) metadata.add(key, io::GgufArray(texts));
}

}  // namespace

void add_identity(GgufMetadata& metadata, const model::ModelCard& card, const std::string& folder,
                  std::uint64_t parameters) {
  const ModelName name = parse_model_name(folder, parameters);
  add_text(metadata, "general.name", either(card.name, name.title));
  add_text(metadata, "general.author", card.author);
  add_text(metadata, "general.version", either(card.version, name.version));
  add_text(metadata, "general.organization", card.organization);
  add_text(metadata, "general.finetune", either(card.finetune, name.finetune));
  add_text(metadata, "general.basename", either(card.basename, name.basename));
  add_text(metadata, "general.description", card.description);
  const std::string label = name.size_label.empty() ? size_label(parameters) : name.size_label;
  add_text(metadata, "general.size_label", either(card.size_label, label));
  add_text(metadata, "general.license", card.license);
  add_text(metadata, "general.license.name", card.license_name);
  add_text(metadata, "general.license.link", card.license_link);
  add_text(metadata, "general.source.url", card.url);
  add_text(metadata, "general.source.doi", card.doi);
  add_text(metadata, "general.source.uuid", card.uuid);
  add_text(metadata, "general.source.repo_url", card.repo_url);
  add_sources(metadata, "base_model", card.base_models, parameters);
  add_sources(metadata, "dataset", card.datasets, parameters);
  add_texts(metadata, "general.tags", card.tags);
  add_texts(metadata, "general.languages", card.languages);
}

}  // namespace pajamas::quantize
