// Facts: transformers 5.24, tokenization_utils_base.py (_from_pretrained, get_chat_template);
// gguf-py 0.19, gguf_writer.py add_chat_template.
#include "model/chat_templates.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <nlohmann/json.hpp>
#include <vector>

#include "base/error.h"
#include "base/file.h"
#include "base/suggest.h"
#include "model/json_file.h"

namespace pajamas::model {
namespace {

namespace fs = std::filesystem;
using nlohmann::json;
using nlohmann::ordered_json;

constexpr const char* kDefault = "default";
constexpr const char* kToolUse = "tool_use";
constexpr const char* kFile = "chat_template.jinja";
constexpr const char* kFolder = "additional_chat_templates";
constexpr std::string_view kEnding = ".jinja";
constexpr const char* kGgufDefault = "tokenizer.chat_template";
constexpr const char* kGgufNames = "tokenizer.chat_templates";
constexpr std::string_view kGgufPrefix = "tokenizer.chat_template.";

// What is empty says nothing. Of two with one name the later stands.
void put(ChatTemplates& templates, const std::string& name, std::string source) {
  if (!name.empty() && !source.empty()) templates.insert_or_assign(name, std::move(source));
}

void put(ChatTemplates& templates, const json& name, const json& source) {
  if (name.is_string() && source.is_string()) {
    put(templates, name.get<std::string>(), source.get<std::string>());
  }
}

std::string gguf_name(const std::string& name) {
  std::string plain;
  for (const char c : name) {
    const bool kept =
        (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_';
    if (kept) plain += c;
    // One for a character, however many bytes it has.
    if (!kept && (static_cast<unsigned char>(c) & 0xC0) != 0x80) plain += '_';
  }
  return plain;
}

std::vector<std::string_view> names_of(const ChatTemplates& templates) {
  std::vector<std::string_view> names;
  for (const auto& [name, source] : templates) names.push_back(name);
  return names;
}

void require_some(const ChatTemplates& templates) {
  if (!templates.empty()) return;
  throw Error(ErrorCode::kUnsupported, "the model has no chat template",
              "use it on plain text: run --raw, or tokenize --text");
}

}  // namespace

ChatTemplates read_chat_templates(const fs::path& folder, const json& tokenizer_config) {
  ChatTemplates templates = chat_template_files(folder);
  if (templates.empty()) templates = chat_templates_of(tokenizer_config);
  if (templates.empty()) {
    const json alone = json_object_if_there(folder / "chat_template.json");
    put(templates, json(kDefault), alone.value("chat_template", json()));
  }
  return templates;
}

ChatTemplates chat_template_files(const fs::path& folder) {
  ChatTemplates templates;
  if (const fs::path file = folder / kFile; fs::exists(file)) {
    put(templates, std::string(kDefault), read_text_file(file));
  }
  std::error_code none;
  for (const fs::directory_entry& entry : fs::directory_iterator(folder / kFolder, none)) {
    std::string name = entry.path().filename();
    if (!name.ends_with(kEnding) || !entry.is_regular_file(none)) continue;
    name.resize(name.size() - kEnding.size());
    put(templates, name, read_text_file(entry.path()));
  }
  return templates;
}

std::string chat_template_path(const std::string& name) {
  if (name == kDefault) return kFile;
  return fmt::format("{}/{}{}", kFolder, name, kEnding);
}

ChatTemplates chat_templates_of(const json& object) {
  ChatTemplates templates;
  const auto found = object.find("chat_template");
  if (found == object.end()) return templates;
  if (found->is_object()) {
    for (const auto& [name, source] : found->items()) put(templates, json(name), source);
  } else if (found->is_array()) {
    for (const json& entry : *found) {
      if (!entry.is_object()) continue;
      put(templates, entry.value("name", json()), entry.value("template", json()));
    }
  } else {
    put(templates, json(kDefault), *found);
  }
  return templates;
}

ordered_json chat_template_json(const ChatTemplates& templates) {
  PJ_CHECK(!templates.empty());
  if (templates.size() == 1 && templates.contains(kDefault)) return templates.at(kDefault);
  ordered_json list = ordered_json::array();
  for (const auto& [name, source] : templates) {
    list.push_back({{"name", name}, {"template", source}});
  }
  return list;
}

ChatTemplates chat_templates_of(const io::GgufMetadata& metadata) {
  ChatTemplates templates;
  if (const std::string* source = metadata.find_string(kGgufDefault)) {
    put(templates, std::string(kDefault), *source);
  }
  // Some files have them without the list of their names.
  for (const io::GgufPair& pair : metadata.pairs()) {
    if (!pair.key.starts_with(kGgufPrefix)) continue;
    put(templates, pair.key.substr(kGgufPrefix.size()), *metadata.find_string(pair.key));
  }
  return templates;
}

void add_chat_templates(const ChatTemplates& templates, io::GgufMetadata& metadata) {
  std::vector<std::string> names;
  for (const auto& [name, source] : templates) {
    if (name == kDefault) continue;
    std::string plain = gguf_name(name);
    while (std::ranges::find(names, plain) != names.end()) plain += '_';
    metadata.add(std::string(kGgufPrefix) + plain, source);
    names.push_back(std::move(plain));
  }
  if (!names.empty()) metadata.add(kGgufNames, io::GgufArray(std::move(names)));
  const auto found = templates.find(kDefault);
  if (found != templates.end()) metadata.add(kGgufDefault, found->second);
}

const std::string& chat_template_for(const ChatTemplates& templates, bool tools) {
  require_some(templates);
  for (const char* name : {kToolUse, kDefault}) {
    const auto found = templates.find(name);
    if (found != templates.end() && (tools || name == std::string_view(kDefault))) {
      return found->second;
    }
  }
  throw Error(ErrorCode::kUsage, "none of the model's chat templates is the default one",
              fmt::format("choose one with --chat-template: {}",
                          printable(fmt::format("{}", fmt::join(names_of(templates), ", ")))));
}

void choose_chat_template(ChatTemplates& templates, const std::string& name) {
  require_some(templates);
  auto found = templates.find(name);
  // A GGUF file keeps the names of its source no better.
  if (found == templates.end()) found = templates.find(gguf_name(name));
  if (found == templates.end()) {
    const auto names = names_of(templates);
    throw Error(ErrorCode::kUsage,
                fmt::format("the model has no chat template \"{}\"", printable(name, 60)),
                did_you_mean(name, names) +
                    fmt::format("it has {}", printable(fmt::format("{}", fmt::join(names, ", ")))))
        .at("--chat-template");
  }
  ChatTemplates chosen;
  chosen.emplace(kDefault, found->second);
  templates = std::move(chosen);
}

std::string all_chat_templates(const ChatTemplates& templates) {
  std::string all;
  for (const auto& [name, source] : templates) all += source + "\n";
  return all;
}

}  // namespace pajamas::model
