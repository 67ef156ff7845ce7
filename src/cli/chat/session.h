// A chat without its terminal: what each message and command does.
#pragma once

#include <cstdint>
#include <filesystem>
#include <string>

#include "cli/run_model.h"
#include "model/conversation.h"
#include "runtime/generate.h"

namespace pajamas::cli {

// Answers go to standard output, all else to standard error. Every member function leaves the
// conversation as it was where it throws. Refers to both arguments.
class ChatSession {
 public:
  ChatSession(RunModel& model, Context& context);

  // Throws Error{kUsage} for a message that does not fit the context, or that the template refuses.
  void say(std::string message);
  // Answers the last message again, by another seed. Throws Error{kUsage} where there is none.
  void regenerate();
  // Forgets the turns.
  void reset();
  // Throws Error{kUnsupported} where there is no template.
  void set_system(std::string text);
  std::string system() const { return conversation_.system(); }

  // Throws Error{kExists} unless `replace`, kIo, kNoSpace.
  void save(const std::filesystem::path& path, bool replace) const;
  // Throws Error{kNotFound, kCorruptFile, kUnsupported}.
  void load(const std::filesystem::path& path);

  std::string about() const;  // "tiny-qwen2: BF16, 8.4 MB, context 512"
  std::string fill() const;   // "12% of 4,096"
  std::string stats() const;  // lines of figures
  void write_stats() const;   // --stats

 private:
  bool go_on();
  // Renders the conversation for it, which a turn has no need of.
  void count_fill();

  RunModel& model_;
  Context& context_;
  model::Conversation conversation_;
  runtime::TextSession session_;
  std::uint64_t max_tokens_;
  std::uint64_t fill_ = 0;  // tokens
  std::uint64_t answers_ = 0;
  runtime::GenerateResult last_;
  runtime::GenerateResult all_;
  std::uint64_t reasoning_tokens_ = 0;
};

}  // namespace pajamas::cli
