// Format specifications: how one value is written by `%` and by str.format.
#pragma once

#include <string>
#include <string_view>

#include "jinja/builtins.h"

namespace pajamas::jinja {

// [[fill]align][sign][#][0][width][grouping][.precision][type]
struct Spec {
  String fill = " ";
  char align = 0;  // < > ^ =
  char sign = '-';
  bool alternate = false;
  char grouping = 0;
  int width = 0;
  int precision = -1;
  char type = 0;
};

// The digits at `pos`, which moves behind them. Throws where they are absurdly large.
int take_number(std::string_view text, std::size_t& pos);
// The sign to write in front of a number.
String sign_of(bool negative, char sign);
// The digits of an integer in the base of the type (x, X, o, b, else decimal), without sign.
String digits_of(Int value, char type);
// Fills sign and body up to the width; `fallback` is the alignment where the spec has none.
String pad(std::string_view sign, std::string_view body, const Spec& spec, char fallback);
String format_float(double value, const Spec& spec);
String format_int(const Value& value, const Spec& spec);
String format_string(std::string_view text, const Spec& spec);
// repr() with escapes for everything beyond ASCII.
String ascii_repr(const Value& value);

}  // namespace pajamas::jinja
