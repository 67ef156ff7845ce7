#include "base/shared_library.h"

#include <dlfcn.h>

#include <system_error>
#ifdef __APPLE__
#include <mach-o/dyld.h>
#endif

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

fs::path program_folder() {
  std::error_code failed;
#ifdef __APPLE__
  char name[4096];
  std::uint32_t size = sizeof(name);
  if (_NSGetExecutablePath(name, &size) != 0) return {};
  const fs::path program = fs::canonical(name, failed);
#else
  const fs::path program = fs::read_symlink("/proc/self/exe", failed);
#endif
  return failed ? fs::path() : program.parent_path();
}

}  // namespace pajamas
