// What base/os.h promises, whatever the system.
#include "base/os.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <fstream>
#include <sstream>
#include <string>

namespace pajamas::os {
namespace {

namespace fs = std::filesystem;

class Os : public testing::Test {
 protected:
  void SetUp() override {
    folder_ = fs::temp_directory_path() / ("pajamas-os-" + std::to_string(::getpid()));
    fs::create_directories(folder_);
  }
  void TearDown() override { fs::remove_all(folder_); }

  std::string file_of(const char* name, const std::string& text) const {
    std::ofstream(folder_ / name) << text;
    return folder_ / name;
  }
  static std::string text_of(const fs::path& path) {
    std::ostringstream text;
    text << std::ifstream(path).rdbuf();
    return text.str();
  }

  fs::path folder_;
};

// A descriptor that is closed at the end.
struct Open {
  int fd = -1;
  ~Open() {
    if (fd >= 0) ::close(fd);
  }
  bool closed_at_exec() const { return (::fcntl(fd, F_GETFD) & FD_CLOEXEC) != 0; }
  std::uint64_t size() const {
    struct stat status {};
    return ::fstat(fd, &status) == 0 ? static_cast<std::uint64_t>(status.st_size) : 0;
  }
};

TEST_F(Os, RenamesToWhatIsNotThereAlone) {
  const std::string a = file_of("a", "1"), b = file_of("b", "2"), c = folder_ / "c";
  EXPECT_EQ(rename_to_nothing(a.c_str(), b.c_str()), EEXIST);
  EXPECT_EQ(text_of(b), "2");
  EXPECT_EQ(rename_to_nothing(a.c_str(), c.c_str()), 0);
  EXPECT_EQ(text_of(c), "1");
  EXPECT_FALSE(fs::exists(a));
  EXPECT_EQ(rename_to_nothing(a.c_str(), c.c_str()), ENOENT);
}

TEST_F(Os, ExchangesNames) {
  const std::string a = file_of("a", "1"), b = file_of("b", "2"), c = folder_ / "c";
  ASSERT_EQ(exchange_names(a.c_str(), b.c_str()), 0);
  EXPECT_EQ(text_of(a), "2");
  EXPECT_EQ(text_of(b), "1");
  EXPECT_EQ(exchange_names(a.c_str(), c.c_str()), ENOENT);
}

TEST_F(Os, ReservesSpaceAndKeepsWhatIsThere) {
  const std::string a = file_of("a", "text");
  const Open file{::open(a.c_str(), O_RDWR | O_CLOEXEC)};
  ASSERT_EQ(reserve(file.fd, 100'000), 0);
  EXPECT_EQ(file.size(), 100'000u);
  EXPECT_EQ(text_of(a).substr(0, 4), "text");
  ASSERT_EQ(reserve(file.fd, 10), 0);
  EXPECT_EQ(file.size(), 100'000u) << "it does not shrink";
  struct stat status {};
  ASSERT_EQ(::fstat(file.fd, &status), 0);
  EXPECT_GE(static_cast<std::uint64_t>(status.st_blocks) * 512, 100'000u);
  const Open reading{::open(a.c_str(), O_RDONLY | O_CLOEXEC)};
  EXPECT_NE(reserve(reading.fd, 200'000), 0);
}

// Whatever the file system allows, hints and switches leave the bytes alone.
TEST_F(Os, HintsChangeNothing) {
  const std::string text(8192, 'x'), a = file_of("a", text);
  const Open file{::open(a.c_str(), O_RDWR | O_CLOEXEC)};
  start_reading(file.fd, 0, text.size());
  start_writing(file.fd, 0);
  EXPECT_EQ(sync(file.fd), 0);
  EXPECT_EQ(sync_contents(file.fd), 0);
  leave_cache(file.fd);
  EXPECT_TRUE(!set_direct(file.fd, true) || set_direct(file.fd, false));
  EXPECT_EQ(text_of(a), text);
  EXPECT_TRUE(may_write(file.fd));
  errno = 0;
  EXPECT_EQ(sync(-1), -1);
  EXPECT_EQ(errno, EBADF);
}

TEST_F(Os, KnowsPagesThatAreInMemory) {
  const auto page = static_cast<std::size_t>(::sysconf(_SC_PAGESIZE));
  void* const at =
      ::mmap(nullptr, 2 * page, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  ASSERT_NE(at, MAP_FAILED);
  static_cast<volatile char*>(at)[page] = 1;
  std::array<unsigned char, 2> pages{};
  ASSERT_TRUE(pages_in_memory(at, 2 * page, pages));
  EXPECT_EQ(pages[0] & 1, 0);
  EXPECT_EQ(pages[1] & 1, 1);
  ::munmap(at, 2 * page);
}

TEST_F(Os, FilesWithoutNamesLeaveNone) {
  const Open memory{open_in_memory("text")};
  ASSERT_GE(memory.fd, 0);
  EXPECT_TRUE(memory.closed_at_exec());
  EXPECT_EQ(::write(memory.fd, "text", 4), 4);
  EXPECT_EQ(memory.size(), 4u);
  const Open file{open_unnamed(folder_.c_str())};
  EXPECT_TRUE(file.fd < 0 || file.closed_at_exec());
  EXPECT_TRUE(fs::is_empty(folder_));
}

TEST_F(Os, PipesAndSocketsAreClosedAtExec) {
  for (const bool blocking : {false, true}) {
    int ends[2] = {-1, -1};
    ASSERT_EQ(make_pipe(ends, blocking), 0);
    const Open from{ends[0]}, to{ends[1]};
    EXPECT_TRUE(from.closed_at_exec() && to.closed_at_exec());
    EXPECT_EQ((::fcntl(from.fd, F_GETFL) & O_NONBLOCK) == 0, blocking);
    EXPECT_EQ(::write(to.fd, "x", 1), 1);
    char byte = 0;
    EXPECT_EQ(::read(from.fd, &byte, 1), 1);
  }
  int ends[2] = {-1, -1};
  ASSERT_EQ(make_socket_pair(ends), 0);
  const Open one{ends[0]}, other{ends[1]};
  EXPECT_TRUE(one.closed_at_exec() && other.closed_at_exec());
}

TEST_F(Os, KnowsTheRunningProgram) {
  EXPECT_TRUE(fs::is_regular_file(program_file())) << program_file();
  EXPECT_EQ(program_file().filename().string().rfind("test_base", 0), 0u) << program_file();
}

}  // namespace
}  // namespace pajamas::os
