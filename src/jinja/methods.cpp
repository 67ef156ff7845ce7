// The methods of strings.
#include <fmt/format.h>

#include <algorithm>

#include "jinja/interpreter.h"
#include "jinja/text.h"

namespace pajamas::jinja {
namespace {

using Text = std::string_view;

// The result keeps the mark of Markup.
Value made(const Value& self, std::string text) {
  return Value::string(std::move(text), self.str().safe);
}

void require_plain(const Value& self, const char* method) {
  if (self.str().safe) fail_unsupported(fmt::format("method '{}' of an escaped string", method));
}

template <std::string (*F)(Text)>
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
    const std::string chars = params.text(0, "");
    if (S & kRight) text = strip_right(text, chars);
    if (S & kLeft) text = strip_left(text, chars);
  } else {
    if (S & kRight) text = strip_right(text);
    if (S & kLeft) text = strip_left(text);
  }
  return made(self, std::string(text));
}

void split_spaces(Text text, Int limit, bool from_right, std::vector<Value>& out, bool safe) {
  text = from_right ? strip_right(text) : strip_left(text);
  while (!text.empty()) {
    if (limit == 0) {
      const Text rest = from_right ? strip_right(text) : text;
      out.push_back(Value::string(std::string(rest), safe));
      return;
    }
    --limit;
    std::size_t cut = 0;
    if (from_right) {
      std::size_t last = 0;
      for (std::size_t pos = 0; pos < text.size();) {
        if (is_space(next_point(text, pos))) last = pos;
      }
      out.push_back(Value::string(std::string(text.substr(last)), safe));
      text = strip_right(text.substr(0, last));
    } else {
      cut = 0;
      while (cut < text.size()) {
        std::size_t next = cut;
        if (is_space(next_point(text, next))) break;
        cut = next;
      }
      out.push_back(Value::string(std::string(text.substr(0, cut)), safe));
      text = strip_left(text.substr(cut));
    }
  }
}

template <bool FromRight>
Value split_method(Interpreter& interp, const Value& self, const Args& args) {
  const Params params("split", args, {"sep", "maxsplit"});
  Int limit = params.integer(1, -1);
  const bool safe = self.str().safe;
  Text text = self.text();
  std::vector<Value> out;
  interp.charge(text.size() / 4);
  if (!params.given_not_none(0)) {
    // Limits this low make the scan from the right quadratic only as often as they say.
    if (FromRight && limit < 0) {
      split_spaces(text, limit, false, out, safe);
    } else {
      interp.charge(
          FromRight ? text.size() *
                          std::min<std::size_t>(static_cast<std::size_t>(limit), text.size()) / 64
                    : 0);
      split_spaces(text, limit, FromRight, out, safe);
      if (FromRight) std::reverse(out.begin(), out.end());
    }
    return Value::list(std::move(out));
  }
  const std::string sep = params.text(0, "");
  if (sep.empty()) fail("empty separator");
  while (limit != 0) {
    const auto at = FromRight ? text.rfind(sep) : text.find(sep);
    if (at == Text::npos) break;
    const Text piece = FromRight ? text.substr(at + sep.size()) : text.substr(0, at);
    out.push_back(Value::string(std::string(piece), safe));
    text = FromRight ? text.substr(0, at) : text.substr(at + sep.size());
    --limit;
    if (out.size() > kMaxItems) fail_limit("a list has too many items");
  }
  out.push_back(Value::string(std::string(text), safe));
  if (FromRight) std::reverse(out.begin(), out.end());
  return Value::list(std::move(out));
}

Value splitlines_method(Interpreter& interp, const Value& self, const Args& args) {
  const Params params("splitlines", args, {"keepends"});
  const bool keep = params.flag(0, false);
  const Text text = self.text();
  interp.charge(text.size() / 4);
  std::vector<Value> out;
  std::size_t begin = 0;
  for (std::size_t pos = 0; pos < text.size();) {
    const std::size_t end = pos;
    const char32_t point = next_point(text, pos);
    if (!is_line_break(point)) continue;
    if (point == '\r' && pos < text.size() && text[pos] == '\n') ++pos;
    out.push_back(made(self, std::string(text.substr(begin, (keep ? pos : end) - begin))));
    begin = pos;
  }
  if (begin < text.size()) out.push_back(made(self, std::string(text.substr(begin))));
  return Value::list(std::move(out));
}

Value join_method(Interpreter& interp, const Value& self, const Args& args) {
  const Params params("join", args, {"iterable"}, 1);
  require_plain(self, "join");
  std::string out;
  std::size_t i = 0;
  const auto next = interp.iterate(params[0]);
  Value item;
  while (next(item)) {
    interp.charge(1);
    if (!item.is(Kind::kString)) {
      fail(fmt::format("sequence item {}: expected str instance, {} found", i, type_name(item)));
    }
    if (i++ > 0) out += self.text();
    out += item.text();
    if (out.size() > kMaxBytes) fail_limit("a string is longer than 64 MiB");
  }
  return Value::string(std::move(out));
}

Value replace_method(Interpreter& interp, const Value& self, const Args& args) {
  if (!args.named.empty()) fail("str.replace() takes no keyword arguments");
  const Params params("replace", args, {"old", "new", "count"}, 2);
  require_plain(self, "replace");
  const std::string from = params.text(0, ""), to = params.text(1, "");
  Int left = params.integer(2, -1);
  const Text text = self.text();
  interp.charge(text.size() / 4);
  std::string out;
  std::size_t pos = 0;
  while (left != 0) {
    std::size_t at = from.empty() ? pos : text.find(from, pos);
    if (at == Text::npos) break;
    out.append(text.substr(pos, at - pos)).append(to);
    if (out.size() > kMaxBytes) fail_limit("a string is longer than 64 MiB");
    --left;
    pos = at + from.size();
    if (from.empty()) {
      if (pos >= text.size()) {
        pos = text.size();
        break;
      }
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
  const std::size_t begin = byte_offset(text, offset);
  part =
      text.substr(begin, byte_offset(text.substr(begin), static_cast<std::size_t>(stop - start)));
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
    return selected && (AtEnd ? part.ends_with(affix.text()) : part.starts_with(affix.text()));
  };
  if (!params[0].is(Kind::kTuple)) return Value::boolean(matches(params[0]));
  const auto& affixes = params[0].items();
  return Value::boolean(std::any_of(affixes.begin(), affixes.end(), matches));
}

template <bool FromRight, bool MustExist>
Value find_method(Interpreter& interp, const Value& self, const Args& args) {
  const Params params("find", args, {"sub", "start", "end"}, 1);
  interp.charge(self.text().size() / 16);
  const std::string sub = params.text(0, "");
  Text part;
  std::size_t offset = 0;
  auto at = Text::npos;
  if (select_part(self, params, 1, part, offset)) at = FromRight ? part.rfind(sub) : part.find(sub);
  if (at != Text::npos) {
    return Value::integer(static_cast<Int>(offset) +
                          static_cast<Int>(count_points(part.substr(0, at))));
  }
  if (MustExist) fail("substring not found");
  return Value::integer(-1);
}

Value count_method(Interpreter& interp, const Value& self, const Args& args) {
  const Params params("count", args, {"sub", "start", "end"}, 1);
  interp.charge(self.text().size() / 16);
  const std::string sub = params.text(0, "");
  Text part;
  std::size_t offset = 0;
  if (!select_part(self, params, 1, part, offset)) return Value::integer(0);
  if (sub.empty()) return Value::integer(static_cast<Int>(count_points(part)) + 1);
  Int n = 0;
  for (auto at = part.find(sub); at != Text::npos; at = part.find(sub, at + sub.size())) ++n;
  return Value::integer(n);
}

template <bool FromRight>
Value partition_method(Interpreter&, const Value& self, const Args& args) {
  const Params params("partition", args, {"sep"}, 1);
  const std::string sep = params.text(0, "");
  if (sep.empty()) fail("empty separator");
  const Text text = self.text();
  const auto at = FromRight ? text.rfind(sep) : text.find(sep);
  const auto part = [&](Text piece) { return made(self, std::string(piece)); };
  if (at == Text::npos) {
    return FromRight ? Value::tuple({part(""), part(""), part(text)})
                     : Value::tuple({part(text), part(""), part("")});
  }
  return Value::tuple({part(text.substr(0, at)), part(sep), part(text.substr(at + sep.size()))});
}

template <bool Prefix>
Value remove_method(Interpreter&, const Value& self, const Args& args) {
  const Params params("removeprefix", args, {"affix"}, 1);
  const std::string affix = params.text(0, "");
  Text text = self.text();
  if (Prefix && text.starts_with(affix)) text.remove_prefix(affix.size());
  if (!Prefix && text.ends_with(affix)) text.remove_suffix(affix.size());
  return made(self, std::string(text));
}

std::string padding(Int n, const std::string& fill) {
  if (n > static_cast<Int>(kMaxBytes / fill.size())) fail_limit("a string is longer than 64 MiB");
  std::string out;
  for (Int i = 0; i < n; ++i) out += fill;
  return out;
}

template <Side S>
Value justify_method(Interpreter&, const Value& self, const Args& args) {
  const Params params("justify", args, {"width", "fillchar"}, 1);
  const std::string fill = params.text(1, " ");
  if (count_points(fill) != 1) fail("The fill character must be exactly one character long");
  const Int width = params.integer(0, 0);
  const Int n = width - static_cast<Int>(self.str().points);
  if (n <= 0) return self;
  // str.center puts the odd one to the left where the width is odd.
  const Int left = S == kLeft ? n : S == kRight ? 0 : n / 2 + (n & width & 1);
  return made(self, padding(left, fill) + self.text() + padding(n - left, fill));
}

Value zfill_method(Interpreter&, const Value& self, const Args& args) {
  const Params params("zfill", args, {"width"}, 1);
  const Int n = params.integer(0, 0) - static_cast<Int>(self.str().points);
  if (n <= 0) return self;
  Text text = self.text();
  std::string out;
  if (!text.empty() && (text[0] == '+' || text[0] == '-')) {
    out += text[0];
    text.remove_prefix(1);
  }
  return made(self, out + padding(n, "0") + std::string(text));
}

Value expandtabs_method(Interpreter&, const Value& self, const Args& args) {
  const Params params("expandtabs", args, {"tabsize"});
  const Int size = params.integer(0, 8);
  std::string out;
  Int column = 0;
  const Text text = self.text();
  for (std::size_t pos = 0; pos < text.size();) {
    const char32_t point = next_point(text, pos);
    if (point == '\t') {
      const Int n = size > 0 ? size - column % size : 0;
      out += padding(n, " ");
      column += n;
      if (out.size() > kMaxBytes) fail_limit("a string is longer than 64 MiB");
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

const MethodDef* find_string_method(std::string_view name) {
  const auto* it = std::find_if(std::begin(kMethods), std::end(kMethods),
                                [&](const MethodDef& def) { return def.name == name; });
  return it == std::end(kMethods) ? nullptr : it;
}

}  // namespace pajamas::jinja
