#include "base/append_file.h"

#include <gtest/gtest.h>

#include <optional>

#include "base/bytes.h"
#include "base/error.h"
#include "base/file.h"
#include "base/file_lock.h"

namespace pajamas {
namespace {

namespace fs = std::filesystem;

TEST(AppendFile, StaysWithoutCommitAndIsContinued) {
  const TemporaryFolder folder;
  const fs::path path = folder.path() / "new/folder/x.incomplete";
  {
    AppendFile file(path);
    file.append(as_byte_span("abc"));
  }
  AppendFile file(path);
  EXPECT_EQ(file.size(), 3u);
  file.append(as_byte_span("def"));
  file.commit(folder.path() / "new/x");
  EXPECT_FALSE(fs::exists(path));
  EXPECT_EQ(read_text_file(folder.path() / "new/x"), "abcdef");
}

TEST(AppendFile, Clears) {
  const TemporaryFolder folder;
  AppendFile file(folder.path() / "x");
  file.append(as_byte_span("abc"));
  file.clear();
  file.append(as_byte_span("d"));
  EXPECT_EQ(file.size(), 1u);
  file.commit(folder.path() / "y");
  EXPECT_EQ(read_text_file(folder.path() / "y"), "d");
}

TEST(AppendFile, RefusesWhatIsNoFile) {
  const TemporaryFolder folder;
  EXPECT_THROW(AppendFile{folder.path()}, Error);
  EXPECT_THROW(AppendFile{"/dev/null"}, Error);
}

TEST(TemporaryFolder, GoesWithAllThatIsInIt) {
  fs::path path;
  {
    std::optional<TemporaryFolder> outer;
    {
      TemporaryFolder folder;
      path = folder.path();
      AppendFile(path / "a/b/c").append(as_byte_span("x"));
      outer = std::move(folder);
    }
    EXPECT_TRUE(fs::exists(path / "a/b/c"));
  }
  EXPECT_FALSE(fs::exists(path));
}

TEST(FileLock, IsHeldOnce) {
  const TemporaryFolder folder;
  const fs::path path = folder.path() / ".locks/a/x.lock";
  auto first = FileLock::try_acquire(path);
  EXPECT_TRUE(first);
  EXPECT_FALSE(FileLock::try_acquire(path));
  first.reset();
  EXPECT_TRUE(FileLock::try_acquire(path));
}

}  // namespace
}  // namespace pajamas
