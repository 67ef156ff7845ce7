#include "model/json_file.h"

#include <fmt/format.h>

#include "base/error.h"
#include "base/file.h"
#include "base/json_numbers.h"

namespace pajamas::model {

nlohmann::json parse_json(std::string_view text) {
  try {
    const auto quoted = quote_non_finite(text);
    nlohmann::json parsed = nlohmann::json::parse(quoted ? *quoted : text);
    restore_non_finite(parsed, quoted.has_value());
    return parsed;
  } catch (const nlohmann::json::exception& error) {
    throw Error(ErrorCode::kCorruptFile,
                fmt::format("is not JSON: {}", printable(error.what(), 160)),
                "download or copy it again");
  }
}

nlohmann::json read_json_file(const std::filesystem::path& path) {
  const std::string text = read_text_file(path);
  return with_context(printable(path.native(), 300), [&] { return parse_json(text); });
}

nlohmann::json json_object_if_there(const std::filesystem::path& path) {
  if (!std::filesystem::exists(path)) return nlohmann::json::object();
  nlohmann::json parsed = read_json_file(path);
  if (parsed.is_object()) return parsed;
  throw Error(ErrorCode::kCorruptFile, "is not a JSON object", "download or copy it again")
      .at(printable(path.native(), 300));
}

}  // namespace pajamas::model
