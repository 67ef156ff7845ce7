// Chat templates of Hugging Face checkpoints: the Jinja language as transformers sets it up.
#pragma once

#include <ctime>
#include <memory>
#include <nlohmann/json.hpp>
#include <string>
#include <string_view>

#include "jinja/budget.h"

namespace pajamas::jinja {
struct Program;
}

namespace pajamas::text {

using Json = nlohmann::ordered_json;

// A parsed template: immutable, so that threads may share it. What it writes equals jinja2 in
// transformers' immutable sandbox (trim_blocks, lstrip_blocks, loop controls, generation blocks,
// tojson as json.dumps, raise_exception, strftime_now). A template is recognised by nothing but
// its text. No template takes more than about 2 s or 256 MB beyond what the conversation itself
// takes (jinja/budget.h), whatever it holds.
class ChatTemplate {
 public:
  // Throws Error{kCorruptFile} where the source is not a template, Error{kUnsupported} where it
  // uses a construct that is not known or is too large; both name the line.
  explicit ChatTemplate(std::string source, const StopFlag* stop = nullptr);
  ~ChatTemplate();
  ChatTemplate(ChatTemplate&&) noexcept;
  ChatTemplate& operator=(ChatTemplate&&) noexcept;

  // `context` is an object of the variables that the template sees: messages, tools,
  // add_generation_prompt, bos_token, eos_token and any options. `now`, broken down into the
  // caller's local time, is what strftime_now formats.
  // Throws Error{kUsage} where the template refuses the conversation (raise_exception) or fails
  // on it, Error{kUnsupported} for a construct that is not supported and beyond the limits of time
  // and memory, Error{kInterrupted} soon after `stop` (null: never) is requested.
  std::string render(const Json& context, const std::tm& now, const StopFlag* stop = nullptr,
                     std::size_t max_steps = jinja::kMaxSteps) const;

  // Whether the template reads (or sets) a variable of that name.
  bool uses_variable(std::string_view name) const;

  const std::string& source() const noexcept { return source_; }

 private:
  std::string source_;
  std::unique_ptr<const jinja::Program> program_;
};

}  // namespace pajamas::text
