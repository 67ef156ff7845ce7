// The part of reading a tokenizer.json that is about JSON.
#pragma once

#include <cstdint>
#include <nlohmann/json.hpp>
#include <string>
#include <string_view>
#include <vector>

#include "text/tokenizer_spec.h"

namespace pajamas::text {

// The two large tables of the file, taken out of the stream, and all the rest as a document.
struct TokenizerDocument {
  struct Entry {
    std::string token;
    std::uint32_t id;
  };
  nlohmann::json rest;  // an object
  std::vector<Entry> vocabulary;
  std::vector<Merge> merges;
  bool has_vocabulary = false;
  bool has_merges = false;
};

// Throws Error{kCorruptFile} for what is no JSON object, is nested too deeply, or has a wrong type
// in one of the two tables.
TokenizerDocument read_tokenizer_document(std::string_view json);

}  // namespace pajamas::text
