// Facts: gguf-py, Metadata.load_model_card and apply_metadata_heuristic (gguf 0.19).
#include "model/model_card.h"

#include <fmt/format.h>

#include <algorithm>
#include <initializer_list>
#include <nlohmann/json.hpp>

#include "base/error.h"
#include "base/file.h"
#include "io/yaml.h"

namespace pajamas::model {
namespace {

namespace fs = std::filesystem;
using nlohmann::json;

constexpr const char* kCardName = "README.md";
// Cards with thousands of results are some hundred kB long.
constexpr std::uint64_t kMostBytes = 2u << 20;
// Sources, tags and languages that are taken: beyond that it is no description of a model.
constexpr std::size_t kMostEntries = 1000;

// The first of `keys` that has a text.
std::string text_of(const json& card, std::initializer_list<const char*> keys) {
  for (const char* key : keys) {
    const auto found = card.find(key);
    if (found != card.end() && found->is_string()) return found->get<std::string>();
  }
  return {};
}

// A list, or one text in place of it; other entries are left out.
void add_texts(const json& card, const char* key, std::vector<std::string>& texts) {
  const auto found = card.find(key);
  if (found == card.end()) return;
  const json list = found->is_array() ? *found : json::array({*found});
  for (const json& entry : list) {
    if (entry.is_string() && texts.size() < kMostEntries) texts.push_back(entry);
  }
}

CardSource source_of(const json& entry) {
  CardSource source;
  if (entry.is_string()) source.id = entry;
  if (!entry.is_object()) return source;
  for (const char* field : kCardSourceFields) {
    if (std::string text = text_of(entry, {field}); !text.empty()) source.fields[field] = text;
  }
  return source;
}

// Of the first of `keys` that is there.
std::optional<std::vector<CardSource>> sources_of(const json& card,
                                                  std::initializer_list<const char*> keys) {
  for (const char* key : keys) {
    const auto found = card.find(key);
    if (found == card.end()) continue;
    std::vector<CardSource> sources;
    const json list = found->is_array()    ? *found
                      : found->is_string() ? json::array({*found})
                                           : json::array();
    for (const json& entry : list) {
      CardSource source = source_of(entry);
      if (source.id.empty() && source.fields.empty()) continue;
      if (sources.size() < kMostEntries) sources.push_back(std::move(source));
    }
    return sources;
  }
  return std::nullopt;
}

std::string_view take_line(std::string_view& text) {
  const std::size_t end = text.find('\n');
  std::string_view line = text.substr(0, end);
  text.remove_prefix(end == std::string_view::npos ? text.size() : end + 1);
  while (!line.empty() && (line.back() == '\r' || line.back() == ' ')) line.remove_suffix(1);
  return line;
}

// The beginning of the card, as far as front matter may reach.
std::string beginning_of(const fs::path& path) {
  const File file = File::open(path);
  std::string text(std::min(file.size(), kMostBytes), '\0');
  file.read_at(0, std::as_writable_bytes(std::span(text)));
  return text;
}

}  // namespace

std::optional<std::string_view> front_matter(std::string_view card) {
  constexpr std::string_view kByteOrderMark = "\xEF\xBB\xBF";
  if (card.starts_with(kByteOrderMark)) card.remove_prefix(kByteOrderMark.size());
  std::string_view rest = card;
  if (take_line(rest) != "---") return std::nullopt;
  const char* const first = rest.data();
  while (!rest.empty()) {
    const auto before = static_cast<std::size_t>(rest.data() - first);
    if (take_line(rest) == "---") return std::string_view(first, before);
  }
  throw Error(ErrorCode::kCorruptFile,
              card.size() < kMostBytes
                  ? "its YAML has no last line ---"
                  : fmt::format("its YAML is longer than {} MiB", kMostBytes >> 20),
              "correct it, or remove it");
}

ModelCard parse_model_card(std::string_view yaml) {
  // As the converter has it: published cards indent with tabs.
  std::string spaced;
  for (const char c : yaml) spaced += c == '\t' ? std::string("  ") : std::string(1, c);
  const json found = io::parse_yaml(spaced);
  ModelCard card;
  if (!found.is_object()) return card;
  card.name = text_of(found, {"name", "model_name"});
  card.author = text_of(found, {"author", "model_author", "model_creator"});
  card.version = text_of(found, {"version", "model_version"});
  card.organization = text_of(found, {"organization", "model_organization"});
  card.finetune = text_of(found, {"finetune", "model_finetune"});
  card.basename = text_of(found, {"basename", "model_basename", "model_type"});
  card.description = text_of(found, {"description", "model_description"});
  card.size_label = text_of(found, {"size_label", "model_size_label"});
  card.url = text_of(found, {"url", "model_url"});
  card.doi = text_of(found, {"doi", "model_doi"});
  card.uuid = text_of(found, {"uuid", "model_uuid"});
  card.repo_url = text_of(found, {"repo_url", "model_repo_url"});
  std::vector<std::string> licenses;
  add_texts(found, "license", licenses);
  for (const std::string& license : licenses) {
    card.license += (card.license.empty() ? "" : ",") + license;
  }
  card.license_name = text_of(found, {"license_name"});
  card.license_link = text_of(found, {"license_link"});
  card.base_models = sources_of(found, {"base_model", "base_models", "base_model_sources"});
  card.datasets = sources_of(found, {"datasets", "dataset", "dataset_sources"});
  add_texts(found, "tags", card.tags);
  add_texts(found, "pipeline_tag", card.tags);
  add_texts(found, "languages", card.languages);
  add_texts(found, "language", card.languages);
  return card;
}

ModelCard load_model_card(const fs::path& folder, std::vector<std::string>& notes) {
  const fs::path path = folder / kCardName;
  std::error_code code;
  if (!fs::is_regular_file(path, code)) return {};
  try {
    const std::string text = beginning_of(path);
    const auto yaml = front_matter(text);
    return yaml ? parse_model_card(*yaml) : ModelCard{};
  } catch (const Error& error) {
    notes.push_back(fmt::format("nothing is taken from the model card {}: {}", kCardName,
                                printable(error.problem(), 200)));
    return {};
  }
}

}  // namespace pajamas::model
