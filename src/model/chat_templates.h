// The chat templates that come with a model, and which of them a conversation takes.
#pragma once

#include <filesystem>
#include <map>
#include <nlohmann/json_fwd.hpp>
#include <string>

#include "io/gguf.h"

namespace pajamas::model {

// Sources by name, none of them empty: "default" is for every conversation, "tool_use", where it is
// there, for those with tools, and any other for who asks for it.
using ChatTemplates = std::map<std::string, std::string>;

// As transformers finds them in a directory: its files (chat_template_files); only where there are
// none, what tokenizer_config.json says (`tokenizer_config`, an object); and else
// chat_template.json. Throws Error{kCorruptFile} for one of these that cannot be read.
ChatTemplates read_chat_templates(const std::filesystem::path& folder,
                                  const nlohmann::json& tokenizer_config);

// Those that are files of their own: chat_template.jinja is the default one, and
// additional_chat_templates/ holds NAME.jinja for each other.
ChatTemplates chat_template_files(const std::filesystem::path& folder);
// Where such a file lies in the directory.
std::string chat_template_path(const std::string& name);

// What the key "chat_template" of such an object says: a text, a list of {name, template}, or an
// object of them by name.
ChatTemplates chat_templates_of(const nlohmann::json& object);
// The value of that key which says the same; `templates` has some.
nlohmann::ordered_json chat_template_json(const ChatTemplates& templates);

// GGUF's keys: tokenizer.chat_template for the default one, tokenizer.chat_template.NAME for each
// other, and the names of those in tokenizer.chat_templates.
ChatTemplates chat_templates_of(const io::GgufMetadata& metadata);
// Names have nothing but ASCII letters, digits and `_` there; other characters become `_`.
void add_chat_templates(const ChatTemplates& templates, io::GgufMetadata& metadata);

// The one for a conversation: with tools "tool_use" if there is one, else "default". Throws
// Error{kUnsupported} where there is no template, kUsage, naming them, where none is the default.
const std::string& chat_template_for(const ChatTemplates& templates, bool tools);

// Makes the template of that name the only one. Throws as above, and Error{kUsage} where there is
// no such name.
void choose_chat_template(ChatTemplates& templates, const std::string& name);

// All of them as one text, for what is known by the words that a model's templates use.
std::string all_chat_templates(const ChatTemplates& templates);

}  // namespace pajamas::model
