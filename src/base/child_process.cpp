#include "base/child_process.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <poll.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <chrono>
#include <cstring>
#include <optional>
#include <thread>
#include <utility>

#include "base/error.h"
#include "base/os.h"
#include "base/system.h"

namespace pajamas {
namespace {

constexpr ::uid_t kNobody = 65534;
constexpr int kChannel = 3;    // of the two programs
constexpr int kFarAway = 100;  // above all descriptors that a program is given
constexpr int kLookMilliseconds = 50;

[[noreturn]] void fail_child(const char* what, int code) {
  throw Error(ErrorCode::kIo, fmt::format("{}: {}", what, std::strerror(code)));
}

class Descriptor {
 public:
  explicit Descriptor(int fd = -1) noexcept : fd_(fd) {}
  Descriptor(Descriptor&& other) noexcept : fd_(std::exchange(other.fd_, -1)) {}
  Descriptor& operator=(Descriptor&& other) noexcept {
    std::swap(fd_, other.fd_);
    return *this;
  }
  ~Descriptor() { close(); }
  int get() const noexcept { return fd_; }
  void close() noexcept {
    if (fd_ >= 0) ::close(std::exchange(fd_, -1));
  }

 private:
  int fd_;
};

std::array<Descriptor, 2> pair_of(int result, const int* fds) {
  if (result != 0) fail_child("a pipe cannot be made", errno);
  return {Descriptor(fds[0]), Descriptor(fds[1])};
}

std::array<Descriptor, 2> pipe_of_two() {
  std::array<int, 2> fds{-1, -1};
  return pair_of(os::make_pipe(fds.data(), true), fds.data());
}

std::array<Descriptor, 2> make_channel() {
  std::array<int, 2> fds{-1, -1};
  return pair_of(os::make_socket_pair(fds.data()), fds.data());
}

// A file in memory, so that nobody has to feed a pipe.
Descriptor input_file(const std::string& text) {
  Descriptor file(os::open_in_memory("input"));
  if (file.get() < 0) fail_child("a file in memory cannot be made", errno);
  for (std::size_t done = 0; done < text.size();) {
    const ::ssize_t count = ::write(file.get(), text.data() + done, text.size() - done);
    if (count < 0 && errno == EINTR) continue;
    if (count <= 0) fail_child("a file in memory cannot be written", errno);
    done += static_cast<std::size_t>(count);
  }
  ::lseek(file.get(), 0, SEEK_SET);
  return file;
}

// What follows runs between fork and exec, where other threads are gone: system calls alone.
bool take_descriptors(int input, int output, int channel) noexcept {
  std::array<int, 4> wanted{input, output, output, channel};
  for (int& fd : wanted) {
    if (fd >= 0) fd = ::fcntl(fd, F_DUPFD_CLOEXEC, kFarAway);
  }
  for (int number = 0; number < 4; ++number) {
    const int fd = wanted[static_cast<std::size_t>(number)];
    if (fd < 0 && number == kChannel) {
      ::close(kChannel);
    } else if (::dup2(fd, number) < 0) {
      return false;
    }
  }
  return true;
}

bool take_limits(const ChildLimits& limits) noexcept {
  const auto set = [](auto which, std::uint64_t value) {
    const ::rlimit limit{value, value};
    return ::setrlimit(which, &limit) == 0;
  };
  return set(RLIMIT_CPU, limits.cpu_seconds) && set(RLIMIT_AS, limits.memory) &&
         set(RLIMIT_FSIZE, limits.file_bytes) && set(RLIMIT_NOFILE, limits.open_files) &&
         set(RLIMIT_CORE, 0);
}

bool drop_root() noexcept { return ::geteuid() != 0 || os::become_user(kNobody); }

void take_signals() noexcept {
  for (const int signal : {SIGPIPE, SIGXFSZ, SIGINT, SIGTERM, SIGHUP}) ::signal(signal, SIG_DFL);
  ::sigset_t none;
  sigemptyset(&none);  // a macro on macOS
  ::sigprocmask(SIG_SETMASK, &none, nullptr);
}

// Where it returns, errno says why.
void become(char* const* arguments, char* const* environment, int input, int output, int channel,
            int report, const ChildLimits& limits, ::pid_t parent) noexcept {
  ::setsid();
  take_signals();
  const int far_report = ::fcntl(report, F_DUPFD_CLOEXEC, kFarAway);
  const bool ready = take_descriptors(input, output, channel) && ::chdir("/") == 0 &&
                     (!limits.drop_root || drop_root()) && os::end_with_parent() &&
                     ::getppid() == parent;
  os::close_at_exec(kChannel + 1);
  if (ready && take_limits(limits)) os::execute(arguments, environment);
  const int code = errno;
  [[maybe_unused]] const ::ssize_t written = ::write(far_report, &code, sizeof(code));
  ::_Exit(127);
}

// A program that runs; killed and waited for at the end.
class Running {
 public:
  Running(const ChildProgram& program, int output, int channel, const ChildLimits& limits) {
    const Descriptor input = input_file(program.input);
    std::array<Descriptor, 2> report = pipe_of_two();
    std::vector<char*> arguments;
    for (const std::string& each : program.command) {
      arguments.push_back(const_cast<char*>(each.c_str()));
    }
    arguments.push_back(nullptr);
    std::array<char*, 1> empty{nullptr};
    char* const* environment = program.own_environment ? empty.data() : os::environment();
    const ::pid_t parent = ::getpid();
    pid_ = ::fork();
    if (pid_ < 0) fail_child("a process cannot be made", errno);
    if (pid_ == 0) {
      become(arguments.data(), environment, input.get(), output, channel, report[1].get(), limits,
             parent);
    }
    report[1].close();
    int code = 0;
    ::ssize_t count = 0;
    do {
      count = ::read(report[0].get(), &code, sizeof(code));
    } while (count < 0 && errno == EINTR);
    if (count <= 0) return;  // it runs
    end();
    if (code == ENOENT || code == EACCES) {  // the latter where a folder of PATH is out of reach
      throw Error(ErrorCode::kNotFound,
                  fmt::format("{} is not installed", printable(program.command.front(), 200)));
    }
    fail_child(printable(program.command.front(), 200).c_str(), code);
  }
  Running(const Running&) = delete;
  Running& operator=(const Running&) = delete;
  ~Running() { end(); }

  // Its status, once it is over.
  std::optional<int> poll() noexcept {
    if (pid_ < 0) return status_;
    int status = 0;
    if (::waitpid(pid_, &status, WNOHANG) != pid_) return std::nullopt;
    note(status);
    return status_;
  }

 private:
  void note(int status) noexcept {
    ::kill(-pid_, SIGKILL);  // what is left of its group
    pid_ = -1;
    status_ = WIFSIGNALED(status) ? 128 + WTERMSIG(status) : WEXITSTATUS(status);
  }
  void end() noexcept {
    if (pid_ < 0) return;
    ::kill(-pid_, SIGKILL);
    ::kill(pid_, SIGKILL);  // it may not have a group of its own yet
    int status = 0;
    while (::waitpid(pid_, &status, 0) < 0 && errno == EINTR) {
    }
    note(status);
  }

  ::pid_t pid_ = -1;
  int status_ = 0;
};

// What there is to read; false at the end.
bool read_some(int fd, std::string& output) {
  std::array<char, 4096> piece;
  const ::ssize_t count = ::read(fd, piece.data(), piece.size());
  if (count < 0) return errno == EINTR || errno == EAGAIN;
  output.append(piece.data(),
                std::min(static_cast<std::size_t>(count), kChildOutput - output.size()));
  return count > 0;
}

}  // namespace

ChildResult run_children(std::span<const ChildProgram> programs, const ChildLimits& limits,
                         const StopFlag& stop) {
  PJ_CHECK(programs.size() == 1 || programs.size() == 2);
  const double end = seconds_now() + static_cast<double>(limits.wall_seconds);
  std::array<Descriptor, 2> output = pipe_of_two();
  std::array<Descriptor, 2> channel;
  if (programs.size() == 2) channel = make_channel();
  Running first(programs[0], output[1].get(), channel[0].get(), limits);
  output[1].close();
  channel[0].close();
  std::optional<Running> second;
  if (programs.size() == 2) {
    const Descriptor nowhere(::open("/dev/null", O_RDWR | O_CLOEXEC));
    second.emplace(programs[1], nowhere.get(), channel[1].get(), limits);
    channel[1].close();
  }
  ChildResult result;
  for (bool open = true;;) {
    if (stop.requested()) throw Error(ErrorCode::kInterrupted, "stopped");
    if (const auto status = open ? std::nullopt : first.poll()) {
      result.status = *status;
      return result;
    }
    if (seconds_now() >= end) {
      result.timed_out = true;
      return result;
    }
    if (!open) {  // it has closed its output, and is about to end
      std::this_thread::sleep_for(std::chrono::milliseconds(1));
      continue;
    }
    ::pollfd ready{output[0].get(), POLLIN, 0};
    if (::poll(&ready, 1, kLookMilliseconds) > 0) open = read_some(output[0].get(), result.output);
  }
}

}  // namespace pajamas
