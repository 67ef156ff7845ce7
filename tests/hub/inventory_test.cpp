// What is in a cache of huggingface_hub's layout, and what removing leaves.
#include "hub/inventory.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <fstream>
#include <optional>

#include "base/error.h"
#include "base/file_lock.h"

namespace pajamas::hub {
namespace {

namespace fs = std::filesystem;

constexpr const char* kHeldCommit = "0123456789abcdef0123456789abcdef01234567";

class InventoryTest : public testing::Test {
 protected:
  InventoryTest()
      : cache_(fs::temp_directory_path() / ("inventory-" + std::to_string(::getpid()))) {
    fs::remove_all(cache_);
    fs::create_directories(cache_ / "datasets--a--b");
  }
  ~InventoryTest() override { fs::remove_all(cache_); }

  void write(const fs::path& path, std::size_t bytes) {
    fs::create_directories(path.parent_path());
    std::ofstream(path) << std::string(bytes, 'x');
  }
  // A file of a snapshot, as a link to a blob.
  void add(const std::string& folder, const std::string& path, const std::string& blob,
           std::size_t bytes, const std::string& commit = kHeldCommit) {
    write(cache_ / folder / "blobs" / blob, bytes);
    const fs::path link = cache_ / folder / "snapshots" / commit / path;
    fs::create_directories(link.parent_path());
    fs::create_symlink((cache_ / folder / "blobs" / blob).lexically_relative(link.parent_path()),
                       link);
  }
  bool has(const std::string& path) const { return fs::exists(cache_ / path); }

  fs::path cache_;
};

TEST_F(InventoryTest, SizesAreThoseOfTheDisk) {
  add("models--Qwen--Qwen3-0.6B", "model.safetensors", "b1", 1000);
  add("models--Qwen--Qwen3-0.6B", "again/model.safetensors", "b1", 1000);
  write(cache_ / "models--Qwen--Qwen3-0.6B/blobs/b2.incomplete", 70);
  std::ofstream(cache_ / "models--Qwen--Qwen3-0.6B/refs") << "";
  const auto found = cached_repositories(cache_);
  ASSERT_EQ(found.size(), 1u);
  EXPECT_EQ(found[0].name, "Qwen/Qwen3-0.6B");
  EXPECT_EQ(found[0].bytes, 1070u);
  EXPECT_EQ(found[0].unfinished, 70u);
  EXPECT_EQ(found[0].snapshot.filename(), kHeldCommit);
  EXPECT_TRUE(cached_repositories(cache_ / "nowhere").empty());
}

TEST_F(InventoryTest, RemovesARepositoryAndNothingElse) {
  add("models--a--b", "m.gguf", "b1", 10);
  add("models--a--bc", "m.gguf", "b1", 10);
  write(cache_ / ".locks/models--a--b/b1.lock", 0);
  remove_repository(cache_, *parse_model_id("a/b"));
  EXPECT_FALSE(has("models--a--b"));
  EXPECT_FALSE(has(".locks/models--a--b"));
  EXPECT_TRUE(has("models--a--bc/blobs/b1"));
  EXPECT_THROW(remove_repository(cache_, *parse_model_id("a/b")), Error);
}

TEST_F(InventoryTest, RemovesFilesAndTheirBlobsUnlessOthersNeedThem) {
  add("models--a--b", "m-Q8_0.gguf", "b1", 10);
  add("models--a--b", "m-Q4_0.gguf", "b2", 10);
  add("models--a--b", "copy.gguf", "b2", 10);
  const ModelId id = *parse_model_id("a/b");
  remove_files(cache_, id, {"m-Q8_0.gguf", "m-Q4_0.gguf"});
  const std::string snapshot = std::string("models--a--b/snapshots/") + kHeldCommit;
  EXPECT_FALSE(fs::is_symlink(cache_ / snapshot / "m-Q8_0.gguf"));
  EXPECT_FALSE(has("models--a--b/blobs/b1"));
  EXPECT_TRUE(has("models--a--b/blobs/b2"));
  EXPECT_TRUE(has(snapshot + "/copy.gguf"));
}

TEST_F(InventoryTest, NothingIsRemovedUnderADownload) {
  add("models--a--b", "m.gguf", "b1", 10);
  const fs::path lock = cache_ / ".locks/models--a--b/b1.lock";
  write(lock, 0);
  const auto held = FileLock::try_acquire(lock);
  ASSERT_TRUE(held);
  EXPECT_THROW(remove_repository(cache_, *parse_model_id("a/b")), Error);
  EXPECT_TRUE(has("models--a--b/blobs/b1"));
}

}  // namespace
}  // namespace pajamas::hub
