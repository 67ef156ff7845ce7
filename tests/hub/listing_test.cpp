#include "hub/listing.h"

#include <gtest/gtest.h>

#include <map>

#include "base/error.h"
#include "hub/select.h"

namespace pajamas::hub {
namespace {

const std::string kSha1(40, 'a');
const std::string kSha256(64, 'b');

TEST(Listing, CommitOfARevision) {
  EXPECT_EQ(parse_commit("{\"sha\": \"" + kSha1 + "\"}"), kSha1);
  for (const char* text : {"", "[]", "{}", "{\"sha\": 5}", "{\"sha\": \"../../x\"}", "<html>"}) {
    EXPECT_THROW(parse_commit(text), Error) << text;
  }
}

TEST(Listing, FilesOfATree) {
  Listing files;
  parse_tree(R"([{"type":"directory","path":"d","oid":")" + kSha1 + R"("},
    {"type":"file","path":"config.json","size":12,"oid":")" +
                 kSha1 + R"("},
    {"type":"file","path":"model.safetensors","size":134,"oid":")" +
                 kSha1 + R"(","lfs":{"oid":")" + kSha256 +
                 R"(","size":5000000000,"pointerSize":134}}])",
             files);
  ASSERT_EQ(files.size(), 2u);
  EXPECT_EQ(files.at("config.json").size, 12u);
  EXPECT_EQ(files.at("config.json").digest, kSha1);
  EXPECT_FALSE(files.at("config.json").large);
  EXPECT_EQ(files.at("model.safetensors").size, 5000000000u);
  EXPECT_EQ(files.at("model.safetensors").digest, kSha256);
  EXPECT_TRUE(files.at("model.safetensors").large);
}

TEST(Listing, WhatIsNoOrdinaryFileIsLeftOut) {
  for (const std::string& entry :
       {R"("path":"../x","size":1,"oid":")" + kSha1 + '"',
        R"("path":"/etc/x","size":1,"oid":")" + kSha1 + '"',
        R"("path":"x","size":-1,"oid":")" + kSha1 + '"',
        R"("path":"x","size":1e30,"oid":")" + kSha1 + '"',
        R"("path":"x","size":18446744073709551615,"oid":")" + kSha1 + '"',
        std::string(R"("path":"x","size":1,"oid":"../../../../../../../../../../etc/aaa")"),
        R"("path":"x","size":1,"oid":")" + kSha256 + '"',
        R"("path":"x","size":1,"oid":")" + kSha1 + R"(","lfs":{"oid":")" + kSha1 + R"("})",
        R"("path":"x","size":1,"oid":")" + kSha1 + R"(","lfs":{})",
        R"("path":["x"],"size":1,"oid":")" + kSha1 + '"', R"("path":"x","oid":")" + kSha1 + '"'}) {
    Listing files;
    parse_tree("[{\"type\":\"file\"," + entry + "},5,null,[]]", files);
    EXPECT_TRUE(files.empty()) << entry;
  }
  Listing files;
  EXPECT_THROW(parse_tree("{}", files), Error);
  EXPECT_THROW(parse_tree("[", files), Error);
}

TEST(Listing, CachedTree) {
  const Listing files =
      parse_cached_tree(R"({"format_version":1,"files":{"a":{"size":3,"blob_id":")" + kSha1 +
                        R"("},"b.gguf":{"size":1,"blob_id":")" + kSha1 + R"(","lfs_sha256":")" +
                        kSha256 + R"(","lfs_size":9}}})");
  EXPECT_EQ(files.at("a").size, 3u);
  EXPECT_EQ(files.at("b.gguf").digest, kSha256);
  EXPECT_EQ(files.at("b.gguf").size, 9u);
  EXPECT_THROW(parse_cached_tree("{\"files\": []}"), Error);
}

TEST(Listing, Index) {
  EXPECT_EQ(parse_index(R"({"weight_map":{"x":"b","y":"a","z":"b"}})"),
            (std::vector<std::string>{"a", "b"}));
  for (const char* text : {"", "{}", R"({"weight_map":{"x":"../b"}})", R"({"weight_map":{"x":5}})",
                           R"({"weight_map":{"x":"d/b"}})", R"({"weight_map":[]})"}) {
    EXPECT_THROW(parse_index(text), Error) << text;
  }
}

using Paths = std::vector<std::string>;

Selection select_listed(const char* id, Paths paths) {
  std::sort(paths.begin(), paths.end());
  return select_files(*parse_model_id(id), paths);
}

TEST(Select, ACheckpointIsItsConfigurationTokenizerAndShards) {
  const Selection one = select_listed(
      "a/b", {"README.md", "config.json", "tokenizer.json", "model.safetensors",
              "model.fp16.safetensors", "pytorch_model.bin", "original/model.safetensors",
              "consolidated.safetensors", "onnx/model.onnx", "original/config.json"});
  EXPECT_FALSE(one.gguf);
  EXPECT_EQ(one.small, (Paths{"config.json", "tokenizer.json", "README.md"}));
  EXPECT_EQ(one.weights, (Paths{"model.safetensors"}));
  const Selection templates = select_listed(
      "a/b", {"config.json", "model.safetensors", "additional_chat_templates/rag.jinja",
              "additional_chat_templates/rag.txt", "additional_chat_templates/x/y.jinja",
              "other/z.jinja"});
  EXPECT_EQ(templates.small, (Paths{"config.json", "additional_chat_templates/rag.jinja"}));
  const Selection many = select_listed(
      "a/b", {"config.json", "model.safetensors.index.json", "model-00001-of-00002.safetensors"});
  EXPECT_TRUE(many.indexed);
  EXPECT_TRUE(many.weights.empty());
}

TEST(Select, AWholeFileGoesBeforeAnIndex) {
  const Selection both =
      select_listed("a/b", {"config.json", "model.safetensors", "model.safetensors.index.json",
                            "model-00001-of-00002.safetensors", "adapter_config.json"});
  EXPECT_TRUE(both.indexed);
  EXPECT_TRUE(both.adapter);
  EXPECT_EQ(both.weights, (Paths{"model.safetensors"}));
  std::map<std::string, std::uint64_t> sizes{{"model.safetensors", 100}, {"a", 60}, {"b", 40}};
  const auto taken = [&](const Paths& shards) {
    return single_or_shards({"model.safetensors"}, shards,
                            [&](const std::string& path) -> std::optional<std::uint64_t> {
                              const auto at = sizes.find(path);
                              return at == sizes.end() ? std::nullopt : std::optional(at->second);
                            });
  };
  const Paths single{"model.safetensors"};
  EXPECT_EQ(taken({"a", "b"}), single);
  EXPECT_EQ(taken({"a", "absent"}), single);
  EXPECT_EQ(taken({"a", "model.safetensors"}), (Paths{"a", "model.safetensors"}));
  sizes["model.safetensors"] = 50;  // BF16 beside F32
  EXPECT_EQ(taken({"a", "b"}), single);
  sizes["model.safetensors"] = 9;
  EXPECT_EQ(taken({"a", "b"}), (Paths{"a", "b"}));
}

TEST(Select, AnAdapterIsNamedAsWhatItIs) {
  try {
    select_listed("a/b", {"adapter_config.json", "adapter_model.safetensors", "tokenizer.json"});
    FAIL();
  } catch (const Error& error) {
    EXPECT_NE(error.problem().find("a LoRA adapter"), std::string::npos);
    EXPECT_NE(error.hint().find("merge"), std::string::npos);
  }
}

const Paths kGgufs{"m-Q4_K_M.gguf",
                   "m-Q8_0.gguf",
                   "m-IQ4_XS.gguf",
                   "BF16/m-BF16-00001-of-00002.gguf",
                   "BF16/m-BF16-00002-of-00002.gguf",
                   "mmproj-F16.gguf",
                   "config.json"};

TEST(Select, OneOfSeveralGgufFiles) {
  for (const char* id : {"a/b:Q4_K_M", "a/b:q4_k_m", "a/b:m-Q4_K_M.gguf", "a/b:M-q4_k_m.GGUF"}) {
    EXPECT_EQ(select_listed(id, kGgufs).weights, (Paths{"m-Q4_K_M.gguf"})) << id;
  }
  const Paths parts{"BF16/m-BF16-00001-of-00002.gguf", "BF16/m-BF16-00002-of-00002.gguf"};
  for (const char* id :
       {"a/b:BF16", "a/b:BF16/m-BF16-00001-of-00002.gguf", "a/b:m-BF16-00002-of-00002.gguf"}) {
    EXPECT_EQ(select_listed(id, kGgufs).weights, parts) << id;
  }
  EXPECT_EQ(select_listed("a/b", {"x.gguf", "README.md"}).weights, (Paths{"x.gguf"}));
}

TEST(Select, ErrorsNameWhatIsThere) {
  const auto problem = [](const char* id, const Paths& paths) -> std::string {
    try {
      (void)select_listed(id, paths);
    } catch (const Error& error) {
      return error.what();
    }
    return {};
  };
  const Paths unusual{"m-Q5_K_M.gguf", "m-Q8_0.gguf", "mmproj-F16.gguf"};
  EXPECT_NE(problem("a/b", unusual).find("m-Q8_0.gguf"), std::string::npos);
  EXPECT_EQ(problem("a/b", unusual).find("mmproj"), std::string::npos);
  EXPECT_NE(problem("a/b:Q5_0", kGgufs).find("m-Q4_K_M.gguf"), std::string::npos);
  EXPECT_NE(problem("a/b:K_M", {"x-K_M.gguf", "y-K_M.gguf"}).find("y-K_M.gguf"), std::string::npos);
  EXPECT_NE(problem("a/b", {"x-00001-of-00002.gguf"}).find("1 of the 2"), std::string::npos);
  EXPECT_NE(problem("a/b", {"config.json", "pytorch_model.bin"}).find("PyTorch"),
            std::string::npos);
  EXPECT_NE(problem("a/b", {"README.md"}).find("no model*.safetensors"), std::string::npos);
  EXPECT_NE(problem("a/b:Q8_0", {"config.json", "model.safetensors"}).find("has none"),
            std::string::npos);
}

}  // namespace
}  // namespace pajamas::hub
