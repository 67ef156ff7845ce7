#include "text/answer.h"

#include <array>
#include <utility>

#include "text/answer_machine.h"

namespace pajamas::text {
namespace {

struct Tags {
  std::string_view open, close;
};
constexpr std::array<Tags, 3> kTags{{
    {"<think>", "</think>"},
    {"[THINK]", "[/THINK]"},
    {"<seed:think>", "</seed:think>"},
}};

// Without marks all is content.
class PlainMachine final : public AnswerSplitter::Machine {
 public:
  void push(std::int32_t, std::string_view bytes) override { emit(AnswerPart::kContent, bytes); }
  void finish() override {}
  bool in_reasoning() const noexcept override { return false; }
};

}  // namespace

AnswerFormat find_answer_format(const Tokenizer& tokenizer, const std::string* chat_template) {
  const auto mentions = [&](std::string_view text) {
    return chat_template != nullptr && chat_template->find(text) != std::string::npos;
  };
  const auto is_special = [&](std::string_view text) {
    const auto id = tokenizer.find_token(text);
    return id && tokenizer.is_special(*id);
  };
  if (is_special("<|channel|>") && is_special("<|message|>") && mentions("<|channel|>")) {
    return {ReasoningMarks::kHarmony, {}, {}};
  }
  for (const Tags& tags : kTags) {
    if (mentions(tags.open) || mentions(tags.close)) {
      return {ReasoningMarks::kTags, tags.open, tags.close};
    }
  }
  for (const Tags& tags : kTags) {
    if (tokenizer.find_token(tags.open) && tokenizer.find_token(tags.close)) {
      return {ReasoningMarks::kTags, tags.open, tags.close};
    }
  }
  return {};
}

void AnswerSplitter::Machine::emit(AnswerPart part, std::string_view text) {
  if (text.empty()) return;
  std::string& whole = part == AnswerPart::kReasoning ? answer_.reasoning
                       : part == AnswerPart::kContent ? answer_.content
                                                      : answer_.calls.back().arguments;
  whole += text;
  if (emit_ != nullptr) (*emit_)(part, text);
}

AnswerSplitter::AnswerSplitter(Tokenizer tokenizer, const AnswerFormat& format,
                               std::span<const std::int32_t> prompt)
    : tokenizer_(std::move(tokenizer)) {
  switch (format.marks) {
    case ReasoningMarks::kNone:
      machine_ = std::make_unique<PlainMachine>();
      break;
    case ReasoningMarks::kTags:
      machine_ = make_tag_machine(tokenizer_, format, prompt);
      break;
    case ReasoningMarks::kHarmony:
      machine_ = make_harmony_machine(tokenizer_, prompt);
      break;
  }
}

AnswerSplitter::AnswerSplitter(AnswerSplitter&&) noexcept = default;
AnswerSplitter& AnswerSplitter::operator=(AnswerSplitter&&) noexcept = default;
AnswerSplitter::~AnswerSplitter() = default;

void AnswerSplitter::push(std::int32_t token, const Emit& emit) {
  const bool before = machine_->in_reasoning();
  machine_->send_to(&emit);
  machine_->push(token, tokenizer_.token_bytes(token));
  machine_->send_to(nullptr);
  if (before && machine_->in_reasoning()) ++reasoning_tokens_;
}

void AnswerSplitter::finish(const Emit& emit) {
  machine_->send_to(&emit);
  machine_->finish();
  machine_->send_to(nullptr);
}

const Answer& AnswerSplitter::answer() const noexcept { return machine_->answer(); }

std::uint64_t AnswerSplitter::reasoning_tokens() const noexcept { return reasoning_tokens_; }

}  // namespace pajamas::text
