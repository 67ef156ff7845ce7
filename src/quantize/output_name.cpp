#include "quantize/output_name.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cctype>

#include "base/error.h"
#include "base/suggest.h"
#include "quantize/output_format.h"

namespace pajamas::quantize {
namespace {

constexpr std::string_view kExtension = ".gguf";
constexpr std::array<std::string_view, 4> kFields{"name", "method", "format", "size"};

[[noreturn]] void throw_pattern(std::string problem, std::string hint) {
  throw Error(ErrorCode::kUsage, std::move(problem), std::move(hint)).at("--output-name");
}

void require_no_separator(std::string_view text) {
  if (text.find('/') == std::string_view::npos) return;
  throw_pattern("has a \"/\"", "it is a name inside --output; give the folder there");
}

}  // namespace

OutputName::Part OutputName::parse_field(std::string_view inside) {
  const auto colon = inside.find(':');
  const std::string_view name = inside.substr(0, colon);
  const std::string_view letters = colon == inside.npos ? "" : inside.substr(colon + 1);
  const auto found = std::ranges::find(kFields, name);
  const bool known_case = colon == inside.npos || letters == "lower" || letters == "upper";
  if (found == kFields.end() || !known_case) {
    throw_pattern(fmt::format("there is no {{{}}}", printable(inside, 40)),
                  fmt::format("{}there are {{name}} {{method}} {{format}} {{size}}, each with "
                              ":lower or :upper where wanted",
                              found == kFields.end() ? did_you_mean(name, kFields) : ""));
  }
  Part part;
  part.field = static_cast<Field>(1 + (found - kFields.begin()));
  part.letters = letters == "lower"   ? Case::kLower
                 : letters == "upper" ? Case::kUpper
                                      : Case::kSame;
  return part;
}

OutputName OutputName::parse(std::string_view pattern) {
  require_no_separator(pattern);
  if (pattern.empty()) throw_pattern("is empty", "write it as '{name}-{method}.gguf'");
  OutputName name;
  while (!pattern.empty()) {
    const auto brace = pattern.find_first_of("{}");
    if (brace != 0) {
      name.parts_.push_back({Field::kText, Case::kSame, std::string(pattern.substr(0, brace))});
      pattern.remove_prefix(std::min(brace, pattern.size()));
      continue;
    }
    const auto end = pattern.find_first_of("{}", 1);
    if (pattern.front() == '}' || end == pattern.npos || pattern[end] == '{') {
      throw_pattern(fmt::format("a brace has no partner: {}", printable(pattern, 40)),
                    "write it as '{name}-{method}.gguf'");
    }
    name.parts_.push_back(parse_field(pattern.substr(1, end - 1)));
    pattern.remove_prefix(end + 1);
  }
  return name;
}

bool OutputName::tells_methods() const noexcept {
  return std::ranges::find(parts_, Field::kMethod, &Part::field) != parts_.end();
}

std::string OutputName::of(const NameFields& fields) const {
  const std::array<std::string, kFields.size()> values{
      fields.name, fields.method, std::string(format_name(fields.format)), fields.size};
  std::string name;
  for (const Part& part : parts_) {
    std::string text =
        part.field == Field::kText ? part.text : values[static_cast<std::size_t>(part.field) - 1];
    if (part.letters == Case::kLower) text = lower(text);
    if (part.letters == Case::kUpper) {
      std::ranges::transform(text, text.begin(),
                             [](unsigned char c) { return static_cast<char>(std::toupper(c)); });
    }
    name += text;
  }
  if (lower(name).ends_with(kExtension)) name.resize(name.size() - kExtension.size());
  require_no_separator(name);
  if (name.empty() || name.starts_with('.')) {
    throw_pattern(fmt::format("makes \"{}\", which is no name of a model", printable(name, 80)),
                  "write it as '{name}-{method}.gguf'");
  }
  return output_format(fields.format).is_one_file() ? name.append(kExtension) : name;
}

}  // namespace pajamas::quantize
