#include "base/system.h"

#include <pwd.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include <cerrno>
#include <chrono>
#include <cstring>
#include <string>
#include <vector>

#include "base/error.h"

namespace pajamas {
std::uint64_t free_disk_bytes(const std::filesystem::path& path) {
  std::error_code ignored;
  std::filesystem::path folder = std::filesystem::absolute(path, ignored);
  while (!std::filesystem::exists(folder, ignored) && folder.has_relative_path()) {
    folder = folder.parent_path();
  }
  struct statvfs status {};
  if (::statvfs(folder.c_str(), &status) != 0) {
    throw Error(ErrorCode::kIo, std::string("cannot ask for free space: ") + std::strerror(errno))
        .at(printable(folder.native(), 300));
  }
  return static_cast<std::uint64_t>(status.f_bavail) * status.f_frsize;
}

std::filesystem::path account_home() {
  std::vector<char> buffer(1024);
  passwd account{};
  passwd* found = nullptr;
  int code = 0;
  while ((code = ::getpwuid_r(::getuid(), &account, buffer.data(), buffer.size(), &found)) ==
         ERANGE) {
    buffer.resize(buffer.size() * 2);
  }
  return code == 0 && found != nullptr ? found->pw_dir : "";
}

double load_average() noexcept {
  double minute = 0;
  return ::getloadavg(&minute, 1) == 1 ? minute : -1;
}

double seconds_now() noexcept {
  return std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch()).count();
}

}  // namespace pajamas
