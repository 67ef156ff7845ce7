// What a model says in one turn, taken apart: its reasoning, its answer and its calls of tools.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "text/tokenizer.h"

namespace pajamas::text {

// How a model sets its reasoning apart.
enum class ReasoningMarks {
  kNone,
  kTags,     // <think>...</think> before the answer
  kHarmony,  // messages on channels: <|channel|>analysis<|message|>...<|end|>
};

struct AnswerFormat {
  ReasoningMarks marks = ReasoningMarks::kNone;
  std::string_view open, close;  // of kTags
};

// Follows from which tokens exist and what the template writes, from no model's name.
// `chat_template` may be null.
AnswerFormat find_answer_format(const Tokenizer& tokenizer, const std::string* chat_template);

enum class AnswerPart { kReasoning, kContent, kToolCall };

struct ToolCall {
  std::string recipient;     // "functions.get_weather"
  std::string content_type;  // "json"; empty where the model named none
  std::string arguments;     // as generated
};

struct Answer {
  std::string reasoning;
  std::string content;
  std::vector<ToolCall> calls;
};

// Takes a turn apart while it is generated. Marks may be cut anywhere by token borders; of marks
// that are misused, the text comes out as content, so that none is lost. What comes out are bytes
// in which a character may be cut in two, never across parts.
class AnswerSplitter {
 public:
  using Emit = std::function<void(AnswerPart, std::string_view)>;

  // `prompt` is the conversation up to where the model goes on: it may have opened the reasoning.
  AnswerSplitter(Tokenizer tokenizer, const AnswerFormat& format,
                 std::span<const std::int32_t> prompt);
  AnswerSplitter(AnswerSplitter&&) noexcept;
  AnswerSplitter& operator=(AnswerSplitter&&) noexcept;
  ~AnswerSplitter();

  // One generated token. A kToolCall belongs to the last of `answer().calls`.
  void push(std::int32_t token, const Emit& emit);
  // The turn is over, or broken off.
  void finish(const Emit& emit);

  // What came out so far; complete after `finish`.
  const Answer& answer() const noexcept;
  // Tokens inside of the reasoning, its marks not counted.
  std::uint64_t reasoning_tokens() const noexcept;

  class Machine;

 private:
  Tokenizer tokenizer_;
  std::unique_ptr<Machine> machine_;
  std::uint64_t reasoning_tokens_ = 0;
};

}  // namespace pajamas::text
