#include "hub/upload_text.h"

#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "base/error.h"

namespace pajamas::hub {
namespace {

using nlohmann::json;

LocalFile file_of(std::string path, std::uint64_t size, bool large, std::string digest) {
  return {.path = std::move(path),
          .source = {},
          .size = size,
          .large = large,
          .digest = std::move(digest)};
}

ErrorCode failure_of(const auto& fn) {
  try {
    fn();
  } catch (const Error& error) {
    return error.code();
  }
  return ErrorCode::kInternal;
}

TEST(UploadText, AsTheProtocolHasIt) {
  const LocalFile small = file_of("a \"b\".txt", 3, false, "x");
  const LocalFile large = file_of("m.gguf", 12, true, "abc");
  EXPECT_EQ(json::parse(commit_line(small, "\x01\xff\x00z" + std::string())),
            json::parse(R"({"key": "file", "value": {"content": "Af8=", "path": "a \"b\".txt",
                            "encoding": "base64"}})"));
  EXPECT_EQ(json::parse(commit_line(large, "")),
            json::parse(R"({"key": "lfsFile", "value": {"path": "m.gguf", "algo": "sha256",
                            "oid": "abc", "size": 12}})"));
  EXPECT_EQ(commit_head("a\nb").find('\n'), commit_head("a\nb").size() - 1);  // a line
  const LocalFile* const files[] = {&large};
  const json batch = json::parse(batch_text("main", files));
  EXPECT_EQ(batch["operation"], "upload");
  EXPECT_EQ(batch["objects"], json::parse(R"([{"oid": "abc", "size": 12}])"));
  EXPECT_EQ(batch["ref"]["name"], "main");
  const std::string etags[] = {"\"1\"", "\"2\""};
  EXPECT_EQ(json::parse(completion_text("abc", etags)),
            json::parse(R"({"oid": "abc", "parts": [{"partNumber": 1, "etag": "\"1\""},
                            {"partNumber": 2, "etag": "\"2\""}]})"));
  const json create = json::parse(create_text("me", "m", true));
  EXPECT_EQ(create["visibility"], "private");
  EXPECT_EQ(create["organization"], "me");
}

TEST(UploadText, WhatTheHubDecides) {
  std::vector<LocalFile> files{file_of("a", 5, false, ""), file_of("b", 5, false, ""),
                               file_of("c", 0, false, "")};
  parse_preupload(R"({"files": [{"path": "b", "uploadMode": "lfs", "shouldIgnore": false},
      {"path": "a", "uploadMode": "regular", "shouldIgnore": true},
      {"path": "c", "uploadMode": "lfs"}]})",
                  files);
  EXPECT_TRUE(!files[0].large && files[0].ignored);
  EXPECT_TRUE(files[1].large && !files[1].ignored);
  EXPECT_FALSE(files[2].large);  // the store takes nothing empty
  for (const char* text : {R"({"files": []})", R"({"files": [{"path": "a", "uploadMode": "x"}]})",
                           "[]", "{}", "", R"({"files": {}})"}) {
    EXPECT_EQ(failure_of([&] { parse_preupload(text, files); }), ErrorCode::kCorruptFile) << text;
  }
}

TEST(UploadText, PartsComeInTheirOrder) {
  const auto objects = parse_batch(R"({"objects": [
      {"oid": "there", "size": 9},
      {"oid": "one", "size": 9, "actions": {"upload": {"href": "https://s/1",
          "header": {"X-A": "b"}}, "verify": {"href": "https://h/v"}}},
      {"oid": "parts", "size": 25, "actions": {"upload": {"href": "https://h/done",
          "header": {"chunk_size": "10", "00003": "https://s/3", "00010": "https://s/10",
                     "00001": "https://s/1"}}}}]})");
  ASSERT_EQ(objects.size(), 3u);
  EXPECT_FALSE(objects[0].upload);
  EXPECT_EQ(objects[1].upload->headers, std::vector<std::string>{"X-A: b"});
  EXPECT_EQ(objects[1].part_bytes, 0u);
  EXPECT_EQ(objects[1].verify->url, "https://h/v");
  EXPECT_EQ(objects[2].part_bytes, 10u);
  EXPECT_EQ(objects[2].part_urls,
            (std::vector<std::string>{"https://s/1", "https://s/3", "https://s/10"}));
}

TEST(UploadText, WhatAStoreMaySayWrong) {
  for (const char* upload :
       {R"({"href": 5})", R"({})", R"({"href": "file:///etc/passwd"})",
        R"({"href": "https://s", "header": {"chunk_size": "0"}})",
        R"({"href": "https://s", "header": {"chunk_size": "x"}})",
        R"({"href": "https://s", "header": {"chunk_size": "4", "1": "https://s/1"}})",
        R"({"href": "https://s", "header": {"chunk_size": "9", "1": "no"}})",
        R"({"href": "https://s", "header": {"X": "a\r\nAuthorization: b"}})",
        R"({"href": "https://s\r\nX: y"})"}) {
    const std::string text = std::string(R"({"objects": [{"oid": "a", "size": 9, "actions": )") +
                             R"({"upload": )" + upload + "}}]}";
    EXPECT_EQ(failure_of([&] { (void)parse_batch(text); }), ErrorCode::kCorruptFile) << text;
  }
  EXPECT_EQ(failure_of([] {
              (void)parse_batch(R"({"objects": [{"oid": "a", "size": 9, "error":
                  {"code": 403, "message": "full"}}]})");
            }),
            ErrorCode::kNetwork);
  EXPECT_EQ(failure_of([] { (void)parse_made_commit("{}"); }), ErrorCode::kCorruptFile);
  EXPECT_EQ(failure_of([] { (void)parse_is_private(R"({"private": 1})"); }),
            ErrorCode::kCorruptFile);
}

}  // namespace
}  // namespace pajamas::hub
