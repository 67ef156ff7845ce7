#include "base/shared_library.h"

#include <dlfcn.h>

#include "base/os.h"

namespace pajamas {

namespace fs = std::filesystem;

std::unique_ptr<SharedLibrary> SharedLibrary::load(const fs::path& path, std::string* why) {
  void* const handle = dlopen(path.c_str(), RTLD_NOW | RTLD_LOCAL);
  if (handle != nullptr) return std::unique_ptr<SharedLibrary>(new SharedLibrary(handle));
  const char* const text = dlerror();
  if (why != nullptr && text != nullptr) *why = text;
  return nullptr;
}

void* SharedLibrary::symbol(const char* name) const noexcept { return dlsym(handle_, name); }

fs::path program_folder() { return os::program_file().parent_path(); }

}  // namespace pajamas
