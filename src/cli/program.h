// The program as its command line describes it: what is parsed, and how --help looks.
#pragma once

#include <functional>
#include <memory>
#include <string>

#include "cli/command_line.h"

namespace pajamas::cli {

class Program {
 public:
  // Must be given a command; --version prints "NAME VERSION".
  Program(const std::string& name, const std::string& version, const std::string& description);
  ~Program();
  Program(const Program&) = delete;
  Program& operator=(const Program&) = delete;

  // What commands and options are added to.
  Command root() const;

  // Parses the arguments, calls `before`, then the command's callback. False where --help or
  // --version was answered instead. Throws usage_error for what cannot be parsed, and what the
  // callbacks throw.
  bool run(int argc, const char* const* argv, const std::function<void()>& before);

 private:
  std::unique_ptr<CLI::App> app_;
};

}  // namespace pajamas::cli
