#include "quantize/output_format.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <array>

#include "base/error.h"
#include "base/suggest.h"

namespace pajamas::quantize {

std::span<const OutputFormat* const> output_formats() noexcept {
  static const std::array<const OutputFormat*, 3> all{&gguf_output(), &mlx_output(), &fp8_output()};
  return all;
}

const OutputFormat& output_format(Format format) noexcept {
  return *output_formats()[static_cast<std::size_t>(format)];
}

std::string_view format_name(Format format) noexcept { return output_format(format).name(); }

Format parse_format(std::string_view name) {
  std::vector<std::string_view> names;
  for (const OutputFormat* format : output_formats()) {
    if (format->name() == lower(name)) return format->id();
    names.push_back(format->name());
  }
  throw Error(ErrorCode::kUsage, fmt::format("\"{}\" is no format", printable(name, 40)),
              did_you_mean(name, names) +
                  fmt::format("there are {}; several as gguf,mlx", fmt::join(names, ", ")))
      .at("--format");
}

}  // namespace pajamas::quantize
