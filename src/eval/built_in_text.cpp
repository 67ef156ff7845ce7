#include "eval/built_in_text.h"

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <nlohmann/json.hpp>
#include <string>
#include <utility>

#include "base/error.h"
#include "base/json.h"
#include "eval/chat_prompt.h"
#include "eval/shipped.h"

namespace pajamas::eval {
namespace {

using nlohmann::ordered_json;

// Bytes [begin, end) of a dialogue.
struct Said {
  std::size_t begin = 0;
  std::size_t end = 0;
};

// Where the assistant's messages stand.
std::vector<Said> said_by_assistant(const ordered_json& messages, std::string_view dialogue) {
  std::vector<Said> said;
  std::size_t from = 0;
  for (const ordered_json& message : messages) {
    const auto& content = message.at("content").get_ref<const std::string&>();
    const std::size_t at = dialogue.find(content, from);
    if (at == std::string_view::npos) {
      throw Error(ErrorCode::kUnsupported,
                  "the model's chat template does not show what was said as it was said",
                  "leave chat out of --texts");
    }
    from = at + content.size();
    if (message.at("role") == "assistant") said.push_back({at, from});
  }
  return said;
}

Passage passage_of(const ordered_json& messages, const model::TextModel& model,
                   std::uint32_t context) {
  Passage passage;
  passage.tokens =
      model.tokenizer().encode(chat_text(model, messages, false), {.parse_special = true});
  const std::string bytes = model.tokenizer().decode(passage.tokens);
  const std::vector<Said> said = said_by_assistant(messages, bytes);
  passage.tokens.resize(std::min<std::size_t>(passage.tokens.size(), context));
  // A token belongs to what it ends in: it may begin with a blank of the template's.
  std::size_t end = 0;
  for (const std::int32_t token : passage.tokens) {
    end += model.tokenizer().token_bytes(token).size();
    passage.counts.push_back(std::ranges::any_of(
        said, [&](const Said& part) { return end > part.begin && end <= part.end; }));
  }
  return passage;
}

std::vector<Passage> chat_passages(const model::TextModel& model, const ScoreOptions& options) {
  if (model.chat().empty()) {
    throw Error(ErrorCode::kUnsupported, "the model has no chat template",
                "leave chat out of --texts");
  }
  std::vector<Passage> passages;
  for (std::string_view rest = chat_dialogues(); !rest.empty();) {
    const std::size_t end = std::min(rest.find('\n'), rest.size());
    passages.push_back(passage_of(parse_ordered_json(rest.substr(0, end)), model, options.context));
    rest.remove_prefix(std::min(end + 1, rest.size()));
  }
  check_passages(passages, options);
  return passages;
}

}  // namespace

std::vector<Passage> built_in_text(std::string_view name, const model::TextModel& model,
                                   const ScoreOptions& options) {
  PJ_CHECK(std::ranges::count(kBuiltInTexts, name) == 1);
  if (name == kChatText) return chat_passages(model, options);
  return cut_passages(model.encode(name == "code" ? code_text() : languages_text()), options);
}

}  // namespace pajamas::eval
