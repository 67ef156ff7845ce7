// Code that is looked for and loaded while the program runs.
#pragma once

#include <filesystem>
#include <memory>
#include <string>

namespace pajamas {

// Loaded for as long as the process lives: what came out of it may be used until then.
class SharedLibrary {
 public:
  // Null where it is not there or cannot be loaded; `why`, if given, then says in the linker's
  // words.
  static std::unique_ptr<SharedLibrary> load(const std::filesystem::path& path,
                                             std::string* why = nullptr);

  // The address of what has this name; null: nothing has.
  void* symbol(const char* name) const noexcept;

 private:
  explicit SharedLibrary(void* handle) noexcept : handle_(handle) {}

  void* handle_;
};

// The folder that this program was started from; empty where the system does not say.
std::filesystem::path program_folder();

}  // namespace pajamas
