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

TEST(ModelId, AddressesOfPages) {
  const struct {
    const char* address;
    const char* id;
  } kCases[] = {
      {"https://huggingface.co/Qwen/Qwen3-0.6B", "Qwen/Qwen3-0.6B"},
      {"https://huggingface.co/Qwen/Qwen3-0.6B/", "Qwen/Qwen3-0.6B"},
      {"HTTPS://HuggingFace.co/Qwen/Qwen3-0.6B?library=x#y", "Qwen/Qwen3-0.6B"},
      {"http://www.huggingface.co/a/b", "a/b"},
      {"huggingface.co/a/b", "a/b"},
      {"hf.co/a/b", "a/b"},
      {"hf.co/a/b:Q8_0", "a/b:Q8_0"},
      {"https://hf.co/a/b/tree/main", "a/b"},
      {"https://huggingface.co/a/b/tree/v1.0", "a/b@v1.0"},
      {"https://huggingface.co/a/b/tree/refs%2Fpr%2F3", "a/b@refs/pr/3"},
      {"https://huggingface.co/a/b/tree/refs/pr/3", "a/b@refs/pr/3"},
      {"https://huggingface.co/a/b/tree/main/Q4_K_M", "a/b:Q4_K_M"},
      {"https://huggingface.co/a/b/blob/main/sub/m-Q4_K_M.gguf", "a/b:sub/m-Q4_K_M.gguf"},
      {"https://huggingface.co/a/b/resolve/main/m%20x.GGUF?download=true", "a/b:m x.GGUF"},
      {"https://huggingface.co/a/b/blob/main/config.json", "a/b"},
      {"https://huggingface.co/a/b/resolve/v2/model.safetensors", "a/b@v2"},
      {"https://huggingface.co/a/b/discussions/5", "a/b"},
  };
  for (const auto& each : kCases) {
    const auto id = parse_model_id(each.address);
    ASSERT_TRUE(id) << each.address;
    EXPECT_EQ(id->to_string(), each.id) << each.address;
  }
  for (const char* address :
       {"https://huggingface.co", "https://huggingface.co/", "https://huggingface.co/a",
        "https://huggingface.co/datasets/a/b", "https://huggingface.co/spaces/a/b",
        "https://example.com/a/b", "https://huggingface.co/a/b/tree/",
        "https://huggingface.co/a/b/blob/main/../x.gguf", "https://huggingface.co/a/b/tree/..%2Fx",
        "https://huggingface.co.example.com/a/b", "ftp://huggingface.co/a/b", "https://a/b"}) {
    EXPECT_FALSE(parse_model_id(address)) << address;
  }
  EXPECT_TRUE(is_address("https://example.com/a/b"));
  EXPECT_TRUE(is_address("ftp://x"));
  EXPECT_FALSE(is_address("a/b"));
  EXPECT_FALSE(is_address("./a://b"));
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
