#include "hub/model_id.h"

#include <gtest/gtest.h>

namespace pajamas::hub {
namespace {

TEST(ModelId, PartsOfAnId) {
  const auto plain = parse_model_id("Qwen/Qwen2.5-7B-Instruct");
  ASSERT_TRUE(plain);
  EXPECT_EQ(plain->owner, "Qwen");
  EXPECT_EQ(plain->name, "Qwen2.5-7B-Instruct");
  EXPECT_EQ(plain->revision, "main");
  EXPECT_EQ(plain->file, "");

  const auto full = parse_model_id("a/b_c.d@refs/pr/1:sub/x-Q4_K_M.gguf");
  ASSERT_TRUE(full);
  EXPECT_EQ(full->repository(), "a/b_c.d");
  EXPECT_EQ(full->revision, "refs/pr/1");
  EXPECT_EQ(full->file, "sub/x-Q4_K_M.gguf");
  EXPECT_EQ(full->to_string(), "a/b_c.d@refs/pr/1:sub/x-Q4_K_M.gguf");
  EXPECT_EQ(parse_model_id("a/b:Q8_0")->file, "Q8_0");
  EXPECT_EQ(parse_model_id("a/b@v1.0")->revision, "v1.0");
}

TEST(ModelId, PathsAreNoIds) {
  for (const char* text : {"",
                           "a",
                           "a/",
                           "/a",
                           "/a/b",
                           "./a",
                           "../a",
                           "~/a",
                           "a/b/c",
                           "a//b",
                           "out/model.gguf",
                           "out/model.safetensors",
                           "out/config.json",
                           "a/b.git",
                           "a/.b",
                           "a/-b",
                           "a/b-",
                           "a/b--c",
                           "a/b..c",
                           "a b/c",
                           "a/b@",
                           "a/b:",
                           "a/b@../x",
                           "a/b@x/../y",
                           "a/b@/x",
                           "a/b@x y",
                           "a/b:../x.gguf",
                           "a/b:/x.gguf",
                           "a/b\n",
                           "ä/b"}) {
    EXPECT_FALSE(parse_model_id(text)) << text;
  }
  EXPECT_FALSE(parse_model_id("a/" + std::string(95, 'b')));
  EXPECT_TRUE(parse_model_id("a/" + std::string(94, 'b')));
}

TEST(ModelId, Commits) {
  EXPECT_TRUE(is_commit("0123456789abcdef0123456789abcdef01234567"));
  EXPECT_FALSE(is_commit("0123456789abcdef0123456789abcdef0123456"));
  EXPECT_FALSE(is_commit("0123456789ABCDEF0123456789abcdef01234567"));
  EXPECT_FALSE(is_commit("../3456789abcdef0123456789abcdef01234567"));
}

TEST(ModelId, NamesFromAServerStayInsideAFolder) {
  EXPECT_TRUE(is_safe_path("model.safetensors"));
  EXPECT_TRUE(is_safe_path("a/b c/d"));
  for (const char* path : {"", "/a", "a/", "a//b", "..", "../a", "a/../b", "a/..", ".", "a/./b",
                           "a\\b", "a\nb", "a\x7f"}) {
    EXPECT_FALSE(is_safe_path(path)) << path;
  }
  EXPECT_FALSE(is_safe_path(std::string("a\0b", 3)));
  EXPECT_FALSE(is_safe_path(std::string(256, 'a')));
}

}  // namespace
}  // namespace pajamas::hub
