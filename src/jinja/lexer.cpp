#include "jinja/lexer.h"

#include <fmt/format.h>

#include <algorithm>

#include "base/error.h"
#include "jinja/text.h"

namespace pajamas::jinja {

void fail_syntax(int line, std::string problem) {
  throw Error(ErrorCode::kCorruptFile, std::move(problem), "the chat template has a syntax error")
      .at(fmt::format("chat template, line {}", line));
}

namespace {

bool is_ascii_digit(char c) { return c >= '0' && c <= '9'; }

String normalize_newlines(std::string_view source) {
  String out;
  out.reserve(source.size());
  for (std::size_t i = 0; i < source.size(); ++i) {
    if (source[i] == '\r') {
      out += '\n';
      if (i + 1 < source.size() && source[i + 1] == '\n') ++i;
    } else {
      out += source[i];
    }
  }
  return out;
}

// Reads the escapes of a string literal. Python decodes them after every character beyond ASCII
// was turned into an escape itself, so that a backslash in front of one takes it apart.
class Unescaper {
 public:
  Unescaper(std::string_view text, int line) : text_(text), line_(line) {}

  String run() {
    while (pos_ < text_.size()) {
      if (text_[pos_] != '\\') {
        out_ += text_[pos_++];
        continue;
      }
      ++pos_;
      if (pos_ >= text_.size()) fail_syntax(line_, "\\ at end of string");
      escape();
    }
    return std::move(out_);
  }

 private:
  void escape() {
    const char c = text_[pos_];
    static constexpr std::string_view kFrom = "\\'\"abfnrtv";
    static constexpr std::string_view kTo = "\\'\"\a\b\f\n\r\t\v";
    if (const auto i = kFrom.find(c); i != std::string_view::npos) {
      out_ += kTo[i];
      ++pos_;
    } else if (c == '\n') {
      ++pos_;
    } else if (c >= '0' && c <= '7') {
      octal();
    } else if (c == 'x' || c == 'u' || c == 'U') {
      ++pos_;
      hex(c == 'x' ? 2 : c == 'u' ? 4 : 8);
    } else if (c == 'N') {
      throw Error(ErrorCode::kUnsupported, "string escape \\N{...}", "write the character itself")
          .at(fmt::format("chat template, line {}", line_));
    } else if (static_cast<unsigned char>(c) >= 0x80) {
      const auto point = static_cast<std::uint32_t>(next_point(text_, pos_));
      out_ += point < 0x100     ? fmt::format("\\x{:02x}", point)
              : point < 0x10000 ? fmt::format("\\u{:04x}", point)
                                : fmt::format("\\U{:08x}", point);
    } else {
      out_ += '\\';
    }
  }

  void octal() {
    char32_t point = 0;
    for (int i = 0; i < 3 && pos_ < text_.size() && text_[pos_] >= '0' && text_[pos_] <= '7'; ++i) {
      point = point * 8 + static_cast<char32_t>(text_[pos_++] - '0');
    }
    append_point(out_, point);
  }

  void hex(int n) {
    std::uint64_t point = 0;
    for (int i = 0; i < n; ++i, ++pos_) {
      const char c = pos_ < text_.size() ? text_[pos_] : '\0';
      const int digit = is_ascii_digit(c)      ? c - '0'
                        : c >= 'a' && c <= 'f' ? c - 'a' + 10
                        : c >= 'A' && c <= 'F' ? c - 'A' + 10
                                               : -1;
      if (digit < 0) fail_syntax(line_, "truncated \\x, \\u or \\U escape");
      point = point * 16 + static_cast<std::uint64_t>(digit);
    }
    if (point > 0x10FFFF) fail_syntax(line_, "illegal Unicode character");
    if (point >= 0xD800 && point < 0xE000) {
      throw Error(ErrorCode::kUnsupported, "string escape of a surrogate", "")
          .at(fmt::format("chat template, line {}", line_));
    }
    append_point(out_, static_cast<char32_t>(point));
  }

  std::string_view text_;
  int line_;
  std::size_t pos_ = 0;
  String out_;
};

class Lexer {
 public:
  explicit Lexer(String source) : owned_(std::move(source)), source_(owned_) {
    if (!source_.empty() && source_.back() == '\n') source_.remove_suffix(1);
  }

  Vector<Token> run() {
    while (pos_ < source_.size()) root();
    push(TokenKind::kEnd, {});
    return std::move(tokens_);
  }

 private:
  bool at(std::string_view text) const { return source_.substr(pos_).starts_with(text); }

  void push(TokenKind kind, String text, Value number = {}) {
    charge(1);
    tokens_.push_back({kind, line_, std::move(text), std::move(number)});
  }

  // Moves to `end`, counting lines.
  void advance(std::size_t end) {
    line_ += static_cast<int>(std::count(source_.begin() + static_cast<std::ptrdiff_t>(pos_),
                                         source_.begin() + static_cast<std::ptrdiff_t>(end), '\n'));
    if (end > pos_) line_starting_ = source_[end - 1] == '\n';
    pos_ = end;
  }

  std::size_t skip_space(std::size_t pos) const {
    return source_.size() - strip_left(source_.substr(pos)).size();
  }

  // The sign of whitespace control at `pos`, or 0.
  char sign_at(std::size_t pos) const {
    const char c = pos < source_.size() ? source_[pos] : '\0';
    return c == '-' || c == '+' ? c : '\0';
  }

  // Text in front of a tag, less what the tag's sign or lstrip_blocks takes away.
  std::string_view trimmed(std::string_view text, char sign, bool is_variable) const {
    if (sign == '-') return strip_right(text);
    if (sign == '+' || is_variable) return text;
    const auto newline = text.rfind('\n');
    const std::size_t start = newline == std::string_view::npos ? 0 : newline + 1;
    if (start == 0 && !line_starting_) return text;
    return strip(text.substr(start)).empty() ? text.substr(0, start) : text;
  }

  // End of `-%}\s*`, `+%}` or `%}\n?` at `pos`, or npos. `plus` and `trim` where they apply.
  std::size_t match_close(std::size_t pos, std::string_view close, bool plus, bool trim) const {
    const auto rest = source_.substr(std::min(pos, source_.size()));
    if (rest.size() > 2 && rest[0] == '-' && rest.substr(1).starts_with(close)) {
      return skip_space(pos + 3);
    }
    if (plus && rest.size() > 2 && rest[0] == '+' && rest.substr(1).starts_with(close)) {
      return pos + 3;
    }
    if (!rest.starts_with(close)) return std::string_view::npos;
    return pos + 2 + (trim && rest.size() > 2 && rest[2] == '\n');
  }

  // Behind `{%-? raw %}` where such a tag stands at `pos`, or npos.
  std::size_t match_raw(std::size_t pos) const {
    std::size_t p = pos + 2;
    if (sign_at(p)) ++p;
    p = skip_space(p);
    if (!source_.substr(p).starts_with("raw")) return std::string_view::npos;
    return match_close(skip_space(p + 3), "%}", false, false);
  }

  void emit_data(std::string_view text) {
    if (!text.empty()) push(TokenKind::kData, String(text));
  }

  void root() {
    std::size_t tag = pos_;
    while (tag + 1 < source_.size() &&
           (source_[tag] != '{' ||
            std::string_view("{%#").find(source_[tag + 1]) == std::string_view::npos)) {
      ++tag;
    }
    if (tag + 1 >= source_.size()) {
      emit_data(source_.substr(pos_));
      advance(source_.size());
      return;
    }
    const char type = source_[tag + 1];
    const char sign = sign_at(tag + 2);
    emit_data(trimmed(source_.substr(pos_, tag - pos_), sign, type == '{'));
    const std::size_t raw = type == '%' ? match_raw(tag) : std::string_view::npos;
    if (raw != std::string_view::npos) {
      advance(raw);
      raw_block();
      return;
    }
    advance(tag + (sign ? 3 : 2));
    if (type == '#') {
      comment();
    } else {
      inside(type == '%');
    }
  }

  void comment() {
    for (std::size_t p = pos_; p < source_.size(); ++p) {
      const auto end = match_close(p, "#}", true, true);
      if (end == std::string_view::npos) continue;
      advance(end);
      return;
    }
    fail_syntax(line_, "Missing end of comment tag");
  }

  void raw_block() {
    for (std::size_t p = source_.find("{%", pos_); p != std::string_view::npos;
         p = source_.find("{%", p + 1)) {
      const char sign = sign_at(p + 2);
      std::size_t q = skip_space(p + (sign ? 3 : 2));
      if (!source_.substr(q).starts_with("endraw")) continue;
      const auto end = match_close(skip_space(q + 6), "%}", true, true);
      if (end == std::string_view::npos) continue;
      emit_data(trimmed(source_.substr(pos_, p - pos_), sign, false));
      advance(end);
      return;
    }
    fail_syntax(line_, "Missing end of raw directive");
  }

  // Everything between {{ and }} or {% and %}.
  void inside(bool block) {
    push(block ? TokenKind::kBlockBegin : TokenKind::kVariableBegin, {});
    String open;
    while (pos_ < source_.size()) {
      if (open.empty()) {
        const auto end = match_close(pos_, block ? "%}" : "}}", block, block);
        if (end != std::string_view::npos) {
          push(block ? TokenKind::kBlockEnd : TokenKind::kVariableEnd, {});
          advance(end);
          return;
        }
      }
      token(open);
    }
  }

  void token(String& open) {
    std::size_t p = pos_;
    const char c = source_[pos_];
    const char32_t point = next_point(source_, p);
    if (is_space(point)) {
      advance(skip_space(pos_));
    } else if (is_ascii_digit(c)) {
      number();
    } else if (is_name_start(point)) {
      while (p < source_.size()) {
        std::size_t next = p;
        if (!is_name_char(next_point(source_, next))) break;
        p = next;
      }
      push(TokenKind::kName, String(source_.substr(pos_, p - pos_)));
      advance(p);
    } else if (c == '\'' || c == '"') {
      string(c);
    } else {
      punctuation(open);
    }
  }

  void string(char quote) {
    std::size_t p = pos_ + 1;
    while (p < source_.size() && source_[p] != quote) p += source_[p] == '\\' ? 2 : 1;
    if (p >= source_.size()) fail_syntax(line_, fmt::format("unexpected char '{}'", quote));
    push(TokenKind::kString, Unescaper(source_.substr(pos_ + 1, p - pos_ - 1), line_).run());
    advance(p + 1);
  }

  // Digits with single underscores between them; npos-free: returns `pos` where there are none.
  std::size_t digits(std::size_t pos) const {
    std::size_t p = pos;
    while (p < source_.size() && (is_ascii_digit(source_[p]) ||
                                  (source_[p] == '_' && p > pos && source_[p - 1] != '_' &&
                                   p + 1 < source_.size() && is_ascii_digit(source_[p + 1])))) {
      ++p;
    }
    return p;
  }

  std::size_t match_float() const {
    if (pos_ > 0 && source_[pos_ - 1] == '.') return std::string_view::npos;
    std::size_t p = digits(pos_);
    bool is_float = false;
    if (p + 1 < source_.size() && source_[p] == '.' && is_ascii_digit(source_[p + 1])) {
      p = digits(p + 1);
      is_float = true;
    }
    if (p < source_.size() && (source_[p] | 0x20) == 'e') {
      std::size_t q = p + 1;
      if (sign_at(q)) ++q;
      if (const auto end = digits(q); end != q) return end;
    }
    return is_float ? p : std::string_view::npos;
  }

  std::size_t match_integer() const {
    if (source_[pos_] != '0') return digits(pos_);
    const char x = pos_ + 1 < source_.size() ? static_cast<char>(source_[pos_ + 1] | 0x20) : '\0';
    if (x == 'b' || x == 'o' || x == 'x') {
      std::size_t p = pos_ + 2;
      const auto good = [&](char c) {
        const char l = static_cast<char>(c | 0x20);
        return x == 'b'   ? c == '0' || c == '1'
               : x == 'o' ? c >= '0' && c <= '7'
                          : is_ascii_digit(c) || (l >= 'a' && l <= 'f');
      };
      while (p < source_.size() &&
             (good(source_[p]) ||
              (source_[p] == '_' && p + 1 < source_.size() && good(source_[p + 1])))) {
        ++p;
      }
      if (p > pos_ + 2) return p;
    }
    std::size_t p = pos_ + 1;
    while (p < source_.size() &&
           (source_[p] == '0' ||
            (source_[p] == '_' && p + 1 < source_.size() && source_[p + 1] == '0'))) {
      ++p;
    }
    return p;
  }

  void number() {
    if (const auto end = match_float(); end != std::string_view::npos) {
      double value = 0;
      if (!parse_float(source_.substr(pos_, end - pos_), value)) {
        fail_syntax(line_, "bad number");
      }
      push(TokenKind::kFloat, {}, Value::real(value));
      advance(end);
      return;
    }
    const auto end = match_integer();
    Int value = 0;
    if (!parse_int(source_.substr(pos_, end - pos_), 0, value)) {
      throw Error(ErrorCode::kUnsupported, "integer of more than 38 digits", "")
          .at(fmt::format("chat template, line {}", line_));
    }
    push(TokenKind::kInteger, String(source_.substr(pos_, end - pos_)), Value::integer(value));
    advance(end);
  }

  void punctuation(String& open) {
    static constexpr std::string_view kTwo[] = {"//", "**", "==", "!=", ">=", "<="};
    static constexpr std::string_view kOne = "+-/*%~[](){}><=.:|,;";
    std::size_t n = 0;
    for (const auto op : kTwo) {
      if (at(op)) n = 2;
    }
    if (n == 0 && kOne.find(source_[pos_]) != std::string_view::npos) n = 1;
    if (n == 0) {
      std::size_t p = pos_;
      next_point(source_, p);
      fail_syntax(line_,
                  fmt::format("unexpected char '{}'", printable(source_.substr(pos_, p - pos_))));
    }
    const char c = source_[pos_];
    if (c == '{' || c == '(' || c == '[') {
      open += c == '{' ? '}' : c == '(' ? ')' : ']';
    } else if (c == '}' || c == ')' || c == ']') {
      if (open.empty()) fail_syntax(line_, fmt::format("unexpected '{}'", c));
      if (open.back() != c) {
        fail_syntax(line_, fmt::format("unexpected '{}', expected '{}'", c, open.back()));
      }
      open.pop_back();
    }
    push(TokenKind::kOperator, String(source_.substr(pos_, n)));
    advance(pos_ + n);
  }

  String owned_;
  std::string_view source_;
  std::size_t pos_ = 0;
  int line_ = 1;
  bool line_starting_ = true;
  Vector<Token> tokens_;
};

}  // namespace

Vector<Token> tokenize(std::string_view source) {
  if (!is_valid_utf8(source)) fail_syntax(1, "the template is not valid UTF-8");
  return Lexer(normalize_newlines(source)).run();
}

}  // namespace pajamas::jinja
