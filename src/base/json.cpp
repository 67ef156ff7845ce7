#include "base/json.h"

#include <fmt/format.h>

#include <algorithm>
#include <nlohmann/json.hpp>

#include "base/error.h"
#include "base/json_numbers.h"

namespace pajamas {
namespace {

using nlohmann::json;
using nlohmann::ordered_json;

// Where the library stops: not all of its exceptions say so.
class Locator final : public nlohmann::json_sax<json> {
 public:
  std::size_t end() const noexcept { return end_; }

  bool null() override { return true; }
  bool boolean(bool) override { return true; }
  bool number_integer(number_integer_t) override { return true; }
  bool number_unsigned(number_unsigned_t) override { return true; }
  bool number_float(number_float_t, const string_t&) override { return true; }
  bool string(string_t&) override { return true; }
  bool binary(binary_t&) override { return true; }
  bool start_object(std::size_t) override { return true; }
  bool key(string_t&) override { return true; }
  bool end_object() override { return true; }
  bool start_array(std::size_t) override { return true; }
  bool end_array() override { return true; }
  bool parse_error(std::size_t end, const std::string&,
                   const nlohmann::detail::exception&) override {
    end_ = end;
    return false;
  }

 private:
  std::size_t end_ = 0;
};

template <class Json, class Parse>
Json parsed(std::string_view text, Parse&& parse) {
  try {
    return parse();
  } catch (const json::exception& error) {
    Locator locator;
    (void)json::sax_parse(text, &locator);
    throw Error(ErrorCode::kCorruptFile,
                fmt::format("is not JSON: {}", json_fault(text, locator.end(), error)),
                "download or copy it again");
  }
}

}  // namespace

json parse_json(std::string_view text) {
  const auto quoted = quote_non_finite(text);
  if (quoted) text = *quoted;
  json document = parsed<json>(text, [&] { return json::parse(text); });
  restore_non_finite(document, quoted.has_value());
  return document;
}

ordered_json parse_ordered_json(std::string_view text, std::size_t deepest) {
  const auto check = [&](int depth, ordered_json::parse_event_t, const ordered_json&) {
    if (static_cast<std::size_t>(depth) <= deepest) return true;
    throw Error(ErrorCode::kCorruptFile,
                fmt::format("has more than {} levels of brackets", deepest));
  };
  return parsed<ordered_json>(text, [&] { return ordered_json::parse(text, check); });
}

std::string json_fault(std::string_view text, std::size_t end, const std::exception& library) {
  // At the end of the text the library has read one byte that is not there.
  const std::string_view before = text.substr(0, std::min(end > 0 ? end - 1 : 0, text.size()));
  const auto line = std::ranges::count(before, '\n') + 1;
  const std::size_t begin = before.rfind('\n') + 1;  // npos + 1 is 0
  const auto column =
      std::ranges::count_if(before.substr(begin),
                            [](char c) { return (static_cast<unsigned char>(c) & 0xC0) != 0x80; }) +
      1;
  return fmt::format("line {}, column {}: {}", line, column, json_fault(library));
}

std::string json_fault(const std::exception& library) {
  std::string_view what = library.what();
  const auto drop_through = [&](std::string_view start, std::string_view end) {
    if (!what.starts_with(start)) return;
    if (const auto at = what.find(end); at != std::string_view::npos) {
      what.remove_prefix(at + end.size());
    }
  };
  drop_through("[json.exception.", "] ");
  drop_through("parse error", ": ");
  drop_through("syntax error while parsing", " - ");
  return printable(what, 160);
}

}  // namespace pajamas
