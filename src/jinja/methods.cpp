// The methods of strings.
#include <fmt/format.h>

#include <algorithm>

#include "jinja/interpreter.h"
#include "jinja/search.h"
#include "jinja/text.h"

namespace pajamas::jinja {
namespace {

using Text = std::string_view;

// The result keeps the mark of Markup.
Value made(const Value& self, String text) {
  return Value::string(std::move(text), self.str().safe);
}

void require_plain(const Value& self, const char* method) {
  if (self.str().safe) fail_unsupported(fmt::format("method '{}' of an escaped string", method));
}

template <String (*F)(Text)>
Value map_text(Interpreter&, const Value& self, const Args& args) {
  const Params params("method", args, {});
  return made(self, F(self.text()));
}

enum Side { kLeft = 1, kRight = 2, kBoth = 3 };

template <Side S>
Value strip_method(Interpreter&, const Value& self, const Args& args) {
  const Params params("strip", args, {"chars"});
  Text text = self.text();
  if (params.given_not_none(0)) {
    const Text chars = params.text(0, "");
    if (S & kRight) text = strip_right(text, chars);
    if (S & kLeft) text = strip_left(text, chars);
  } else {
    if (S & kRight) text = strip_right(text);
    if (S & kLeft) text = strip_left(text);
  }
  return made(self, String(text));
}

// Where the word that `text` begins (or ends) with has its other end.
std::size_t word_end(Text text) {
  Meter meter;
  std::size_t pos = 0;
  while (pos < text.size()) {
    meter.reach(pos);
    std::size_t next = pos;
    if (is_space(next_point(text, next))) break;
    pos = next;
  }
  return pos;
}
std::size_t word_begin(Text text) {
  Meter meter;
  std::size_t begin = text.size();
  while (begin > 0) {
    meter.reach(text.size() - begin);
    std::size_t pos = begin - 1;
    while (pos > 0 && is_continuation(text[pos])) --pos;
    std::size_t next = pos;
    if (is_space(next_point(text, next))) break;
    begin = pos;
  }
  return begin;
}

void split_spaces(Text text, Int limit, bool from_right, Vector<Value>& out, bool safe) {
  text = from_right ? strip_right(text) : strip_left(text);
  while (!text.empty()) {
    if (limit-- == 0) {
      out.push_back(Value::string(text, safe));
      return;
    }
    const std::size_t cut = from_right ? word_begin(text) : word_end(text);
    const Text word = from_right ? text.substr(cut) : text.substr(0, cut);
    out.push_back(Value::string(word, safe));
    text = from_right ? strip_right(text.substr(0, cut)) : strip_left(text.substr(cut));
  }
}

template <bool FromRight>
Value split_method(Interpreter&, const Value& self, const Args& args) {
  const Params params("split", args, {"sep", "maxsplit"});
  Int limit = params.integer(1, -1);
  const bool safe = self.str().safe;
  Text text = self.text();
  Vector<Value> out;
  if (!params.given_not_none(0)) {
    split_spaces(text, limit, FromRight, out, safe);
    if (FromRight) std::reverse(out.begin(), out.end());
    return Value::list(std::move(out));
  }
  const Text sep = params.text(0, "");
  if (sep.empty()) fail("empty separator");
  Search search(sep);
  for (; limit != 0; --limit) {
    const auto at = FromRight ? search.last(text) : search.first(text);
    if (at == Text::npos) break;
    out.push_back(
        Value::string(FromRight ? text.substr(at + sep.size()) : text.substr(0, at), safe));
    text = FromRight ? text.substr(0, at) : text.substr(at + sep.size());
  }
  out.push_back(Value::string(text, safe));
  if (FromRight) std::reverse(out.begin(), out.end());
  return Value::list(std::move(out));
}

Value splitlines_method(Interpreter&, const Value& self, const Args& args) {
  const Params params("splitlines", args, {"keepends"});
  const bool keep = params.flag(0, false);
  const Text text = self.text();
  charge_bytes(text.size(), kBytesDecoded);
  Vector<Value> out;
  std::size_t begin = 0;
  for (std::size_t pos = 0; pos < text.size();) {
    const std::size_t end = pos;
    const char32_t point = next_point(text, pos);
    if (!is_line_break(point)) continue;
    if (point == '\r' && pos < text.size() && text[pos] == '\n') ++pos;
    out.push_back(made(self, String(text.substr(begin, (keep ? pos : end) - begin))));
    begin = pos;
  }
  if (begin < text.size()) out.push_back(made(self, String(text.substr(begin))));
  return Value::list(std::move(out));
}

Value join_method(Interpreter& interp, const Value& self, const Args& args) {
  const Params params("join", args, {"iterable"}, 1);
  require_plain(self, "join");
  String out;
  std::size_t i = 0;
  const auto next = interp.iterate(params[0]);
  Value item;
  while (next(item)) {
    if (!item.is(Kind::kString)) {
      fail(fmt::format("sequence item {}: expected str instance, {} found", i, type_name(item)));
    }
    if (i++ > 0) append_str(out, self);
    append_str(out, item);
  }
  return Value::string(std::move(out));
}

Value replace_method(Interpreter&, const Value& self, const Args& args) {
  if (!args.named.empty()) fail("str.replace() takes no keyword arguments");
  const Params params("replace", args, {"old", "new", "count"}, 2);
  require_plain(self, "replace");
  const Text from = params.text(0, ""), to = params.text(1, ""), text = self.text();
  Int left = params.integer(2, -1);
  Search search(from);
  String out;
  std::size_t pos = 0;
  for (; left != 0; --left) {
    std::size_t at = search.first(text, pos);
    if (at == Text::npos) break;
    charge_bytes(at - pos + to.size(), kBytesCopied);
    out.append(text.substr(pos, at - pos)).append(to);
    pos = at + from.size();
    if (from.empty()) {
      if (pos >= text.size()) break;
      next_point(text, at);
      out.append(text.substr(pos, at - pos));
      pos = at;
    }
  }
  out.append(text.substr(pos));
  return Value::string(std::move(out));
}

// The part of the text that the optional start and end (code points) select; `offset` is where it
// begins, and false means that they select nothing, not even an empty string.
bool select_part(const Value& self, const Params& params, std::size_t first, Text& part,
                 std::size_t& offset) {
  const auto n = static_cast<Int>(self.str().points);
  const auto bound = [&](std::size_t i, Int fallback) {
    if (!params.given_not_none(i)) return fallback;
    Int value = params.integer(i, fallback);
    if (value < 0) value = std::max<Int>(0, value + n);
    return value;
  };
  const Int start = bound(first, 0);
  const Int stop = std::min(bound(first + 1, n), n);
  if (start > n || start > stop) return false;
  const Text text = self.text();
  offset = static_cast<std::size_t>(start);
  const std::size_t begin = self.str().offset(offset);
  part = text.substr(begin, self.str().offset(static_cast<std::size_t>(stop)) - begin);
  return true;
}

template <bool AtEnd>
Value affix_method(Interpreter&, const Value& self, const Args& args) {
  const Params params("startswith", args, {"prefix", "start", "end"}, 1);
  Text part;
  std::size_t offset = 0;
  const bool selected = select_part(self, params, 1, part, offset);
  const auto matches = [&](const Value& affix) {
    if (affix.is(Kind::kUndefined)) fail(affix.get<Undef>().hint);
    if (!affix.is(Kind::kString)) {
      fail(fmt::format("startswith first arg must be str or a tuple of str, not {}",
                       type_name(affix)));
    }
    charge_bytes(std::min(part.size(), affix.text().size()), kBytesCopied);
    return selected && (AtEnd ? part.ends_with(affix.text()) : part.starts_with(affix.text()));
  };
  if (!params[0].is(Kind::kTuple)) return Value::boolean(matches(params[0]));
  const auto& affixes = params[0].items();
  return Value::boolean(std::any_of(affixes.begin(), affixes.end(), matches));
}

template <bool FromRight, bool MustExist>
Value find_method(Interpreter&, const Value& self, const Args& args) {
  const Params params("find", args, {"sub", "start", "end"}, 1);
  Search search(params.text(0, ""));
  Text part;
  std::size_t offset = 0;
  auto at = Text::npos;
  if (select_part(self, params, 1, part, offset)) {
    at = FromRight ? search.last(part) : search.first(part);
  }
  if (at != Text::npos) {
    charge_bytes(at, kBytesCopied);
    return Value::integer(static_cast<Int>(offset) +
                          static_cast<Int>(count_points(part.substr(0, at))));
  }
  if (MustExist) fail("substring not found");
  return Value::integer(-1);
}

Value count_method(Interpreter&, const Value& self, const Args& args) {
  const Params params("count", args, {"sub", "start", "end"}, 1);
  const Text sub = params.text(0, "");
  Search search(sub);
  Text part;
  std::size_t offset = 0;
  if (!select_part(self, params, 1, part, offset)) return Value::integer(0);
  charge_bytes(part.size(), kBytesCopied);
  if (sub.empty()) return Value::integer(static_cast<Int>(count_points(part)) + 1);
  Int n = 0;
  for (auto at = search.first(part); at != Text::npos; at = search.first(part, at + sub.size())) {
    ++n;
  }
  return Value::integer(n);
}

template <bool FromRight>
Value partition_method(Interpreter&, const Value& self, const Args& args) {
  const Params params("partition", args, {"sep"}, 1);
  const Text sep = params.text(0, "");
  if (sep.empty()) fail("empty separator");
  const Text text = self.text();
  Search search(sep);
  const auto at = FromRight ? search.last(text) : search.first(text);
  const auto part = [&](Text piece) { return made(self, String(piece)); };
  if (at == Text::npos) {
    return FromRight ? Value::tuple({part(""), part(""), part(text)})
                     : Value::tuple({part(text), part(""), part("")});
  }
  return Value::tuple({part(text.substr(0, at)), part(sep), part(text.substr(at + sep.size()))});
}

template <bool Prefix>
Value remove_method(Interpreter&, const Value& self, const Args& args) {
  const Params params("removeprefix", args, {"affix"}, 1);
  const Text affix = params.text(0, "");
  Text text = self.text();
  charge_bytes(affix.size(), kBytesCopied);
  if (Prefix && text.starts_with(affix)) text.remove_prefix(affix.size());
  if (!Prefix && text.ends_with(affix)) text.remove_suffix(affix.size());
  return made(self, String(text));
}

// How many characters a text is short of a width.
Int missing_width(Int width, const Value& self) {
  if (width > static_cast<Int>(kMaxMemory)) Budget::fail_memory();
  return width - static_cast<Int>(self.str().points);
}

// The text between `left` and `right` times a character.
Value padded(const Value& self, Int left, Text text, Int right, Text fill) {
  if (left + right > static_cast<Int>(kMaxMemory)) Budget::fail_memory();
  String out;
  out.reserve(static_cast<std::size_t>(left + right) * fill.size() + text.size());
  const auto put = [&](Int times) {
    if (fill.size() == 1) {
      out.append(static_cast<std::size_t>(times), fill[0]);
      return;
    }
    charge_bytes(static_cast<std::size_t>(times), kBytesDecoded);
    for (Int i = 0; i < times; ++i) out += fill;
  };
  put(left);
  out += text;
  put(right);
  return made(self, std::move(out));
}

template <Side S>
Value justify_method(Interpreter&, const Value& self, const Args& args) {
  const Params params("justify", args, {"width", "fillchar"}, 1);
  const Text fill = params.text(1, " ");
  charge_bytes(fill.size(), kBytesCopied);
  if (count_points(fill) != 1) fail("The fill character must be exactly one character long");
  const Int width = params.integer(0, 0);
  const Int n = missing_width(width, self);
  if (n <= 0) return self;
  // str.center puts the odd one to the left where the width is odd.
  const Int left = S == kLeft ? n : S == kRight ? 0 : n / 2 + (n & width & 1);
  return padded(self, left, self.text(), n - left, fill);
}

Value zfill_method(Interpreter&, const Value& self, const Args& args) {
  const Params params("zfill", args, {"width"}, 1);
  const Int n = missing_width(params.integer(0, 0), self);
  if (n <= 0) return self;
  const Text text = self.text();
  const bool sign = !text.empty() && (text[0] == '+' || text[0] == '-');
  const Value digits = padded(self, n, text.substr(sign), 0, "0");
  return sign ? made(self, String(text.substr(0, 1)).append(digits.text())) : digits;
}

Value expandtabs_method(Interpreter&, const Value& self, const Args& args) {
  const Params params("expandtabs", args, {"tabsize"});
  const Int size = params.integer(0, 8);
  String out;
  Int column = 0;
  const Text text = self.text();
  charge_bytes(text.size(), kBytesDecoded);
  for (std::size_t pos = 0; pos < text.size();) {
    const char32_t point = next_point(text, pos);
    if (point == '\t') {
      const Int n = size > 0 ? size - column % size : 0;
      if (n > static_cast<Int>(kMaxMemory)) Budget::fail_memory();
      charge_bytes(static_cast<std::size_t>(n), kBytesCopied);
      out.append(static_cast<std::size_t>(n), ' ');
      column += n;
      continue;
    }
    append_point(out, point);
    column = point == '\n' || point == '\r' ? 0 : column + 1;
  }
  return made(self, std::move(out));
}

// All characters pass, and there is one (islower and isupper: of the cased ones).
template <bool (*Test)(char32_t), bool EmptyIs = false>
Value all_method(Interpreter&, const Value& self, const Args& args) {
  const Params params("method", args, {});
  const Text text = self.text();
  charge_bytes(text.size(), kBytesDecoded);
  bool any = EmptyIs;
  for (std::size_t pos = 0; pos < text.size();) {
    if (!Test(next_point(text, pos))) return Value::boolean(false);
    any = true;
  }
  return Value::boolean(any);
}

template <bool (*Wanted)(char32_t), bool (*Unwanted)(char32_t)>
Value case_method(Interpreter&, const Value& self, const Args& args) {
  const Params params("method", args, {});
  const Text text = self.text();
  charge_bytes(text.size(), kBytesDecoded);
  bool any = false;
  for (std::size_t pos = 0; pos < text.size();) {
    const char32_t point = next_point(text, pos);
    if (Unwanted(point) || is_title(point)) return Value::boolean(false);
    any |= Wanted(point);
  }
  return Value::boolean(any);
}

Value istitle_method(Interpreter&, const Value& self, const Args& args) {
  const Params params("istitle", args, {});
  const Text text = self.text();
  charge_bytes(text.size(), kBytesDecoded);
  bool any = false, inside = false;
  for (std::size_t pos = 0; pos < text.size();) {
    const char32_t point = next_point(text, pos);
    const bool starts = is_upper(point) || is_title(point);
    if (starts ? inside : is_lower(point) && !inside) return Value::boolean(false);
    inside = starts || is_lower(point);
    any |= inside;
  }
  return Value::boolean(any);
}

Value isidentifier_method(Interpreter&, const Value& self, const Args& args) {
  const Params params("isidentifier", args, {});
  const Text text = self.text();
  charge_bytes(text.size(), kBytesDecoded);
  std::size_t pos = 0;
  if (text.empty() || !is_name_start(next_point(text, pos))) return Value::boolean(false);
  while (pos < text.size()) {
    if (!is_name_char(next_point(text, pos))) return Value::boolean(false);
  }
  return Value::boolean(true);
}

bool is_ascii(char32_t point) { return point < 0x80; }

Value format_method(Interpreter& interp, const Value& self, const Args& args) {
  require_plain(self, "format");
  return format_braces(interp, self, args);
}

Value format_map_method(Interpreter& interp, const Value& self, const Args& args) {
  const Params params("format_map", args, {"mapping"}, 1);
  require_plain(self, "format_map");
  if (!params[0].is(Kind::kDict)) fail("format_map() argument must be a mapping");
  Args named;
  for (const auto& [key, value] : params[0].dict().items) {
    if (key.is(Kind::kString)) named.named.emplace_back(key.text(), value);
  }
  return format_braces(interp, self, named);
}

constexpr MethodDef kMethods[] = {
    {"capitalize", map_text<to_capitalized>},
    {"casefold", map_text<fold_case>},
    {"center", justify_method<kBoth>},
    {"count", count_method},
    {"endswith", affix_method<true>},
    {"expandtabs", expandtabs_method},
    {"find", find_method<false, false>},
    {"format", format_method},
    {"format_map", format_map_method},
    {"index", find_method<false, true>},
    {"isalnum", all_method<is_alnum>},
    {"isalpha", all_method<is_alpha>},
    {"isascii", all_method<is_ascii, true>},
    {"isdecimal", all_method<is_decimal>},
    {"isdigit", all_method<is_digit>},
    {"isidentifier", isidentifier_method},
    {"islower", case_method<is_lower, is_upper>},
    {"isnumeric", all_method<is_numeric>},
    {"isprintable", all_method<is_printable, true>},
    {"isspace", all_method<is_space>},
    {"istitle", istitle_method},
    {"isupper", case_method<is_upper, is_lower>},
    {"join", join_method},
    {"ljust", justify_method<kRight>},
    {"lower", map_text<to_lower>},
    {"lstrip", strip_method<kLeft>},
    {"partition", partition_method<false>},
    {"removeprefix", remove_method<true>},
    {"removesuffix", remove_method<false>},
    {"replace", replace_method},
    {"rfind", find_method<true, false>},
    {"rindex", find_method<true, true>},
    {"rjust", justify_method<kLeft>},
    {"rpartition", partition_method<true>},
    {"rsplit", split_method<true>},
    {"rstrip", strip_method<kRight>},
    {"split", split_method<false>},
    {"splitlines", splitlines_method},
    {"startswith", affix_method<false>},
    {"strip", strip_method<kBoth>},
    {"swapcase", map_text<swap_case>},
    {"title", map_text<to_title>},
    {"upper", map_text<to_upper>},
    {"zfill", zfill_method},
};

}  // namespace

Table<MethodDef> string_methods() { return {kMethods, std::size(kMethods)}; }

const MethodDef* find_string_method(std::string_view name) {
  const auto* it = std::find_if(std::begin(kMethods), std::end(kMethods),
                                [&](const MethodDef& def) { return def.name == name; });
  return it == std::end(kMethods) ? nullptr : it;
}

}  // namespace pajamas::jinja
