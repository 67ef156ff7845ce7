#include "base/partial.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <signal.h>
#include <stdio.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <charconv>
#include <cstring>
#include <string>

#include "base/error.h"
#include "base/os.h"
#include "base/place.h"

namespace pajamas::internal {
namespace {

namespace fs = std::filesystem;

std::string partial_prefix(const fs::path& path) {
  return fmt::format(".{}.partial-", path.filename().native());
}

bool process_exists(pid_t pid) noexcept { return ::kill(pid, 0) == 0 || errno == EPERM; }

// A lock dies with its process, in whatever container and with whatever number that ran; the number
// decides only where the file system has no locks. The lock is held until the file is gone, so that
// a process that has just created one of this name notices.
void remove_if_stale(const fs::path& partial, pid_t pid) {
  const int fd = ::open(partial.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOFOLLOW);
  if (fd < 0) return;
  const bool locked = ::flock(fd, LOCK_EX | LOCK_NB) == 0;
  const bool in_use = !locked && errno == EWOULDBLOCK;
  std::error_code ignored;
  if (locked || (!in_use && !process_exists(pid))) fs::remove_all(partial, ignored);
  ::close(fd);
}

// Where file systems cannot do it in one step. What stood at `path` is kept until the new name
// holds.
void replace_in_steps(const fs::path& partial, const fs::path& path) {
  if (!fs::is_directory(fs::symlink_status(path))) {
    if (::rename(partial.c_str(), path.c_str()) == 0) return;
    throw_write_error(path, "cannot rename into place", errno);
  }
  const fs::path old = partial.native() + ".old";
  if (::rename(path.c_str(), old.c_str()) != 0) {
    throw_write_error(path, "cannot move the old folder away", errno);
  }
  if (::rename(partial.c_str(), path.c_str()) != 0) {
    const int code = errno;
    (void)!::rename(old.c_str(), path.c_str());
    throw_write_error(path, "cannot rename into place", code);
  }
  std::error_code ignored;
  fs::remove_all(old, ignored);
}

}  // namespace

bool is_lack_of_space(int code) noexcept {
  return code == ENOSPC || code == EDQUOT || code == EFBIG;
}

void throw_write_error(const fs::path& path, std::string_view what, int code) {
  if (is_lack_of_space(code)) {
    throw Error(ErrorCode::kNoSpace, fmt::format("{}: {}", what, std::strerror(code)),
                code == EFBIG ? "a limit on the size of files is in the way (`ulimit -f`, or the "
                                "file system's); nothing was left behind"
                              : "free some space or choose another disk; nothing was left behind")
        .at(place_of(path));
  }
  throw Error(ErrorCode::kIo, fmt::format("{}: {}", what, std::strerror(code)),
              "check the folder's permissions")
      .at(place_of(path));
}

fs::path parent_of(const fs::path& path) {
  const fs::path parent = path.parent_path();
  return parent.empty() ? fs::path(".") : parent;
}

fs::path partial_name(const fs::path& path) {
  return parent_of(path) / fmt::format("{}{}", partial_prefix(path), ::getpid());
}

std::vector<fs::path> create_parents(const fs::path& path) {
  const fs::path parent = parent_of(path);
  std::error_code code;
  std::vector<fs::path> created;
  if (fs::is_directory(parent, code)) return created;
  if (parent.has_filename() && parent != path) created = create_parents(parent);
  if (fs::create_directory(parent, code)) created.push_back(parent);
  if (code) {
    remove_parents(created);
    throw_write_error(parent, "cannot create the folder", code.value());
  }
  sync_folder(parent_of(parent));
  return created;
}

void remove_parents(const std::vector<fs::path>& created) noexcept {
  for (auto folder = created.rbegin(); folder != created.rend(); ++folder) {
    if (::rmdir(folder->c_str()) != 0) return;
  }
}

void sync_folder(const fs::path& folder) {
  const int fd = ::open(folder.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (fd < 0) throw_write_error(folder, "cannot open the folder", errno);
  const int status = os::sync(fd);
  const int code = errno;
  ::close(fd);
  // Some file systems cannot sync a folder and say so; their renames need none.
  if (status != 0 && code != EINVAL) throw_write_error(folder, "cannot sync the folder", code);
}

bool lock_partial(int fd) noexcept {
  if (::flock(fd, LOCK_EX | LOCK_NB) != 0) return errno != EWOULDBLOCK;
  struct stat status {};
  return ::fstat(fd, &status) != 0 || status.st_nlink > 0;
}

void remove_stale_partials(const fs::path& path) noexcept try {
  const std::string prefix = partial_prefix(path);
  for (const fs::directory_entry& entry : fs::directory_iterator(parent_of(path))) {
    const std::string name = entry.path().filename().native();
    if (!name.starts_with(prefix)) continue;
    pid_t pid = 0;
    const char* last = name.data() + name.size();
    const auto [end, failure] = std::from_chars(name.data() + prefix.size(), last, pid);
    if (failure != std::errc{} || (end != last && std::string_view(end, last) != ".old")) continue;
    remove_if_stale(entry.path(), pid);
  }
} catch (const std::exception&) {  // it is only tidying up
}

void rename_into_place(const fs::path& partial, const fs::path& path, bool replace) {
  int code = os::rename_to_nothing(partial.c_str(), path.c_str());
  if (code == 0) return;
  const bool unknown = code == EINVAL || code == ENOSYS;
  if (unknown ? !replace && fs::exists(fs::symlink_status(path)) : code == EEXIST && !replace) {
    throw Error(ErrorCode::kExists, "appeared while this ran", "give --force to replace it")
        .at(place_of(path));
  }
  if (!unknown && code != EEXIST) throw_write_error(path, "cannot rename into place", code);
  if (!unknown) {
    code = os::exchange_names(partial.c_str(), path.c_str());
    if (code == 0) {
      std::error_code ignored;
      fs::remove_all(partial, ignored);
      return;
    }
    if (code != EINVAL) throw_write_error(path, "cannot exchange with the new one", code);
  }
  replace_in_steps(partial, path);
}

}  // namespace pajamas::internal
