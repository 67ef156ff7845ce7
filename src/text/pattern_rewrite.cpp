#include "text/pattern_rewrite.h"

#include <fmt/format.h>

#include <algorithm>
#include <optional>

#include "base/error.h"
#include "text/code_points.h"
#include "text/utf8.h"

namespace pajamas::text {
namespace {

constexpr std::size_t kMaxPattern = 64 * 1024;
constexpr int kMaxClassDepth = 16;
constexpr std::string_view kPlainEscapes = "^$\\.*+?()[]{}|/-!\"#%&',:;<=>@_`~ ";

bool is_hex(char c) {
  return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f') || (c >= 'A' && c <= 'F');
}

bool is_digit(char c) { return c >= '0' && c <= '9'; }

// `\b`: a place with a word character on exactly one side.
std::string word_boundary(const std::string& word, bool negated) {
  return negated ? fmt::format("(?:(?<={0})(?={0})|(?<!{0})(?!{0}))", word)
                 : fmt::format("(?:(?<={0})(?!{0})|(?<!{0})(?={0}))", word);
}

class Rewriter {
 public:
  explicit Rewriter(std::string_view pattern) : in_(pattern) {}

  std::string run() {
    if (in_.size() > kMaxPattern) unsupported("a pattern of more than 64 KiB");
    if (find_invalid_utf8(in_) != std::string_view::npos) broken("it is not UTF-8");
    while (!done()) step();
    return std::move(out_);
  }

 private:
  bool done() const { return at_ >= in_.size(); }
  char peek(std::size_t ahead = 0) const {
    return at_ + ahead < in_.size() ? in_[at_ + ahead] : '\0';
  }
  std::string_view rest() const { return in_.substr(at_); }

  [[noreturn]] void unsupported(std::string_view what) const {
    throw Error(ErrorCode::kUnsupported,
                fmt::format("the pre-tokenizer pattern uses {} at byte {}", what, at_));
  }
  [[noreturn]] void broken(std::string_view what) const {
    throw Error(ErrorCode::kCorruptFile,
                fmt::format("the pre-tokenizer pattern is broken at byte {}: {}", at_, what));
  }

  void step() {
    switch (peek()) {
      case '\\':
        return escape();
      case '[':
        return emit(char_class());
      case '(':
        return group();
      case '{':
        return counted();
      default:
        copy_code_point();
    }
  }

  void copy_code_point() {
    const std::size_t end = decode_code_point(in_, at_).end;
    out_ += in_.substr(at_, end - at_);
    at_ = end;
  }

  void group() {
    constexpr std::string_view kOpenings[] = {"(?:", "(?=",  "(?!",  "(?<=", "(?<!",
                                              "(?>", "(?i:", "(?i)", "(?-i:"};
    if (rest().starts_with("(*")) unsupported("'(*'");
    if (!rest().starts_with("(?")) {
      out_ += '(';
      ++at_;
      return;
    }
    for (const std::string_view opening : kOpenings) {
      if (rest().starts_with(opening)) {
        out_ += opening;
        at_ += opening.size();
        return;
      }
    }
    unsupported(fmt::format("the group '{}'", printable(rest().substr(0, 4))));
  }

  // `{n}`, `{n,}`, `{,m}`, `{n,m}`; anything else is a literal brace in both engines.
  void counted() {
    std::size_t i = 1;
    const auto digits = [&] {
      const std::size_t from = i;
      while (is_digit(peek(i))) ++i;
      return rest().substr(from, i - from);
    };
    const std::string_view low = digits();
    const bool comma = peek(i) == ',';
    if (comma) ++i;
    const std::string_view high = comma ? digits() : low;
    if (peek(i) != '}' || (low.empty() && high.empty())) {
      out_ += "\\{";
      ++at_;
      return;
    }
    ++i;
    // Here the engines differ: possessive or repeated once more, lazy or optional.
    if (peek(i) == '+' || (peek(i) == '?' && !comma)) unsupported("a suffix behind '{n}'");
    out_ += fmt::format("{{{}{}{}}}", low.empty() ? "0" : low, comma ? "," : "",
                        comma ? high : std::string_view{});
    at_ += i;
  }

  // --- escapes -------------------------------------------------------------------------------

  void escape() {
    const char c = peek(1);
    if (c == 'b' || c == 'B') {
      at_ += 2;
      CodePointSet word(tables::kWord);
      out_ += word_boundary(spelt(word, false), c == 'B');
    } else if (c == 'A' || c == 'z') {
      out_ += in_.substr(at_, 2);
      at_ += 2;
    } else if (const auto set = class_escape()) {
      emit(*set);
    } else {
      out_ += fmt::format("\\x{{{:X}}}", literal_escape());
    }
  }

  // `\p{..}`, `\s` and the like, or nothing (and nothing consumed).
  std::optional<CodePointSet> class_escape() {
    const char c = peek(1);
    std::optional<CodePointSet> set;
    switch (c) {
      case 'p':
      case 'P':
        return property_escape(c == 'P');
      case 's':
      case 'S':
        set = CodePointSet(tables::kSpace);
        break;
      case 'w':
      case 'W':
        set = CodePointSet(tables::kWord);
        break;
      case 'd':
      case 'D':
        set = property("Nd");
        break;
      case 'h':
      case 'H':
        set.emplace();
        set->add('0', '9');
        set->add('a', 'f');
        set->add('A', 'F');
        break;
      default:
        return std::nullopt;
    }
    at_ += 2;
    return c >= 'A' && c <= 'Z' ? set->complement() : set;
  }

  CodePointSet property_escape(bool negated) {
    const std::size_t close = rest().find('}');
    if (peek(2) != '{' || close == std::string_view::npos) broken("'\\p' needs '{name}'");
    std::string_view name = rest().substr(3, close - 3);
    if (name.starts_with('^')) {
      negated = !negated;
      name.remove_prefix(1);
    }
    const auto set = property(name);
    if (!set) unsupported(fmt::format("the property \\p{{{}}}", printable(name, 40)));
    at_ += close + 1;
    return negated ? set->complement() : *set;
  }

  std::uint32_t hex(std::size_t from, std::size_t count) {
    std::uint32_t value = 0;
    for (std::size_t i = 0; i < count; ++i) {
      const char c = peek(from + i);
      if (!is_hex(c)) broken("a hexadecimal digit is missing");
      value =
          value * 16 + static_cast<std::uint32_t>(is_digit(c) ? c - '0' : (c | 0x20) - 'a' + 10);
    }
    if (value > 0x10FFFF || (value >= 0xD800 && value < 0xE000)) broken("no such code point");
    return value;
  }

  // An escape that stands for one code point; consumed.
  std::uint32_t literal_escape() {
    const char c = peek(1);
    if (at_ + 1 >= in_.size()) broken("it ends with a backslash");
    if (c == 'u' || (c == 'x' && peek(2) != '{')) {
      const std::size_t digits = c == 'u' ? 4 : 2;
      const std::uint32_t value = hex(2, digits);
      if (c == 'x' && value >= 0x80) unsupported("a byte escape beyond \\x7f");
      at_ += 2 + digits;
      return value;
    }
    if (c == 'x') {
      const std::size_t close = rest().find('}');
      if (close == std::string_view::npos || close < 4 || close > 11) broken("'\\x{' has no end");
      const std::uint32_t value = hex(3, close - 3);
      at_ += close + 1;
      return value;
    }
    constexpr std::string_view kEscapes = "ntrfvae";
    constexpr std::string_view kValues = "\n\t\r\f\v\a\x1b";
    const std::size_t letter = kEscapes.find(c);
    if (letter != std::string_view::npos) {
      at_ += 2;
      return static_cast<std::uint32_t>(kValues[letter]);
    }
    const auto [value, end] = decode_code_point(in_, at_ + 1);
    if (value < 0x80 && kPlainEscapes.find(c) == std::string_view::npos) {
      unsupported(fmt::format("the escape '{}'", printable(in_.substr(at_, 2))));
    }
    at_ = end;
    return value;
  }

  // --- classes -------------------------------------------------------------------------------

  struct Class {
    CodePointSet set;
    bool negated = false;
  };

  // `[...]`; a hyphen is literal at both ends and behind a class. Classes inside are united with
  // what stands beside them, and `&&` cuts what is on its left with what is on its right.
  Class char_class(int depth = 0) {
    if (depth > kMaxClassDepth) unsupported("classes nested that deep");
    Class out;
    std::optional<CodePointSet> left;  // of the last '&&'
    ++at_;
    if (peek() == '^') {
      out.negated = true;
      ++at_;
    }
    for (bool first = true; first || peek() != ']'; first = false) {
      if (done()) broken("'[' has no ']'");
      if (rest().starts_with("&&")) {
        if (first) unsupported("'&&' with nothing before it");
        left = left ? intersection(*left, out.set) : std::move(out.set);
        out.set = {};
        at_ += 2;
        if (peek() == ']' || rest().starts_with("&&")) unsupported("'&&' with nothing behind it");
        continue;
      }
      class_member(out.set, depth);
    }
    ++at_;
    if (left) out.set = intersection(*left, out.set);
    return out;
  }

  static CodePointSet intersection(const CodePointSet& a, const CodePointSet& b) {
    CodePointSet outside = a.complement();
    outside.add(b.complement());
    return outside.complement();
  }

  // One class, code point or range.
  void class_member(CodePointSet& set, int depth) {
    if (peek() == '[') {
      if (peek(1) == ':') unsupported("a POSIX class");
      const Class inner = char_class(depth + 1);
      set.add(inner.negated ? inner.set.complement() : inner.set);
      if (peek() == '-' && peek(1) != ']') unsupported("a hyphen behind a class");
      return;
    }
    if (const auto inner = peek() == '\\' ? class_escape() : std::nullopt) {
      set.add(*inner);
      if (peek() == '-' && peek(1) != ']') unsupported("a hyphen behind a class");
      return;
    }
    const std::uint32_t low = class_literal();
    if (peek() != '-' || peek(1) == ']' || at_ + 1 >= in_.size()) {
      set.add(low, low);
      return;
    }
    ++at_;
    if (peek() == '[') unsupported("a range that ends in a class");
    if (peek() == '\\' && class_escape()) unsupported("a range that ends in a class");
    const std::uint32_t high = class_literal();
    if (high < low) broken("a range runs backwards");
    set.add(low, high);
  }

  std::uint32_t class_literal() {
    if (done()) broken("'[' has no ']'");
    if (peek() == '\\') {
      if (peek(1) == 'b') unsupported("'\\b' inside a class");
      return literal_escape();
    }
    const auto [value, end] = decode_code_point(in_, at_);
    at_ = end;
    return value;
  }

  void emit(const Class& found) { out_ += spelt(found.set, found.negated); }
  void emit(const CodePointSet& set) { out_ += spelt(set, false); }

  static std::string spelt(const CodePointSet& set, bool negated) {
    std::vector<CodePointRange> ranges = set.ranges();
    if (ranges.empty()) return negated ? "[\\x{0}-\\x{10FFFF}]" : "(?!)";
    // PCRE2 tries ranges one after the other: the large ones (ideographs, syllables) go first.
    std::stable_sort(ranges.begin(), ranges.end(), [](const auto& a, const auto& b) {
      return a.last - a.first > b.last - b.first;
    });
    std::string out = negated ? "[^" : "[";
    for (const auto& [first, last] : ranges) {
      out += first == last ? fmt::format("\\x{{{:X}}}", first)
                           : fmt::format("\\x{{{:X}}}-\\x{{{:X}}}", first, last);
    }
    return out + "]";
  }

  std::string_view in_;
  std::size_t at_ = 0;
  std::string out_;
};

}  // namespace

std::string to_pcre2(std::string_view pattern) { return Rewriter(pattern).run(); }

}  // namespace pajamas::text
