#include "model/conversation.h"

#include <fmt/format.h>

#include <algorithm>

#include "base/error.h"
#include "model/chat.h"
#include "model/chat_messages.h"
#include "text/encode_after.h"

namespace pajamas::model {

using nlohmann::ordered_json;

Conversation::Conversation(const TextModel& model, ConversationOptions options)
    : model_(&model), options_(std::move(options)) {}

bool Turn::answered() const { return messages.back().value("role", "") == "assistant"; }

std::string Conversation::system() const {
  if (system_.is_null()) return {};
  return text_of_content(system_.value("content", ordered_json())).value_or("");
}

void Conversation::set_system(const std::string& text) {
  system_ = nullptr;
  if (!text.empty()) system_ = {{"role", "system"}, {"content", text}};
}

void Conversation::ask(const std::string& question) {
  turns_.emplace_back().messages.push_back({{"role", "user"}, {"content", question}});
}

void Conversation::answer(const text::Answer& answer) {
  put_back_answer(history_message(model_->chat(), answer));
}

void Conversation::put_back_answer(ordered_json message) {
  PJ_CHECK(!turns_.empty());
  turns_.back().messages.push_back(std::move(message));
}

void Conversation::take_back() {
  PJ_CHECK(!turns_.empty());
  turns_.pop_back();
  first_ = std::min(first_, turns_.size());
}

std::optional<ordered_json> Conversation::take_back_answer() {
  PJ_CHECK(!turns_.empty());
  std::vector<ordered_json>& messages = turns_.back().messages;
  if (!turns_.back().answered()) return std::nullopt;
  ordered_json answer = std::move(messages.back());
  messages.pop_back();
  return answer;
}

void Conversation::reset() {
  turns_.clear();
  first_ = 0;
}

std::vector<std::int32_t> Conversation::tokens(std::span<const std::int32_t> known) const {
  return tokens_from(first_, known);
}

std::vector<std::int32_t> Conversation::tokens_from(std::size_t first,
                                                    std::span<const std::int32_t> known) const {
  if (options_.raw) {
    std::string text;
    for (std::size_t i = first; i < turns_.size(); ++i) {
      if (i > first) text += '\n';
      for (const ordered_json& message : turns_[i].messages) {
        text += text_of_content(message.value("content", ordered_json())).value_or("");
      }
    }
    const std::optional<std::int32_t> bos = model_->first_token();
    if (!bos) return text::encode_after(model_->tokenizer(), known, text, true);
    if (!known.empty()) known = known.front() == *bos ? known.subspan(1) : known.first(0);
    std::vector<std::int32_t> ids = text::encode_after(model_->tokenizer(), known, text, true);
    ids.insert(ids.begin(), *bos);
    return ids;
  }
  ordered_json messages = ordered_json::array();
  if (!system_.is_null()) messages.push_back(system_);
  for (std::size_t i = first; i < turns_.size(); ++i) {
    for (const ordered_json& message : turns_[i].messages) messages.push_back(message);
  }
  ordered_json variables = options_.variables;
  variables.update(file_options_);
  return text::encode_after(
      model_->tokenizer(), known,
      render_chat(model_->chat(), messages, tools_, variables, true, options_.now, options_.stop));
}

std::string Conversation::unread_tools_note() const {
  return options_.raw ? std::string() : model::unread_tools_note(model_->chat(), tools_);
}

std::vector<std::int32_t> Conversation::fit(std::span<const std::int32_t> known,
                                            std::uint64_t context, std::uint64_t reserve) {
  PJ_CHECK(!turns_.empty() && first_ < turns_.size());
  std::vector<std::int32_t> ids = tokens(known);
  if (ids.size() + reserve <= context) return ids;
  const std::uint64_t most = std::min(context / 2, context - std::min(reserve, context));
  // The least number of turns to drop, of those that leave the last one.
  std::size_t first = first_;
  std::size_t last = turns_.size() - 1;
  while (first < last) {
    const std::size_t middle = first + (last - first) / 2;
    if (tokens_from(middle, known).size() <= most) {
      last = middle;
    } else {
      first = middle + 1;
    }
  }
  ids = tokens_from(first, known);
  if (ids.size() >= context) {
    throw Error(
        ErrorCode::kUsage,
        fmt::format("{} {} tokens and the context holds {}",
                    system_.is_null() ? "the message takes" : "message and system message take",
                    ids.size(), context),
        "use a larger --ctx or a shorter message");
  }
  first_ = first;
  return ids;
}

}  // namespace pajamas::model
