// The prompt of `run`: from its options, a file and what is piped in.
#pragma once

#include <optional>
#include <string>

#include "base/parallel.h"
#include "base/progress.h"

namespace pajamas::cli {

struct PromptOptions {
  std::optional<std::string> text;        // --prompt
  std::optional<std::string> positional;  // behind MODEL
  std::string file;                       // --file; "-" is standard input
};

// Whether the options have a prompt, so that nothing else has to be asked for.
bool has_prompt(const PromptOptions& options) noexcept;

// What was given by options: --prompt or the argument, then the file's text. Nothing where none
// was. Throws Error{kUsage} where both are given or the file is no text, and what reading throws.
std::optional<std::string> given_prompt(const PromptOptions& options, const StopFlag& stop);

// The same and, behind it, what standard input has where that is no terminal: texts are joined by
// an empty line, and lose the line end that a shell or an editor put there. A pipe that stays
// silent is told of. Throws Error{kUsage} for an empty prompt or one that is no UTF-8,
// Error{kInterrupted}, Error{kIo}.
std::string whole_prompt(const PromptOptions& options, Progress& progress, const StopFlag& stop);

}  // namespace pajamas::cli
