// What a model makes of text: tokenizer, special tokens and chat templates, ready to use.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "model/chat_format.h"
#include "model/text_assets.h"
#include "text/answer.h"
#include "text/tokenizer.h"

namespace pajamas::model {

// Threads may share one.
class TextModel {
 public:
  // Models pad their vocabulary beyond what the tokenizer defines: ids below `vocab` are tokens,
  // the others without text. Throws as text::Tokenizer does; errors name assets.origin.
  explicit TextModel(TextAssets assets, std::uint64_t vocab = 0);

  const text::Tokenizer& tokenizer() const noexcept { return tokenizer_; }
  const SpecialTokens& special() const noexcept { return special_; }
  // Generation ends on any of these; sorted.
  const std::vector<std::int32_t>& stop() const noexcept { return stop_; }
  // The token that every text starts with, where it starts with one.
  std::optional<std::int32_t> first_token() const noexcept { return first_token_; }
  const ChatFormat& chat() const noexcept { return chat_; }
  // How an answer in a chat is taken apart.
  const text::AnswerFormat& answer_format() const noexcept { return answer_format_; }
  // What the user should know: what had to be guessed.
  const std::vector<std::string>& notes() const noexcept { return notes_; }

  // The ids of a text that stands for itself: behind first_token(), special tokens not parsed.
  // Throws as Tokenizer::encode does.
  std::vector<std::int32_t> encode(std::string_view utf8) const;

 private:
  SpecialTokens special_;
  std::vector<std::int32_t> stop_;
  std::optional<std::int32_t> first_token_;
  std::vector<std::string> notes_;
  ChatFormat chat_;
  text::Tokenizer tokenizer_;
  text::AnswerFormat answer_format_;
};

}  // namespace pajamas::model
