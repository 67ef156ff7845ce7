// Filters of text.
#include <fmt/format.h>

#include <algorithm>

#include "jinja/interpreter.h"
#include "jinja/text.h"

namespace pajamas::jinja {
namespace {

using Text = std::string_view;

// soft_str(): a string stays what it is, Markup included.
Value soft(const Value& value) {
  return value.is(Kind::kString) ? value : Value::string(to_str(value));
}

Value method(Interpreter& interp, std::string_view name, const Value& value, const Args& args) {
  return find_string_method(name)->fn(interp, soft(value), args);
}

Value upper(Interpreter& interp, const Value& v, const Args& args) {
  return method(interp, "upper", v, args);
}
Value lower(Interpreter& interp, const Value& v, const Args& args) {
  return method(interp, "lower", v, args);
}
Value capitalize(Interpreter& interp, const Value& v, const Args& args) {
  return method(interp, "capitalize", v, args);
}

Value trim(Interpreter& interp, const Value& v, const Args& args) {
  const Params params("trim", args, {"chars"});
  Args chars;
  if (params.given(0)) chars.positional.push_back(params[0]);
  return method(interp, "strip", v, chars);
}

Value center(Interpreter& interp, const Value& v, const Args& args) {
  const Params params("center", args, {"width"});
  return method(interp, "center", v, {{params.get(0, Value::integer(80))}, {}});
}

Value replace(Interpreter& interp, const Value& v, const Args& args) {
  const Params params("replace", args, {"old", "new", "count"}, 2);
  Args plain{{Value::string(to_str(params[0])), Value::string(to_str(params[1]))}, {}};
  if (params.given_not_none(2)) plain.positional.push_back(params[2]);
  return method(interp, "replace", Value::string(to_str(v)), plain);
}

// Words begin after spaces and opening brackets; unlike str.title, not after digits or quotes.
Value title(Interpreter&, const Value& v, const Args& args) {
  const Params params("title", args, {});
  const Value value = soft(v);
  const Text text = value.text();
  charge_bytes(text.size(), kBytesDecoded);
  const auto separates = [](char32_t p) {
    return is_space(p) || p == '-' || p == '(' || p == '{' || p == '[' || p == '<';
  };
  String out;
  for (std::size_t pos = 0; pos < text.size();) {
    const std::size_t begin = pos;
    const bool separator = separates(next_point(text, pos));
    const std::size_t first_end = pos;
    while (pos < text.size()) {
      std::size_t next = pos;
      if (separates(next_point(text, next)) != separator) break;
      pos = next;
    }
    out += to_upper(text.substr(begin, first_end - begin));
    out += to_lower(text.substr(first_end, pos - first_end));
  }
  return Value::string(std::move(out), value.str().safe);
}

Value string_filter(Interpreter&, const Value& v, const Args& args) {
  const Params params("string", args, {});
  return soft(v);
}

Value safe(Interpreter&, const Value& v, const Args& args) {
  const Params params("safe", args, {});
  return Value::string(to_str(v), true);
}

Value escape(Interpreter&, const Value& v, const Args& args) {
  const Params params("escape", args, {});
  if (v.is(Kind::kString) && v.str().safe) return v;
  return Value::string(escape_html(to_str(v)), true);
}

Value force_escape(Interpreter&, const Value& v, const Args& args) {
  const Params params("forceescape", args, {});
  return Value::string(escape_html(to_str(v)), true);
}

Value format_filter(Interpreter&, const Value& v, const Args& args) {
  if (!args.positional.empty() && !args.named.empty()) {
    fail("can't handle positional and keyword arguments at the same time");
  }
  const Value format = soft(v);
  Value values = Value::tuple(args.positional);
  if (!args.named.empty()) {
    auto dict = make_counted<Dict>();
    for (const auto& [name, value] : args.named) dict->set(Value::string(name), value);
    values = Value::object(Kind::kDict, std::move(dict));
  }
  return modulo(format, values);
}

Value indent(Interpreter& interp, const Value& v, const Args& args) {
  const Params params("indent", args, {"width", "first", "blank"});
  if (v.is(Kind::kUndefined)) fail(v.get<Undef>().hint);
  if (!v.is(Kind::kString)) fail(fmt::format("indent() needs a str, not {}", type_name(v)));
  const bool text_width = params.given(0) && params[0].is(Kind::kString);
  const Value unit =
      text_width ? params[0] : multiply(Value::string(" "), Value::integer(params.integer(0, 4)));
  const Text indention = unit.text();
  const bool blank = params.flag(2, false);
  String out;
  bool is_first = true;
  const Value lines = find_string_method("splitlines")->fn(interp, append_text(v, "\n", 1), {});
  for (const auto& line : lines.items()) {
    if (!is_first) {
      out += '\n';
      if (blank || !line.text().empty()) append_str(out, unit);
    }
    is_first = false;
    append_str(out, line);
  }
  if (params.flag(1, false)) out.insert(0, indention);
  return Value::string(std::move(out), v.str().safe);
}

Value truncate(Interpreter&, const Value& v, const Args& args) {
  const Params params("truncate", args, {"length", "killwords", "end", "leeway"});
  const Int length = params.integer(0, 255);
  const Text end = params.text(2, "...");
  const auto end_points = static_cast<Int>(count_points(end));
  const Int leeway = params.given_not_none(3) ? params.integer(3, 5) : 5;
  if (length < end_points) fail(fmt::format("expected length >= {}", int_to_string(end_points)));
  if (leeway < 0) fail("expected leeway >= 0");
  // What is short enough comes back as it is, whatever it is.
  if (static_cast<Int>(pajamas::jinja::length(v)) <= length + leeway) return v;
  if (!v.is(Kind::kString)) fail(fmt::format("truncate() needs a str, not {}", type_name(v)));
  const Text text = v.text();
  Text cut = text.substr(0, v.str().offset(static_cast<std::size_t>(length - end_points)));
  if (!params.flag(1, false)) {
    charge_bytes(cut.size(), kBytesSearched);
    if (const auto space = cut.rfind(' '); space != Text::npos) cut = cut.substr(0, space);
  }
  return Value::string(String(cut).append(end), v.str().safe);
}

Value word_count(Interpreter&, const Value& v, const Args& args) {
  const Params params("wordcount", args, {});
  const Value value = soft(v);
  const Text text = value.text();
  charge_bytes(text.size(), kBytesDecoded);
  Int n = 0;
  bool inside = false;
  for (std::size_t pos = 0; pos < text.size();) {
    const char32_t point = next_point(text, pos);
    const bool word = is_alnum(point) || point == '_';
    n += word && !inside;
    inside = word;
  }
  return Value::integer(n);
}

String quote_url(Text text, bool query) {
  static constexpr Text kSafe = "_.-~", kHexDigits = "0123456789ABCDEF";
  charge_bytes(text.size(), kBytesDecoded);
  String out;
  for (const char c : text) {
    const bool plain = (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
                       kSafe.find(c) != Text::npos || (c == '/' && !query);
    if (plain) {
      out += c;
    } else if (c == ' ' && query) {
      out += '+';
    } else {
      const auto byte = static_cast<unsigned char>(c);
      (out += '%') += kHexDigits[byte >> 4];
      out += kHexDigits[byte & 15];
    }
  }
  return out;
}

Value url_encode(Interpreter& interp, const Value& v, const Args& args) {
  const Params params("urlencode", args, {});
  const bool single =
      v.is(Kind::kString) || v.is_number() || v.is(Kind::kNone) || v.is(Kind::kNamespace);
  if (single) return Value::string(quote_url(to_str(v), false));
  String out;
  const auto append = [&](const Value& key, const Value& value) {
    if (!out.empty()) out += '&';
    out += quote_url(to_str(key), true) + "=" + quote_url(to_str(value), true);
  };
  if (v.is(Kind::kDict)) {
    for (const auto& [key, value] : v.dict().items) append(key, value);
  } else {
    for (const auto& pair : interp.to_list(v)) {
      const auto items = interp.to_list(pair);
      if (items.size() != 2) fail("urlencode needs pairs of key and value");
      append(items[0], items[1]);
    }
  }
  return Value::string(std::move(out));
}

Value xml_attributes(Interpreter&, const Value& v, const Args& args) {
  const Params params("xmlattr", args, {"autospace"});
  if (!v.is(Kind::kDict)) fail("xmlattr needs a mapping");
  String out;
  for (const auto& [key, value] : v.dict().items) {
    charge(1);
    if (value.is(Kind::kNone) || value.is(Kind::kUndefined)) continue;
    if (!key.is(Kind::kString)) fail("expected string or bytes-like object");
    charge_bytes(key.text().size(), kBytesDecoded);
    if (key.text().find_first_of(" \t\n\r\f\v/>=") != Text::npos) {
      fail(fmt::format("Invalid character in attribute name: {}", excerpt(key)));
    }
    const auto escaped = [](const Value& part) {
      return part.is(Kind::kString) && part.str().safe ? String(part.text())
                                                       : escape_html(to_str(part));
    };
    if (!out.empty()) out += ' ';
    out += escaped(key) + "=\"" + escaped(value) + "\"";
  }
  if (params.flag(0, true) && !out.empty()) out.insert(out.begin(), ' ');
  return Value::string(std::move(out));
}

Value strip_tags(Interpreter&, const Value& v, const Args& args) {
  const Params params("striptags", args, {});
  String text = to_str(v);
  charge_bytes(text.size(), kBytesDecoded);
  const auto remove = [&](Text open, Text close) {
    String out;
    std::size_t pos = 0;
    while (true) {
      const auto begin = text.find(open, pos);
      const auto end = begin == Text::npos ? Text::npos : text.find(close, begin);
      if (end == Text::npos) break;
      out.append(text, pos, begin - pos);
      pos = end + close.size();
    }
    out.append(text, pos);
    text = std::move(out);
  };
  remove("<!--", "-->");
  remove("<", ">");
  if (text.find('&') != String::npos) fail_unsupported("striptags on text with entities");
  String out;
  Text rest = strip(text);
  for (std::size_t pos = 0; pos < rest.size();) {
    const std::size_t begin = pos;
    if (!is_space(next_point(rest, pos))) {
      out.append(rest.substr(begin, pos - begin));
    } else if (out.back() != ' ') {
      out += ' ';
    }
  }
  return Value::string(std::move(out));
}

// The indentation of one level: json.dumps takes a number of spaces or a string.
std::optional<String> json_indent(const Value& v) {
  if (v.is(Kind::kNone) || v.is(Kind::kMissing)) return std::nullopt;
  if (v.is(Kind::kString)) return String(v.text());
  const Int n = as_index(v);
  if (n > 1000) fail_limit("an indentation of more than 1000 spaces");
  return String(n > 0 ? static_cast<std::size_t>(n) : 0, ' ');
}

Value tojson(Interpreter& interp, const Value& v, const Args& args) {
  const Params params("tojson", args, {"ensure_ascii", "indent", "separators", "sort_keys"});
  JsonStyle style;
  style.ensure_ascii = params.flag(0, false);
  style.indent = json_indent(params[1]);
  style.sort_keys = params.flag(3, false);
  if (style.indent) style.item_separator = ',';
  if (params.given_not_none(2)) {
    const auto separators = interp.to_list(params[2]);
    if (separators.size() != 2 || !separators[0].is(Kind::kString) ||
        !separators[1].is(Kind::kString)) {
      fail("separators must be a pair of strings");
    }
    style.item_separator = separators[0].text();
    style.key_separator = separators[1].text();
  }
  return Value::string(to_json(v, style));
}

Value unsupported_random(Interpreter&, const Value&, const Args&) {
  fail_unsupported("filter 'random'");
}
Value unsupported_pprint(Interpreter&, const Value&, const Args&) {
  fail_unsupported("filter 'pprint'");
}
Value unsupported_urlize(Interpreter&, const Value&, const Args&) {
  fail_unsupported("filter 'urlize'");
}
Value unsupported_wordwrap(Interpreter&, const Value&, const Args&) {
  fail_unsupported("filter 'wordwrap'");
}

constexpr FilterDef kTextFilters[] = {
    {"upper", upper},
    {"lower", lower},
    {"capitalize", capitalize},
    {"title", title},
    {"trim", trim},
    {"center", center},
    {"replace", replace},
    {"string", string_filter},
    {"safe", safe},
    {"e", escape},
    {"escape", escape},
    {"forceescape", force_escape},
    {"format", format_filter},
    {"indent", indent},
    {"truncate", truncate},
    {"wordcount", word_count},
    {"urlencode", url_encode},
    {"xmlattr", xml_attributes},
    {"striptags", strip_tags},
    {"tojson", tojson},
    // They exist, so that templates which never run them are fine.
    {"random", unsupported_random},
    {"pprint", unsupported_pprint},
    {"urlize", unsupported_urlize},
    {"wordwrap", unsupported_wordwrap},
};

}  // namespace

Table<FilterDef> text_filters() { return {kTextFilters, std::size(kTextFilters)}; }

}  // namespace pajamas::jinja
