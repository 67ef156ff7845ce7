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

char lower_letter(char c) noexcept {
  return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c;
}

// Takes `start` away from the front, whatever the case of its letters.
bool take(std::string_view& text, std::string_view start) noexcept {
  if (text.size() < start.size()) return false;
  const bool same = std::equal(start.begin(), start.end(), text.begin(),
                               [](char a, char b) { return a == lower_letter(b); });
  if (same) text.remove_prefix(start.size());
  return same;
}

// "refs%2Fpr%2F1" is "refs/pr/1"; what is no such escape stays.
std::string unescaped(std::string_view text) {
  const auto digit = [](char c) {
    const char low = lower_letter(c);
    return low >= '0' && low <= '9' ? low - '0' : low >= 'a' && low <= 'f' ? low - 'a' + 10 : -1;
  };
  std::string out;
  for (std::size_t i = 0; i < text.size(); ++i) {
    if (text[i] == '%' && i + 2 < text.size() && digit(text[i + 1]) >= 0 &&
        digit(text[i + 2]) >= 0) {
      out += static_cast<char>(digit(text[i + 1]) * 16 + digit(text[i + 2]));
      i += 2;
    } else {
      out += text[i];
    }
  }
  return out;
}

std::string_view take_component(std::string_view& path) noexcept {
  const std::size_t slash = std::min(path.find('/'), path.size());
  const std::string_view component = path.substr(0, slash);
  path.remove_prefix(std::min(slash + 1, path.size()));
  return component;
}

bool is_gguf(std::string_view path) noexcept {
  constexpr std::string_view kEnd = ".gguf";
  if (path.size() <= kEnd.size()) return false;
  path.remove_prefix(path.size() - kEnd.size());
  return take(path, kEnd);
}

// What stands behind the host of an address.
std::optional<ModelId> parse_page(std::string_view path) {
  path = path.substr(0, path.find_first_of("?#"));
  while (path.ends_with('/')) path.remove_suffix(1);
  const std::string_view owner = take_component(path);
  const std::string_view name = take_component(path);
  // `hf.co/owner/name:Q4_K_M`, as other tools write it.
  std::optional<ModelId> id = parse_model_id(std::string(owner) + "/" + std::string(name));
  if (!id || owner == "datasets" || owner == "spaces" || owner == "models") return std::nullopt;
  if (path.empty()) return id;
  const std::string_view kind = take_component(path);
  if (kind != "tree" && kind != "blob" && kind != "resolve" && kind != "raw") return id;
  if (path.empty() || !id->file.empty()) return std::nullopt;
  id->revision = unescaped(take_component(path));
  if (id->revision == "refs") {  // refs/pr/1 and refs/convert/NAME
    for (int i = 0; i < 2; ++i) id->revision += "/" + unescaped(take_component(path));
  }
  if (!is_revision(id->revision)) return std::nullopt;
  const std::string file = unescaped(path);
  if (file.empty()) return id;
  if (!is_safe_path(file)) return std::nullopt;
  if (kind == "tree" || is_gguf(file)) id->file = file;
  return id;
}

}  // namespace

bool is_address(std::string_view text) noexcept {
  const std::size_t at = text.find("://");
  return at != std::string_view::npos && at > 0 &&
         std::all_of(text.begin(), text.begin() + static_cast<std::ptrdiff_t>(at), is_alphanumeric);
}

std::string ModelId::to_string() const {
  std::string text = repository();
  if (revision != kMainRevision) text += "@" + revision;
  if (!file.empty()) text += ":" + file;
  return text;
}

std::optional<ModelId> parse_model_id(std::string_view text) {
  std::string_view page = text;
  const bool address = take(page, "https://") || take(page, "http://");
  take(page, "www.");
  if (take(page, "huggingface.co/") || take(page, "hf.co/")) return parse_page(page);
  if (address) return std::nullopt;
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
