// Reasoning between tags: <think>...</think> answer.
#include <algorithm>
#include <utility>

#include "text/answer_machine.h"

namespace pajamas::text {
namespace {

constexpr std::string_view kBlanks = " \t\r\n";
constexpr std::string_view kLineEnds = "\r\n";
constexpr std::size_t kPromptTail = 64;  // tokens in which a tag and the space behind it fit

// Length of the longest end of `text` that `tag` begins with, the whole tag left out.
std::size_t begun(std::string_view text, std::string_view tag) {
  for (std::size_t n = std::min(text.size(), tag.size() - 1); n > 0; --n) {
    if (text.ends_with(tag.substr(0, n))) return n;
  }
  return 0;
}

std::string_view without_line_ends(std::string_view text) {
  return text.substr(0, text.find_last_not_of(kLineEnds) + 1);
}

class TagMachine final : public AnswerSplitter::Machine {
 public:
  TagMachine(const AnswerFormat& format, std::optional<std::int32_t> open_token, bool opened)
      : open_(format.open),
        close_(format.close),
        open_token_(open_token),
        reasoning_(opened),
        fresh_(opened) {}

  void push(std::int32_t token, std::string_view bytes) override {
    // Amid an answer the word may be about tags; the token of its own is one.
    if (!reasoning_ && !at_start_ && open_token_ == token) {
      open();
      return;
    }
    pending_ += bytes;
    while (reasoning_ ? reason() : content()) {
    }
  }

  void finish() override {
    const std::string rest = std::exchange(pending_, {});
    if (reasoning_) {
      reasoned(without_line_ends(rest));
    } else {
      emit(AnswerPart::kContent, rest);
    }
  }

  bool in_reasoning() const noexcept override { return reasoning_; }

 private:
  void open() {
    reasoning_ = true;
    fresh_ = true;
    gap_ = !answer_.reasoning.empty();
  }

  void close() {
    reasoning_ = false;
    at_start_ = true;
    fresh_ = true;
  }

  // The line ends around the tags are no part of either text.
  void drop_leading_line_ends() {
    if (!fresh_) return;
    pending_.erase(0, std::min(pending_.find_first_not_of(kLineEnds), pending_.size()));
    fresh_ = pending_.empty();
  }

  void reasoned(std::string_view text) {
    if (!text.empty() && std::exchange(gap_, false)) emit(AnswerPart::kReasoning, "\n\n");
    emit(AnswerPart::kReasoning, text);
  }

  // Each of these two deals with what is pending and returns whether the other is to go on.
  bool reason() {
    drop_leading_line_ends();
    const std::size_t at = pending_.find(close_);
    if (at != std::string::npos) {
      reasoned(without_line_ends(std::string_view(pending_).substr(0, at)));
      pending_.erase(0, at + close_.size());
      close();
      return true;
    }
    const std::string_view all = pending_;
    const std::size_t sure =
        without_line_ends(all.substr(0, all.size() - begun(all, close_))).size();
    reasoned(all.substr(0, sure));
    pending_.erase(0, sure);
    return false;
  }

  bool content() {
    drop_leading_line_ends();
    if (at_start_) {
      const std::size_t at = pending_.find_first_not_of(kBlanks);
      if (at == std::string::npos) return false;
      const std::string_view word = std::string_view(pending_).substr(at);
      if (word.starts_with(open_)) {
        pending_.erase(0, at + open_.size());
        open();
        return true;
      }
      if (open_.starts_with(word)) return false;
      at_start_ = false;
    }
    emit(AnswerPart::kContent, pending_);
    pending_.clear();
    return false;
  }

  const std::string_view open_, close_;
  const std::optional<std::int32_t> open_token_;
  bool reasoning_;
  bool at_start_ = true;  // no content yet since the turn or the reasoning ended
  bool fresh_;            // line ends that come now are dropped
  bool gap_ = false;      // the reasoning that comes now is a paragraph of its own
  std::string pending_;
};

}  // namespace

std::unique_ptr<AnswerSplitter::Machine> make_tag_machine(const Tokenizer& tokenizer,
                                                          const AnswerFormat& format,
                                                          std::span<const std::int32_t> prompt) {
  const std::string tail =
      tokenizer.decode(prompt.subspan(prompt.size() - std::min(prompt.size(), kPromptTail)));
  const std::string_view end = std::string_view(tail).substr(0, tail.find_last_not_of(kBlanks) + 1);
  return std::make_unique<TagMachine>(format, tokenizer.find_token(format.open),
                                      end.ends_with(format.open));
}

}  // namespace pajamas::text
