#include "quantize/recipe.h"

#include <fmt/format.h>

#include <algorithm>
#include <regex>

#include "base/error.h"
#include "base/suggest.h"
#include "codec/codec.h"
#include "quantize/output_format.h"

namespace pajamas::quantize {
namespace {

// The types that either format can be given.
std::vector<std::string_view> type_names() {
  std::vector<std::string_view> names;
  for (std::size_t i = 0; i < static_cast<std::size_t>(DType::kCount); ++i) {
    const DTypeInfo& type = info(static_cast<DType>(i));
    if (type.gguf_id >= 0 && codec::can_encode(Encoding{.dtype = type.id})) {
      names.push_back(type.name);
    }
  }
  for (const MlxMethodInfo& method : mlx_methods()) {
    if (method.mix == MlxMix::kNone) names.push_back(method.name);
  }
  return names;
}

}  // namespace

void throw_bad_override(std::string_view text, std::string problem, const std::string& meant) {
  throw Error(ErrorCode::kUsage, std::move(problem),
              meant + "give REGEX=TYPE, as 'ffn_down=Q6_K' for GGUF or 'down_proj=6bit' for MLX")
      .at(fmt::format("--tensor-type {}", printable(text, 80)));
}

TypeOverride parse_type_override(std::string_view text, std::span<const Format> formats) {
  const auto equals = text.rfind('=');
  if (equals == std::string_view::npos || equals == 0) throw_bad_override(text, "has no TYPE");
  TypeOverride override;
  override.text = std::string(text);
  try {
    override.is_for = [regex = std::regex(std::string(text.substr(0, equals)))](
                          const std::string& name) { return std::regex_search(name, regex); };
  } catch (const std::regex_error& error) {
    throw_bad_override(text, fmt::format("is no regular expression: {}", error.what()));
  }
  const std::string_view type = text.substr(equals + 1);
  // Of the formats that have such a type one that is written, the later first: the names of those
  // are spelled in one way, GGUF's in any.
  const OutputFormat* chosen = nullptr;
  bool chosen_is_written = false;
  for (const OutputFormat* format : output_formats()) {
    const auto found = format->find_type(type);
    if (!found) continue;
    const bool written = std::ranges::find(formats, format->id()) != formats.end();
    if (chosen_is_written && !written) continue;
    chosen = format;
    chosen_is_written = written;
    override.type = *found;
  }
  if (chosen == nullptr) {
    throw_bad_override(text, fmt::format("\"{}\" is no type", printable(type, 40)),
                       did_you_mean(type, type_names()));
  }
  override.format = chosen->id();
  if (!chosen_is_written) {
    throw_bad_override(
        text, fmt::format("{} is a type of {}, which is not written", type, chosen->name()));
  }
  return override;
}

}  // namespace pajamas::quantize
