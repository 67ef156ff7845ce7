// Scripts that teach a shell the commands, the options and their values, out of the definitions
// that --help prints.
#pragma once

#include <string>
#include <vector>

#include "cli/command_line.h"

namespace pajamas::cli {

// What a shell can offer where a value is expected.
struct Values {
  enum class Kind { kNone, kFiles, kWords };
  Kind kind = Kind::kNone;
  std::vector<std::string> words;  // of kWords
  bool list = false;               // several with commas between them
};
Values values_of(const Command& app, const Option& option);

// The beginning of an option's or command's description that fits beside it.
std::string short_description(const std::string& description);

std::string bash_completion(const Command& app);
std::string zsh_completion(const Command& app);
std::string fish_completion(const Command& app);

}  // namespace pajamas::cli
