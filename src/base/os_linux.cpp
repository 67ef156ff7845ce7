#ifdef __linux__
#include <fcntl.h>
#include <fmt/format.h>
#include <grp.h>
#include <linux/close_range.h>
#include <linux/fs.h>
#include <signal.h>
#include <stdio.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <system_error>

#include "base/os.h"

namespace pajamas::os {

int rename_to_nothing(const char* from, const char* to) noexcept {
  return ::renameat2(AT_FDCWD, from, AT_FDCWD, to, RENAME_NOREPLACE) == 0 ? 0 : errno;
}

int exchange_names(const char* from, const char* to) noexcept {
  return ::renameat2(AT_FDCWD, from, AT_FDCWD, to, RENAME_EXCHANGE) == 0 ? 0 : errno;
}

int open_direct(const char* path, int flags) noexcept { return ::open(path, flags | O_DIRECT); }

bool set_direct(int fd, bool direct) noexcept {
  const int flags = ::fcntl(fd, F_GETFL);
  return flags >= 0 && ::fcntl(fd, F_SETFL, direct ? flags | O_DIRECT : flags & ~O_DIRECT) == 0;
}

int open_unnamed(const char* folder) noexcept {
  return ::open(folder, O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);
}

int open_in_memory(const char* name) noexcept { return ::memfd_create(name, MFD_CLOEXEC); }

// Falls back to writing zeros where the file system cannot reserve.
int reserve(int fd, std::uint64_t bytes) noexcept {
  int code = EINTR;
  while (code == EINTR) code = ::posix_fallocate(fd, 0, static_cast<off_t>(bytes));
  return code;
}

void start_reading(int fd, std::uint64_t offset, std::uint64_t length) noexcept {
  (void)::posix_fadvise(fd, static_cast<off_t>(offset), static_cast<off_t>(length),
                        POSIX_FADV_WILLNEED);
}

void start_writing(int fd, std::uint64_t offset) noexcept {
  // A length of 0: to the end.
  (void)::sync_file_range(fd, static_cast<off_t>(offset), 0, SYNC_FILE_RANGE_WRITE);
}

void leave_cache(int fd) noexcept { (void)::posix_fadvise(fd, 0, 0, POSIX_FADV_DONTNEED); }

int sync(int fd) noexcept { return ::fsync(fd); }

int sync_contents(int fd) noexcept { return ::fdatasync(fd); }

bool has_cached_byte(int fd, std::uint64_t offset) noexcept {
  char byte = 0;
  const iovec to{&byte, 1};
  return ::preadv2(fd, &to, 1, static_cast<off_t>(offset), RWF_NOWAIT) == 1;
}

bool may_write(int fd) noexcept try {
  return ::faccessat(AT_FDCWD, fmt::format("/proc/self/fd/{}", fd).c_str(), W_OK, AT_EACCESS) == 0;
} catch (const std::exception&) {
  return false;
}

bool pages_in_memory(const void* address, std::size_t length,
                     std::span<unsigned char> pages) noexcept {
  return ::mincore(const_cast<void*>(address), length, pages.data()) == 0;
}

int make_pipe(int ends[2], bool blocking) noexcept {
  return ::pipe2(ends, O_CLOEXEC | (blocking ? 0 : O_NONBLOCK));
}

int make_socket_pair(int ends[2]) noexcept {
  return ::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends);
}

void close_at_exec(int first) noexcept {
  if (::syscall(SYS_close_range, first, ~0U, CLOSE_RANGE_CLOEXEC) == 0) return;
  ::rlimit most{};  // Linux before 5.11
  ::getrlimit(RLIMIT_NOFILE, &most);
  for (int fd = first; fd < static_cast<int>(std::min<::rlim_t>(most.rlim_cur, 1 << 16)); ++fd) {
    ::fcntl(fd, F_SETFD, FD_CLOEXEC);
  }
}

bool end_with_parent() noexcept { return ::prctl(PR_SET_PDEATHSIG, SIGKILL) == 0; }

bool become_user(unsigned user) noexcept {
  return ::setgroups(0, nullptr) == 0 && ::setresgid(user, user, user) == 0 &&
         ::setresuid(user, user, user) == 0;
}

void execute(char* const* arguments, char* const* environment) noexcept {
  ::execvpe(arguments[0], arguments, environment);
}

char** environment() noexcept { return ::environ; }

std::filesystem::path program_file() {
  std::error_code failed;
  std::filesystem::path program = std::filesystem::read_symlink("/proc/self/exe", failed);
  return failed ? std::filesystem::path() : program;
}

}  // namespace pajamas::os
#endif
