// What the ways of marking reasoning have in common; inside of AnswerSplitter only.
#pragma once

#include <memory>
#include <optional>
#include <span>

#include "text/answer.h"

namespace pajamas::text {

class AnswerSplitter::Machine {
 public:
  virtual ~Machine() = default;
  Machine() = default;
  Machine(const Machine&) = delete;
  Machine& operator=(const Machine&) = delete;

  virtual void push(std::int32_t token, std::string_view bytes) = 0;
  virtual void finish() = 0;
  virtual bool in_reasoning() const noexcept = 0;

  const Answer& answer() const noexcept { return answer_; }
  // Who gets the text until the next call; null: nobody.
  void send_to(const Emit* emit) noexcept { emit_ = emit; }

 protected:
  void emit(AnswerPart part, std::string_view text);
  Answer answer_;

 private:
  const Emit* emit_ = nullptr;
};

std::unique_ptr<AnswerSplitter::Machine> make_tag_machine(const Tokenizer& tokenizer,
                                                          const AnswerFormat& format,
                                                          std::span<const std::int32_t> prompt);
std::unique_ptr<AnswerSplitter::Machine> make_harmony_machine(const Tokenizer& tokenizer,
                                                              std::span<const std::int32_t> prompt);

}  // namespace pajamas::text
