// The README.md of a quantized model as hubs expect it: YAML in front, files with their figures,
// and how to run them.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "cli/measured_figures.h"
#include "model/model_card.h"

namespace pajamas::cli {

struct CardModel {
  std::string path;    // relative to the card: a GGUF file (the first of several), or a folder
  std::string format;  // "GGUF", "MLX", "FP8"
  std::string type;    // "Q4_K_M", "4bit"
  std::uint64_t bytes = 0;
  double bits_per_weight = 0;
  std::size_t files = 1;
  std::optional<MeasuredFigures> figures;
};

struct CardFacts {
  std::string title;
  std::string base_model;    // owner/name; empty: not known
  std::string repository;    // where it will be published; empty: not known
  std::string quantized_by;  // empty: nobody is named
  std::string version;       // of this program
  model::ModelCard source;   // of the original: licence, languages
  bool importance_matrix = false;
  std::vector<CardModel> models;
};

// Text for a YAML value: as it is where every reader takes that for this text, else in quotes.
std::string yaml_text(const std::string& text);

std::string model_card_text(const CardFacts& facts);

// What readers of the card will miss, a sentence each: figures that were not measured, a licence or
// a base model that nobody named.
std::vector<std::string> missing_of(const CardFacts& facts);

}  // namespace pajamas::cli
