#include "model/json_file.h"

#include <nlohmann/json.hpp>

#include "base/error.h"
#include "base/file.h"

namespace pajamas::model {

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
