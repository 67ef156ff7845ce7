// Names of outputs by a pattern: `{name}-{method}.gguf`, as hubs have them.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "quantize/method.h"

namespace pajamas::quantize {

// What a pattern can ask for.
struct NameFields {
  std::string name;    // of the model: Qwen2.5-7B-Instruct
  std::string method;  // Q4_K_M, 4bit
  Format format;
  std::string size;  // 7.6B
};

class OutputName {
 public:
  // A text with {name}, {method}, {format} and {size}, each also as {name:lower} or {name:upper}.
  // Throws Error{kUsage} for anything else in braces, braces without a partner, and for what is no
  // name inside a folder.
  static OutputName parse(std::string_view pattern);

  // Whether two methods get two names.
  bool tells_methods() const noexcept;

  // A file's name ends in .gguf, whether the pattern says so or not, and a folder's does not.
  // Throws Error{kUsage} where no name comes of it.
  std::string of(const NameFields& fields) const;

 private:
  enum class Field { kText, kName, kMethod, kFormat, kSize };
  enum class Case { kSame, kLower, kUpper };
  struct Part {
    Field field = Field::kText;
    Case letters = Case::kSame;
    std::string text;  // of kText
  };
  static Part parse_field(std::string_view inside);

  std::vector<Part> parts_;
};

}  // namespace pajamas::quantize
