#include "hub/model_id.h"

#include <algorithm>
#include <array>

namespace pajamas::hub {
namespace {

constexpr std::size_t kMaxNameBytes = 96;
constexpr std::size_t kMaxRevisionBytes = 200;
constexpr std::size_t kMaxPathBytes = 1024;
constexpr std::size_t kMaxComponentBytes = 255;
constexpr std::string_view kMainRevision = "main";

bool is_alphanumeric(char c) noexcept {
  return (c >= '0' && c <= '9') || (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z');
}

bool is_name_byte(char c) noexcept {
  return is_alphanumeric(c) || c == '-' || c == '_' || c == '.';
}

bool contains(std::string_view text, std::string_view part) noexcept {
  return text.find(part) != std::string_view::npos;
}

// The hub's own rules.
bool is_name(std::string_view text) noexcept {
  return !text.empty() && std::ranges::all_of(text, is_name_byte) && !contains(text, "--") &&
         !contains(text, "..") && text.front() != '-' && text.front() != '.' &&
         text.back() != '-' && text.back() != '.';
}

// Names of files, not of repositories.
bool is_file_name(std::string_view name) noexcept {
  static constexpr std::array<std::string_view, 6> kSuffixes{".gguf", ".json", ".safetensors",
                                                             ".bin",  ".git",  ".txt"};
  return std::ranges::any_of(kSuffixes, [&](auto suffix) { return name.ends_with(suffix); });
}

bool is_revision(std::string_view text) noexcept {
  return !text.empty() && text.size() <= kMaxRevisionBytes && is_safe_path(text) &&
         std::ranges::all_of(text, [](char c) { return is_name_byte(c) || c == '/' || c == '+'; });
}

}  // namespace

std::string ModelId::to_string() const {
  std::string text = repository();
  if (revision != kMainRevision) text += "@" + revision;
  if (!file.empty()) text += ":" + file;
  return text;
}

std::optional<ModelId> parse_model_id(std::string_view text) {
  ModelId id;
  const std::size_t colon = text.find(':');
  if (colon != std::string_view::npos) {
    id.file = text.substr(colon + 1);
    if (!is_safe_path(id.file)) return std::nullopt;
    text = text.substr(0, colon);
  }
  const std::size_t at = text.find('@');
  if (at != std::string_view::npos) {
    id.revision = text.substr(at + 1);
    if (!is_revision(id.revision)) return std::nullopt;
    text = text.substr(0, at);
  }
  const std::size_t slash = text.find('/');
  if (slash == std::string_view::npos || text.size() > kMaxNameBytes) return std::nullopt;
  id.owner = text.substr(0, slash);
  id.name = text.substr(slash + 1);
  if (!is_name(id.owner) || !is_name(id.name) || is_file_name(id.name)) return std::nullopt;
  return id;
}

bool is_commit(std::string_view text) noexcept {
  return text.size() == 40 && std::ranges::all_of(text, [](char c) {
           return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f');
         });
}

bool is_safe_path(std::string_view path) noexcept {
  if (path.empty() || path.size() > kMaxPathBytes) return false;
  for (const char c : path) {
    if (static_cast<unsigned char>(c) < 0x20 || c == 0x7f || c == '\\') return false;
  }
  for (std::size_t at = 0; at <= path.size();) {
    const std::size_t end = std::min(path.find('/', at), path.size());
    const std::string_view component = path.substr(at, end - at);
    if (component.empty() || component.size() > kMaxComponentBytes || component == "." ||
        component == "..") {
      return false;
    }
    at = end + 1;
  }
  return true;
}

}  // namespace pajamas::hub
