// Scripts that teach a shell the commands, the options and their values, out of the definitions
// that --help prints.
#pragma once

#include <string>
#include <vector>

#include "cli/cli11_fwd.h"

namespace pajamas::cli {

// What a shell can offer where a value is expected.
struct Values {
  enum class Kind { kNone, kFiles, kWords };
  Kind kind = Kind::kNone;
  std::vector<std::string> words;  // of kWords
  bool list = false;               // several with commas between them
};
Values values_of(const CLI::App& app, const CLI::Option& option);

// Whether a value follows the option.
bool takes_value(const CLI::Option& option);

// The beginning of an option's or command's description that fits beside it.
std::string short_description(const std::string& description);

std::string bash_completion(const CLI::App& app);
std::string zsh_completion(const CLI::App& app);
std::string fish_completion(const CLI::App& app);

}  // namespace pajamas::cli
