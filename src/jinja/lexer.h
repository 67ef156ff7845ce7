// Cuts a template into tokens, with the whitespace control of trim_blocks and lstrip_blocks.
#pragma once

#include <string>
#include <string_view>

#include "jinja/value.h"

namespace pajamas::jinja {

enum class TokenKind {
  kData,
  kVariableBegin,
  kVariableEnd,
  kBlockBegin,
  kBlockEnd,
  kName,
  kString,
  kInteger,
  kFloat,
  kOperator,
  kEnd,
};

struct Token {
  TokenKind kind = TokenKind::kEnd;
  int line = 1;
  String text;   // the data, name, string (unescaped) or operator
  Value number;  // of kInteger and kFloat
};

// Throws Error{kCorruptFile} with the line where the source is not a template.
Vector<Token> tokenize(std::string_view source);

// A syntax error in the template.
[[noreturn]] void fail_syntax(int line, std::string problem);

// Numbers as Python's int() and float() read them: optional spaces, sign, underscores between
// digits. False where the text is not such a number. Base 0 accepts prefixes.
bool parse_int(std::string_view text, int base, Int& out);
bool parse_float(std::string_view text, double& out);

}  // namespace pajamas::jinja
