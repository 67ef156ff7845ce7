// Reading the files that the tokenizer tests share.
#pragma once

#include <fstream>
#include <nlohmann/json.hpp>
#include <sstream>
#include <stdexcept>
#include <string>

#include "paths.h"

namespace pajamas::text {

inline std::string read_source_file(const std::string& path) {
  std::ifstream file(source_dir() + "/" + path, std::ios::binary);
  if (!file) throw std::runtime_error("no " + path);
  std::ostringstream out;
  out << file.rdbuf();
  return out.str();
}

inline std::string tiny_tokenizer_json() {
  return read_source_file("models/tiny-qwen2/tokenizer.json");
}

inline const nlohmann::json& golden_tokenizers() {
  static const nlohmann::json cases =
      nlohmann::json::parse(read_source_file("tests/text/data/tokenizer_golden.json"));
  return cases;
}

}  // namespace pajamas::text
