// Untested: compiled against Apple's headers (tools/check_macos.sh), never run (docs/macos.md).
#ifdef __APPLE__
#include "base/os.h"

#include <crt_externs.h>
#include <fcntl.h>
#include <grp.h>
#include <mach-o/dyld.h>
#include <stdio.h>
#include <sys/mman.h>
#include <sys/param.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdlib>
#include <system_error>

namespace pajamas::os {
namespace {

// What Linux says where a file system cannot rename so.
int rename_code(int result) noexcept {
  if (result == 0) return 0;
  return errno == ENOTSUP ? EINVAL : errno;
}

int close_ends_at_exec(int ends[2], bool blocking) noexcept {
  for (const int fd : {ends[0], ends[1]}) {
    const bool done = ::fcntl(fd, F_SETFD, FD_CLOEXEC) == 0 &&
                      (blocking || ::fcntl(fd, F_SETFL, O_NONBLOCK) == 0);
    if (done) continue;
    const int code = errno;
    ::close(ends[0]);
    ::close(ends[1]);
    errno = code;
    return -1;
  }
  return 0;
}

}  // namespace

int rename_to_nothing(const char* from, const char* to) noexcept {
  return rename_code(::renamex_np(from, to, RENAME_EXCL));
}

int exchange_names(const char* from, const char* to) noexcept {
  return rename_code(::renamex_np(from, to, RENAME_SWAP));
}

int open_direct(const char* path, int flags) noexcept {
  const int fd = ::open(path, flags);
  if (fd < 0 || set_direct(fd, true)) return fd;
  ::close(fd);
  return -1;
}

bool set_direct(int fd, bool direct) noexcept {
  return ::fcntl(fd, F_NOCACHE, direct ? 1 : 0) == 0;
}

int open_unnamed(const char*) noexcept {
  errno = EOPNOTSUPP;
  return -1;
}

int open_in_memory(const char*) noexcept {
  char name[] = "/tmp/pajamas-XXXXXX";  // there are no files in memory
  const int fd = ::mkostemp(name, O_CLOEXEC);
  if (fd >= 0) ::unlink(name);
  return fd;
}

int reserve(int fd, std::uint64_t bytes) noexcept {
  struct stat status {};
  if (::fstat(fd, &status) != 0) return errno;
  const auto wanted = static_cast<off_t>(bytes);
  if (status.st_size >= wanted) return 0;
  // In one piece where there is one. F_PREALLOCATE counts from the end of what is there.
  fstore_t store{};
  store.fst_flags = F_ALLOCATECONTIG | F_ALLOCATEALL;
  store.fst_posmode = F_PEOFPOSMODE;
  store.fst_length = wanted - status.st_size;
  if (::fcntl(fd, F_PREALLOCATE, &store) != 0) {
    store.fst_flags = F_ALLOCATEALL;
    // Where the file system cannot, a full disk is told when it is written to.
    if (::fcntl(fd, F_PREALLOCATE, &store) != 0 && errno != ENOTSUP && errno != EINVAL) {
      return errno;
    }
  }
  return ::ftruncate(fd, wanted) == 0 ? 0 : errno;
}

void start_reading(int fd, std::uint64_t offset, std::uint64_t length) noexcept {
  constexpr std::uint64_t kMost = 1u << 30;  // a count is an int
  for (std::uint64_t done = 0; done < length; done += kMost) {
    radvisory advice{};
    advice.ra_offset = static_cast<off_t>(offset + done);
    advice.ra_count = static_cast<int>(std::min(kMost, length - done));
    if (::fcntl(fd, F_RDADVISE, &advice) != 0) return;
  }
}

void start_writing(int, std::uint64_t) noexcept {}  // the system begins by itself

void leave_cache(int) noexcept {}  // nothing asks for it; F_NOCACHE keeps pages from coming in

// fsync leaves bytes in the disk's own memory.
int sync(int fd) noexcept { return ::fcntl(fd, F_FULLFSYNC) == 0 ? 0 : ::fsync(fd); }

int sync_contents(int fd) noexcept { return sync(fd); }

bool has_cached_byte(int, std::uint64_t) noexcept { return false; }

bool may_write(int fd) noexcept {
  char path[MAXPATHLEN];
  return ::fcntl(fd, F_GETPATH, path) == 0 && ::faccessat(AT_FDCWD, path, W_OK, AT_EACCESS) == 0;
}

bool pages_in_memory(const void* address, std::size_t length,
                     std::span<unsigned char> pages) noexcept {
  return ::mincore(address, length, reinterpret_cast<char*>(pages.data())) == 0;
}

int make_pipe(int ends[2], bool blocking) noexcept {
  return ::pipe(ends) == 0 ? close_ends_at_exec(ends, blocking) : -1;
}

int make_socket_pair(int ends[2]) noexcept {
  return ::socketpair(AF_UNIX, SOCK_STREAM, 0, ends) == 0 ? close_ends_at_exec(ends, true) : -1;
}

void close_at_exec(int first) noexcept {
  ::rlimit most{};
  ::getrlimit(RLIMIT_NOFILE, &most);
  for (int fd = first; fd < static_cast<int>(std::min<::rlim_t>(most.rlim_cur, 1 << 16)); ++fd) {
    ::fcntl(fd, F_SETFD, FD_CLOEXEC);
  }
}

bool end_with_parent() noexcept { return true; }  // whoever made it ends it (child_process.cpp)

bool become_user(unsigned user) noexcept {
  return ::setgroups(0, nullptr) == 0 && ::setgid(user) == 0 && ::setuid(user) == 0;
}

void execute(char* const* arguments, char* const* environment) noexcept {
  *_NSGetEnviron() = const_cast<char**>(environment);
  ::execvp(arguments[0], arguments);
}

char** environment() noexcept { return *_NSGetEnviron(); }

std::filesystem::path program_file() {
  char name[4096];
  std::uint32_t size = sizeof(name);
  if (_NSGetExecutablePath(name, &size) != 0) return {};
  std::error_code failed;
  std::filesystem::path program = std::filesystem::canonical(name, failed);
  return failed ? std::filesystem::path() : program;
}

}  // namespace pajamas::os
#endif
