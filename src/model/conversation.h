// A conversation of several turns: what was said, and the tokens that stand for it.
#pragma once

#include <cstdint>
#include <ctime>
#include <nlohmann/json.hpp>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "model/text_assets.h"
#include "text/answer.h"
#include "text/tokenizer.h"

namespace pajamas::model {

struct Turn {
  std::string question;
  std::optional<text::Answer> answer;  // none yet
};

struct ConversationOptions {
  // No template: questions and answers are one text, each question on a line of its own.
  bool raw = false;
  nlohmann::ordered_json variables = nlohmann::ordered_json::object();  // of the template
  std::tm now{};  // for all turns, so that the beginning of the text stays what it is
};

// Refers to `assets`, which must outlive it.
class Conversation {
 public:
  Conversation(const TextAssets& assets, text::Tokenizer tokenizer, ConversationOptions options);

  const std::string& system() const noexcept { return system_; }  // empty: none
  void set_system(std::string text) { system_ = std::move(text); }
  std::span<const Turn> turns() const noexcept { return turns_; }
  // How many of them, the oldest, the context has no room for any more.
  std::size_t dropped() const noexcept { return first_; }

  // The text must be UTF-8.
  void ask(std::string question);
  // The last turn's answer; it must have been asked.
  void answer(text::Answer answer);
  // Forgets the last turn, or its answer.
  void take_back();
  void take_back_answer();
  // Forgets the turns, not the system message.
  void reset();

  // The turns that are not dropped, up to where the model goes on. `known` are tokens that the
  // model may have seen already (text::encode_after). Throws as render_chat and encode do.
  std::vector<std::int32_t> tokens(std::span<const std::int32_t> known = {}) const;

  // The same for a context of `context` positions. Where fewer than `reserve` are left for an
  // answer, the oldest turns are dropped, never the system message nor the last turn, until half
  // of the context is free: every drop changes the beginning of the text, which has to run again.
  // Throws Error{kUsage}, and drops nothing, where the last turn alone leaves no room at all.
  std::vector<std::int32_t> fit(std::span<const std::int32_t> known, std::uint64_t context,
                                std::uint64_t reserve);

  // {"model": ..., "messages": [...]}, as OpenAI's interface takes it, with the reasoning as
  // "reasoning_content"; all turns, dropped ones too.
  std::string to_json(std::string_view model) const;
  // Takes the system message and turns of such a text, or of an array of messages. Throws
  // Error{kCorruptFile} for what is not JSON, kUnsupported for messages that are no such
  // conversation; nothing changes then.
  void load_json(std::string_view json);

 private:
  std::vector<std::int32_t> tokens_from(std::size_t first,
                                        std::span<const std::int32_t> known) const;

  const TextAssets* assets_;
  text::Tokenizer tokenizer_;
  ConversationOptions options_;
  std::string system_;
  std::vector<Turn> turns_;
  std::size_t first_ = 0;
};

}  // namespace pajamas::model
