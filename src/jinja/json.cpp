// json.dumps with the options of transformers' tojson filter.
#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "jinja/interpreter.h"
#include "jinja/text.h"

namespace pajamas::jinja {
namespace {

class Writer {
 public:
  explicit Writer(const JsonStyle& style) : style_(style) {}

  void value(const Value& v, int level) {
    charge(1);
    switch (v.kind()) {
      case Kind::kNone:
        out_ += "null";
        break;
      case Kind::kBool:
        out_ += v.as_bool() ? "true" : "false";
        break;
      case Kind::kInt:
        out_ += int_to_string(v.as_int());
        break;
      case Kind::kFloat:
        out_ += number(v.as_double());
        break;
      case Kind::kString:
        string(v.text());
        break;
      case Kind::kList:
      case Kind::kTuple:
        list(v.items(), level);
        break;
      case Kind::kDict:
        dict(v.dict(), level);
        break;
      default:
        fail(fmt::format("Object of type {} is not JSON serializable", type_name(v)));
    }
  }

  String take() { return std::move(out_); }

 private:
  static String number(double d) {
    if (std::isnan(d)) return "NaN";
    if (std::isinf(d)) return d < 0 ? "-Infinity" : "Infinity";
    return float_to_string(d);
  }

  void escape(char32_t point) {
    const auto code = static_cast<std::uint32_t>(point);
    if (code < 0x10000) {
      out_ += fmt::format("\\u{:04x}", code);
    } else {
      const std::uint32_t high = 0xD800 + ((code - 0x10000) >> 10);
      const std::uint32_t low = 0xDC00 + ((code - 0x10000) & 0x3FF);
      out_ += fmt::format("\\u{:04x}\\u{:04x}", high, low);
    }
  }

  void string(std::string_view text) {
    charge_bytes(text.size(), kBytesDecoded);
    out_ += '"';
    for (std::size_t pos = 0; pos < text.size();) {
      const char32_t point = next_point(text, pos);
      switch (point) {
        case '"':
          out_ += "\\\"";
          break;
        case '\\':
          out_ += "\\\\";
          break;
        case '\n':
          out_ += "\\n";
          break;
        case '\r':
          out_ += "\\r";
          break;
        case '\t':
          out_ += "\\t";
          break;
        case '\f':
          out_ += "\\f";
          break;
        case '\b':
          out_ += "\\b";
          break;
        default:
          if (point < 0x20 || (style_.ensure_ascii && point > 0x7E)) {
            escape(point);
          } else {
            append_point(out_, point);
          }
      }
    }
    out_ += '"';
  }

  void line(int level) {
    if (!style_.indent) return;
    out_ += '\n';
    charge_bytes(static_cast<std::size_t>(level) * style_.indent->size(), kBytesCopied);
    for (int i = 0; i < level; ++i) out_ += *style_.indent;
  }

  void separator() {
    charge(style_.item_separator.size() / kBytesCopied);
    out_ += style_.item_separator;
  }

  void list(const Vector<Value>& items, int level) {
    if (items.empty()) {
      out_ += "[]";
      return;
    }
    out_ += '[';
    for (std::size_t i = 0; i < items.size(); ++i) {
      if (i) separator();
      line(level + 1);
      value(items[i], level + 1);
    }
    line(level);
    out_ += ']';
  }

  static String key_text(const Value& key) {
    switch (key.kind()) {
      case Kind::kString:
        return String(key.text());
      case Kind::kNone:
        return "null";
      case Kind::kBool:
        return key.as_bool() ? "true" : "false";
      case Kind::kInt:
        return int_to_string(key.as_int());
      case Kind::kFloat:
        return number(key.as_double());
      default:
        fail(fmt::format("keys must be str, int, float, bool or None, not {}", type_name(key)));
    }
  }

  void dict(const Dict& d, int level) {
    if (d.items.empty()) {
      out_ += "{}";
      return;
    }
    auto items = d.items;
    if (style_.sort_keys) {
      std::stable_sort(items.begin(), items.end(),
                       [](const auto& a, const auto& b) { return less(a.first, b.first); });
    }
    out_ += '{';
    for (std::size_t i = 0; i < items.size(); ++i) {
      if (i) separator();
      line(level + 1);
      string(key_text(items[i].first));
      charge(style_.key_separator.size() / kBytesCopied);
      out_ += style_.key_separator;
      value(items[i].second, level + 1);
    }
    line(level);
    out_ += '}';
  }

  const JsonStyle& style_;
  String out_;
};

}  // namespace

String to_json(const Value& value, const JsonStyle& style) {
  Writer writer(style);
  writer.value(value, 0);
  return writer.take();
}

}  // namespace pajamas::jinja
