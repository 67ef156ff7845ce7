#include "base/output.h"

#include <fmt/format.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <sys/mount.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cstring>
#include <functional>
#include <thread>
#include <vector>

#include "base/block_buffer.h"
#include "base/bytes.h"
#include "base/parallel.h"
#include "io/temp.h"
#include "paths.h"

namespace pajamas {
namespace {

namespace fs = std::filesystem;
using test::expect_error;
using test::slurp;
using test::TempFolder;

std::vector<std::string> names_in(const fs::path& folder) {
  std::vector<std::string> names;
  for (const auto& entry : fs::directory_iterator(folder)) names.push_back(entry.path().filename());
  std::sort(names.begin(), names.end());
  return names;
}

using Names = std::vector<std::string>;

TEST(OutputFile, AppearsWithCommitOnly) {
  const TempFolder folder;
  const fs::path path = folder.path() / "deep" / "er" / "out.bin";
  OutputFile file(path, 6, {});
  EXPECT_FALSE(fs::exists(path));
  EXPECT_EQ(names_in(path.parent_path()).size(), 1u);  // its space is reserved already
  EXPECT_EQ(fs::file_size(*fs::directory_iterator(path.parent_path())), 6u);
  file.write_at(3, as_byte_span("def"));
  file.write_at(0, as_byte_span("abc"));
  OutputFile moved = std::move(file);
  moved.commit();
  EXPECT_EQ(slurp(path), "abcdef");
  EXPECT_EQ(names_in(path.parent_path()), Names{"out.bin"});
}

TEST(OutputFile, WithoutCommitItsFoldersGoToo) {
  const TempFolder folder;
  {
    const OutputFile file(folder.path() / "deep" / "er" / "out.bin", 6, {});
    const OutputDirectory model(folder.path() / "deep" / "model" / "mlx", {});
    OutputDirectory moved = OutputDirectory(folder.path() / "other" / "mlx", {});
  }
  EXPECT_EQ(names_in(folder.path()), Names{});
  fs::create_directories(folder.path() / "there");
  {
    const OutputFile file(folder.path() / "there" / "deep" / "out.bin", 6, {});
    folder.write("there/deep/of-another", "");
  }
  EXPECT_EQ(names_in(folder.path() / "there" / "deep"), Names{"of-another"});
}

// Pieces that do not begin or end at blocks, in any order and from several threads: the blocks that
// two of them share go through the page cache, the others past it.
TEST(OutputFile, TakesLargePiecesFromSeveralThreads) {
  for (const std::string& where :
       {binary_dir(), std::string("/dev/shm")}) {  // the latter refuses O_DIRECT
    if (!fs::is_directory(where)) continue;
    const fs::path path = fs::path(where) / fmt::format("large-pieces-{}", ::getpid());
    std::string text((8 << 20) + 77, ' ');
    for (std::uint64_t i = 0; i + 8 <= text.size(); i += 8) std::memcpy(&text[i], &i, 8);
    OutputFile file(path, text.size(), {});
    constexpr std::uint64_t kPiece = 150'001;
    const std::uint64_t pieces = (text.size() + kPiece - 1) / kPiece;
    TaskPool(4).for_ranges(pieces, 1, [&](std::uint64_t i, std::uint64_t) {
      const std::uint64_t offset = (i * 17 % pieces) * kPiece;
      const std::string_view piece = std::string_view(text).substr(offset, kPiece);
      BlockBuffer buffer;
      const auto placed = buffer.place(offset, piece.size());
      std::memcpy(placed.data(), piece.data(), piece.size());
      file.write_at(offset, placed);
    });
    file.commit();
    EXPECT_EQ(slurp(path) == text, true) << where;
    fs::remove(path);
  }
}

TEST(OutputFile, WithoutCommitNothingIsLeft) {
  const TempFolder folder;
  { OutputFile(folder.path() / "out", 100, {}).write_at(0, as_byte_span("x")); }
  EXPECT_EQ(names_in(folder.path()), Names{});
}

TEST(OutputFile, RefusesToReplaceUnlessToldTo) {
  const TempFolder folder;
  const auto path = folder.write("out", "old");
  expect_error(ErrorCode::kExists, "--force", [&] { OutputFile(path, 1, {}); });
  fs::create_symlink("nowhere", folder.path() / "dangling");
  expect_error(ErrorCode::kExists, "exists",
               [&] { OutputFile(folder.path() / "dangling", 1, {}); });
  OutputFile file(path, 3, {.replace = true});
  file.write_at(0, as_byte_span("new"));
  EXPECT_EQ(slurp(path), "old");
  file.commit();
  EXPECT_EQ(slurp(path), "new");
  EXPECT_EQ(names_in(folder.path()), (Names{"dangling", "out"}));
}

TEST(OutputFile, WritesThroughLinks) {
  const TempFolder folder;
  fs::create_directory(folder.path() / "links");
  folder.write("real", "old");
  const fs::path link = folder.path() / "links" / "link";
  fs::create_symlink("../real", folder.path() / "links" / "inner");
  fs::create_symlink("inner", link);
  expect_error(ErrorCode::kExists, "exists already", [&] { OutputFile(link, 3, {}); });
  OutputFile file(link, 3, {.replace = true});
  file.write_at(0, as_byte_span("new"));
  file.commit();
  EXPECT_TRUE(fs::is_symlink(link));
  EXPECT_TRUE(fs::is_symlink(folder.path() / "links" / "inner"));
  EXPECT_EQ(slurp(folder.path() / "real"), "new");
  // One that points to nothing gets something to point to.
  const fs::path dangling = folder.path() / "dangling";
  fs::create_symlink("made", dangling);
  OutputFile made(dangling, 1, {.replace = true});
  made.write_at(0, as_byte_span("x"));
  made.commit();
  EXPECT_TRUE(fs::is_symlink(dangling));
  EXPECT_EQ(slurp(folder.path() / "made"), "x");
  EXPECT_EQ(names_in(folder.path()), (Names{"dangling", "links", "made", "real"}));
}

TEST(OutputFile, RefusesLinksToWhatIsNoFile) {
  const TempFolder folder;
  const auto refuse = [&](const char* target, ErrorCode code, const char* said) {
    const fs::path link = folder.path() / "link";
    fs::create_symlink(target, link);
    expect_error(code, said, [&] { OutputFile(link, 1, {.replace = true}); });
    EXPECT_TRUE(fs::is_symlink(link));
    fs::remove(link);
  };
  refuse("/dev/null", ErrorCode::kExists, "no regular file");
  refuse("/dev", ErrorCode::kExists, "is a folder");
  refuse("link", ErrorCode::kIo, "cannot follow the link");
}

TEST(OutputDirectory, WritesThroughLinks) {
  const TempFolder folder;
  const fs::path real = folder.path() / "real", link = folder.path() / "link";
  fs::create_directory(real);
  folder.write("real/config.json", "{}");
  fs::create_symlink("real", link);
  for (const fs::path& path : {link, link / ""}) {
    OutputDirectory output(path, {.replace = true});
    OutputFile file = output.create_file("new", 1);
    file.write_at(0, as_byte_span("x"));
    file.commit();
    output.create_file("config.json", 0).commit();
    output.commit();
    EXPECT_TRUE(fs::is_symlink(link));
    EXPECT_EQ(names_in(real), (Names{"config.json", "new"}));
  }
  EXPECT_EQ(names_in(folder.path()), (Names{"link", "real"}));
}

TEST(OutputFile, DoesNotReplaceWhatAppearedMeanwhile) {
  const TempFolder folder;
  OutputFile file(folder.path() / "out", 3, {});
  folder.write("out", "other");
  expect_error(ErrorCode::kExists, "appeared", [&] { file.commit(); });
  EXPECT_EQ(slurp(folder.path() / "out"), "other");
}

TEST(OutputFile, ForceNeverReplacesAFolderOrADevice) {
  const TempFolder folder;
  fs::create_directory(folder.path() / "dir");
  expect_error(ErrorCode::kExists, "is a folder",
               [&] { OutputFile(folder.path() / "dir", 1, {.replace = true}); });
  expect_error(ErrorCode::kExists, "no regular file",
               [&] { OutputFile("/dev/null", 1, {.replace = true}); });
  expect_error(ErrorCode::kUsage, "not the name", [&] { OutputFile(folder.path() / "..", 1, {}); });
  expect_error(ErrorCode::kUsage, "not the name", [&] { OutputFile(folder.path() / "", 1, {}); });
}

TEST(OutputFile, ThreadsWriteTheirParts) {
  const TempFolder folder;
  OutputFile file(folder.path() / "out", 4 * 100'000, {});
  std::vector<std::thread> threads;
  for (int t = 0; t < 4; ++t) {
    threads.emplace_back([&, t] {
      for (int i = 0; i < 100; ++i) {
        const std::string part(1000, static_cast<char>('a' + t));
        file.write_at(static_cast<std::uint64_t>(t * 100 + i) * 1000, as_byte_span(part));
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  file.commit();
  const std::string text = slurp(folder.path() / "out");
  for (std::size_t i = 0; i < text.size(); i += 997) {
    ASSERT_EQ(text[i], static_cast<char>('a' + i / 100'000));
  }
}

TEST(OutputFile, AnImpossibleSizeIsALackOfSpace) {
  const TempFolder folder;
  for (const std::uint64_t size : {std::uint64_t{1} << 62, UINT64_MAX}) {
    expect_error(ErrorCode::kNoSpace, "reserve",
                 [&] { OutputFile(folder.path() / "out", size, {}); });
  }
  EXPECT_EQ(names_in(folder.path()), Names{});
  expect_error(ErrorCode::kNoSpace, "are free",
               [&] { require_free_space(folder.path() / "a" / "b", UINT64_MAX); });
  EXPECT_NO_THROW(require_free_space(folder.path() / "a", 1));
}

TEST(OutputFile, AFullDiskLeavesNothing) {
  const TempFolder folder;
  if (::mount("tmpfs", folder.path().c_str(), "tmpfs", 0, "size=1m") != 0) {
    GTEST_SKIP() << "may not mount a small file system";
  }
  expect_error(ErrorCode::kNoSpace, "reserve",
               [&] { OutputFile(folder.path() / "a", 2 << 20, {}); });
  EXPECT_EQ(names_in(folder.path()), Names{});
  {
    OutputFile file(folder.path() / "b", 0, {});
    const std::string half(700 << 10, 'x');
    file.write_at(0, as_byte_span(half));
    expect_error(ErrorCode::kNoSpace, "cannot write",
                 [&] { file.write_at(half.size(), as_byte_span(half)); });
  }
  EXPECT_EQ(names_in(folder.path()), Names{});
  EXPECT_EQ(::umount(folder.path().c_str()), 0);
}

// Runs `work` in a process of its own, which says when it has come to its middle, and is killed
// there.
void kill_in_the_middle(const std::function<void(const std::function<void()>&)>& work) {
  int pipe_ends[2];
  ASSERT_EQ(::pipe(pipe_ends), 0);
  const pid_t child = ::fork();
  ASSERT_GE(child, 0);
  if (child == 0) {
    work([&] {
      (void)!::write(pipe_ends[1], "x", 1);
      ::pause();
    });
    ::_exit(0);
  }
  char byte = 0;
  ASSERT_EQ(::read(pipe_ends[0], &byte, 1), 1);
  ASSERT_EQ(::kill(child, SIGKILL), 0);
  int status = 0;
  ASSERT_EQ(::waitpid(child, &status, 0), child);
  ASSERT_TRUE(WIFSIGNALED(status));
  ::close(pipe_ends[0]);
  ::close(pipe_ends[1]);
}

TEST(OutputFile, AKilledProcessLeavesNoFinishedFileAndTheNextTidiesUp) {
  const TempFolder folder;
  const fs::path path = folder.path() / "out";
  kill_in_the_middle([&](const std::function<void()>& middle) {
    OutputFile file(path, 1 << 20, {});
    file.write_at(0, as_byte_span("half"));
    middle();
  });
  EXPECT_FALSE(fs::exists(path));
  ASSERT_EQ(names_in(folder.path()).size(), 1u);
  EXPECT_TRUE(names_in(folder.path())[0].starts_with(".out.partial-"));
  folder.write(".other.partial-1", "of another output");
  folder.write(".out.partial-mine", "no process number");
  OutputFile(path, 4, {}).commit();
  EXPECT_EQ(names_in(folder.path()), (Names{".other.partial-1", ".out.partial-mine", "out"}));
}

TEST(OutputFile, DoesNotTidyUpAfterTheLiving) {
  const TempFolder folder;
  OutputFile first(folder.path() / "out", 4, {});
  expect_error(ErrorCode::kExists, "being written",
               [&] { OutputFile(folder.path() / "out", 4, {}); });
  first.commit();
}

TEST(OutputDirectory, AppearsAsAWhole) {
  const TempFolder folder;
  const fs::path path = folder.path() / "model";
  OutputDirectory directory(path / "", {});
  for (const char* name : {"a", "b"}) {
    OutputFile file = directory.create_file(name, 1);
    file.write_at(0, as_byte_span(name));
    file.commit();
  }
  EXPECT_FALSE(fs::exists(path));
  directory.commit();
  EXPECT_EQ(names_in(folder.path()), Names{"model"});
  EXPECT_EQ(names_in(path), (Names{"a", "b"}));
}

TEST(OutputDirectory, HasFoldersInside) {
  const TempFolder folder;
  const fs::path path = folder.path() / "model";
  OutputDirectory directory(path, {});
  for (const char* name : {"inner/a", "inner/b", "c"}) directory.create_file(name, 1).commit();
  directory.commit();
  EXPECT_EQ(names_in(path), (Names{"c", "inner"}));
  EXPECT_EQ(names_in(path / "inner"), (Names{"a", "b"}));
}

TEST(OutputDirectory, WithoutCommitNothingIsLeft) {
  const TempFolder folder;
  {
    OutputDirectory directory(folder.path() / "model", {});
    directory.create_file("a", 1).commit();
    directory.create_file("inner/b", 1).commit();
  }
  EXPECT_EQ(names_in(folder.path()), Names{});
}

TEST(OutputDirectory, ReplacesOnlyWhatLooksLikeAModel) {
  const TempFolder folder;
  const fs::path path = folder.path() / "model";
  fs::create_directory(path);
  expect_error(ErrorCode::kExists, "--force", [&] { OutputDirectory(path, {}); });
  const auto replace = [&] {
    OutputDirectory directory(path, {.replace = true});
    directory.create_file("new", 1).commit();
    directory.commit();
  };
  replace();  // an empty one
  EXPECT_EQ(names_in(path), Names{"new"});
  expect_error(ErrorCode::kExists, "no config.json", replace);
  EXPECT_EQ(names_in(path), Names{"new"});
  folder.write("model/config.json", "{}");
  replace();
  EXPECT_EQ(names_in(path), Names{"new"});
  EXPECT_EQ(names_in(folder.path()), Names{"model"});
  folder.write("file", "x");
  expect_error(ErrorCode::kExists, "is a file",
               [&] { OutputDirectory(folder.path() / "file", {.replace = true}); });
}

TEST(OutputDirectory, AKilledProcessLeavesNoFolderAndTheNextTidiesUp) {
  const TempFolder folder;
  const fs::path path = folder.path() / "model";
  kill_in_the_middle([&](const std::function<void()>& middle) {
    OutputDirectory directory(path, {});
    directory.create_file("model.safetensors", 4).commit();
    middle();
  });
  EXPECT_FALSE(fs::exists(path));
  EXPECT_EQ(names_in(folder.path()).size(), 1u);
  OutputDirectory(path, {}).commit();
  EXPECT_EQ(names_in(folder.path()), Names{"model"});
}

}  // namespace
}  // namespace pajamas
