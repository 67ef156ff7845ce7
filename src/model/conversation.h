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

#include "base/parallel.h"
#include "model/text_model.h"
#include "text/answer.h"

namespace pajamas::model {

// A message of the user, and all up to the next one: answers, calls of tools, results of those.
struct Turn {
  std::vector<nlohmann::ordered_json> messages;  // at least the user's

  bool answered() const;  // the last one is the model's
};

struct ConversationOptions {
  // No template: questions and answers are one text, each question on a line of its own.
  bool raw = false;
  nlohmann::ordered_json variables = nlohmann::ordered_json::object();  // of the template
  std::tm now{};  // for all turns, so that the beginning of the text stays what it is
  const StopFlag* stop = nullptr;  // of renderings; null: never
};

// Refers to `model`, which must outlive it.
class Conversation {
 public:
  Conversation(const TextModel& model, ConversationOptions options);

  std::string system() const;  // its text; empty: none
  void set_system(const std::string& text);
  std::span<const Turn> turns() const noexcept { return turns_; }
  // How many of them, the oldest, the context has no room for any more.
  std::size_t dropped() const noexcept { return first_; }

  // The text must be UTF-8.
  void ask(const std::string& question);
  // The last turn's answer; it must have been asked.
  void answer(const text::Answer& answer);
  // Forgets the last turn, or the answer that it ends with, which can be put back.
  void take_back();
  std::optional<nlohmann::ordered_json> take_back_answer();
  void put_back_answer(nlohmann::ordered_json message);
  // Forgets the turns, not the system message nor what a file said of tools and options.
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
  // "reasoning_content" and arguments of calls as what they mean; all turns, dropped ones too.
  // Tools and options of a file that was read go along. parse_chat_request reads it: render_chat of
  // that gives what `tokens` stands for.
  std::string to_json(std::string_view model) const;
  // Takes the system message, turns, tools and options of such a text, or of an array of messages.
  // Options win over ConversationOptions::variables. Throws as parse_chat_request does, and
  // Error{kUnsupported} for messages that are no such conversation; nothing changes then.
  void load_json(std::string_view json);
  // Of the file that was read: unread_tools_note. Empty too for raw text.
  std::string unread_tools_note() const;

 private:
  std::vector<std::int32_t> tokens_from(std::size_t first,
                                        std::span<const std::int32_t> known) const;

  const TextModel* model_;
  ConversationOptions options_;
  nlohmann::ordered_json system_;  // a message; null: none
  std::vector<Turn> turns_;
  nlohmann::ordered_json tools_;  // null: none
  nlohmann::ordered_json file_options_ = nlohmann::ordered_json::object();
  std::size_t first_ = 0;
};

}  // namespace pajamas::model
