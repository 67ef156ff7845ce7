#include "hub/cache.h"

#include <gtest/gtest.h>

#include "base/append_file.h"
#include "base/bytes.h"
#include "base/file.h"
#include "hub/digest.h"

namespace pajamas::hub {
namespace {

namespace fs = std::filesystem;

const std::string kCommit = "0123456789abcdef0123456789abcdef01234567";

TEST(Digest, IsWhatGitAndSha256sumPrint) {
  Digest git = Digest::git_blob(6);  // `printf 'hello\n' | git hash-object --stdin`
  git.update(as_byte_span("hel"));
  git.update(as_byte_span("lo\n"));
  EXPECT_EQ(git.finish(), "ce013625030ba8dba906f756967f9e9ca394464a");
  Digest sha = Digest::sha256();
  sha.update(as_byte_span("abc"));
  EXPECT_EQ(sha.finish(), "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
}

TEST(Cache, LayoutOfHuggingfaceHub) {
  const TemporaryFolder root;
  const Cache cache(root.path(), *parse_model_id("Qwen/Qwen2.5-7B"));
  const RepoFile file{"sub/model.safetensors", 3, std::string(64, 'b'), true};
  EXPECT_EQ(cache.commit_of("main"), std::nullopt);
  EXPECT_EQ(cache.commit_of(kCommit), kCommit);
  cache.write_reference("main", kCommit);
  cache.write_reference("refs/pr/1", kCommit);
  EXPECT_EQ(read_text_file(root.path() / "models--Qwen--Qwen2.5-7B/refs/refs/pr/1"), kCommit);
  EXPECT_EQ(cache.commit_of("main"), kCommit);

  AppendFile out(cache.incomplete(file));
  out.append(as_byte_span("abc"));
  out.commit(cache.blob(file));
  EXPECT_FALSE(cache.has(kCommit, file.path));
  cache.link(kCommit, file);
  cache.link(kCommit, file);
  EXPECT_TRUE(cache.has(kCommit, file.path));
  EXPECT_EQ(fs::read_symlink(cache.snapshot(kCommit) / file.path),
            "../../../blobs/" + std::string(64, 'b'));
  EXPECT_EQ(read_text_file(cache.snapshot(kCommit) / file.path), "abc");
  EXPECT_EQ(cache.files(kCommit), (std::vector<std::string>{"sub/model.safetensors"}));

  EXPECT_FALSE(cache.known_absent(kCommit, "LICENSE"));
  cache.mark_absent(kCommit, "LICENSE");
  EXPECT_TRUE(cache.known_absent(kCommit, "LICENSE"));
}

TEST(Cache, ALinkWithoutItsBlobIsNoFile) {
  const TemporaryFolder root;
  const Cache cache(root.path(), *parse_model_id("a/b"));
  const RepoFile file{"x", 3, std::string(40, 'b'), false};
  cache.link(kCommit, file);
  EXPECT_FALSE(cache.has(kCommit, "x"));
  EXPECT_TRUE(cache.files(kCommit).empty());
}

TEST(Cache, AReferenceThatIsNoCommitIsNone) {
  const TemporaryFolder root;
  const Cache cache(root.path(), *parse_model_id("a/b"));
  fs::create_directories(cache.folder() / "refs");
  AppendFile(cache.folder() / "refs/main").append(as_byte_span("../../../etc"));
  EXPECT_EQ(cache.commit_of("main"), std::nullopt);
}

}  // namespace
}  // namespace pajamas::hub
