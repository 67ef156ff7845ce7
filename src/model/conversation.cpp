#include "model/conversation.h"

#include <fmt/format.h>

#include <algorithm>

#include "base/error.h"
#include "model/chat.h"
#include "text/encode_after.h"
#include "text/utf8.h"

namespace pajamas::model {

using nlohmann::ordered_json;

Conversation::Conversation(const TextAssets& assets, text::Tokenizer tokenizer,
                           ConversationOptions options)
    : assets_(&assets), tokenizer_(std::move(tokenizer)), options_(std::move(options)) {}

void Conversation::ask(std::string question) { turns_.push_back({std::move(question), {}}); }

void Conversation::answer(text::Answer answer) {
  PJ_CHECK(!turns_.empty());
  turns_.back().answer = std::move(answer);
}

void Conversation::take_back() {
  PJ_CHECK(!turns_.empty());
  turns_.pop_back();
  first_ = std::min(first_, turns_.size());
}

void Conversation::take_back_answer() {
  PJ_CHECK(!turns_.empty());
  turns_.back().answer.reset();
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
      text += turns_[i].question;
      if (turns_[i].answer) text += text::utf8_lossy(turns_[i].answer->content);
    }
    if (!assets_->add_bos || !assets_->special.bos) {
      return text::encode_after(tokenizer_, known, text, true);
    }
    const std::int32_t bos = *assets_->special.bos;
    if (!known.empty()) known = known.front() == bos ? known.subspan(1) : known.first(0);
    std::vector<std::int32_t> ids = text::encode_after(tokenizer_, known, text, true);
    ids.insert(ids.begin(), bos);
    return ids;
  }
  ordered_json messages = ordered_json::array();
  if (!system_.empty()) messages.push_back({{"role", "system"}, {"content", system_}});
  for (std::size_t i = first; i < turns_.size(); ++i) {
    messages.push_back({{"role", "user"}, {"content", turns_[i].question}});
    if (turns_[i].answer) messages.push_back(history_message(*assets_, *turns_[i].answer));
  }
  return text::encode_after(
      tokenizer_, known,
      render_chat(*assets_, messages, ordered_json(), options_.variables, true, options_.now));
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
                    system_.empty() ? "the message takes" : "message and system message take",
                    ids.size(), context),
        "use a larger --ctx or a shorter message");
  }
  first_ = first;
  return ids;
}

}  // namespace pajamas::model
