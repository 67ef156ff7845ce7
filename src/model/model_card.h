// What a model card (README.md with YAML in front) says of a model's origin.
#pragma once

#include <array>
#include <filesystem>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace pajamas::model {

// What a card says of a model or data set that the model was made from, in the converter's order.
inline constexpr std::array<const char*, 9> kCardSourceFields{
    "name", "author", "version", "organization", "description", "url", "doi", "uuid", "repo_url"};

// A model or data set that the model was made from: as the card names it (`owner/name`, an
// address), or by fields (kCardSourceFields) where the card has them.
struct CardSource {
  std::string id;
  std::map<std::string, std::string> fields;
};

// Empty where the card does not say. All of it is UTF-8.
struct ModelCard {
  std::string name;
  std::string author;
  std::string version;
  std::string organization;
  std::string finetune;
  std::string basename;
  std::string description;
  std::string size_label;
  std::string license;  // several with commas between them
  std::string license_name;
  std::string license_link;
  std::string url;
  std::string doi;
  std::string uuid;
  std::string repo_url;
  std::optional<std::vector<CardSource>> base_models;  // nothing: not mentioned
  std::optional<std::vector<CardSource>> datasets;
  std::vector<std::string> tags;  // the pipeline among them
  std::vector<std::string> languages;
};

// The YAML between the first lines `---` of a card; nothing where it has none. Throws
// Error{kCorruptFile} where it does not end.
std::optional<std::string_view> front_matter(std::string_view card);

// The card with this front matter, its keys read as llama.cpp's converter reads them. Throws what
// io::parse_yaml throws. Values of the wrong form are taken for absent.
ModelCard parse_model_card(std::string_view yaml);

// The card of a model's folder; an empty one where there is none. A card is decoration: what is
// wrong with it is appended to `notes` and never an error.
ModelCard load_model_card(const std::filesystem::path& folder, std::vector<std::string>& notes);

}  // namespace pajamas::model
