// Which templates a model has, from a directory or a GGUF file, and which one is taken.
#include "model/chat_templates.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>

#include "base/error.h"
#include "model/tokenizer_config.h"

namespace pajamas::model {
namespace {

namespace fs = std::filesystem;
using nlohmann::json;

class Folder : public testing::Test {
 protected:
  void SetUp() override {
    folder_ = fs::temp_directory_path() / ("pajamas-templates-" + std::to_string(::getpid()));
    fs::remove_all(folder_);
    fs::create_directories(folder_ / "additional_chat_templates");
  }
  void TearDown() override { fs::remove_all(folder_); }

  void put(const char* name, const std::string& content) const {
    std::ofstream(folder_ / name) << content;
  }
  void put(const char* name, const json& content) const { put(name, content.dump()); }

  ChatTemplates templates() const {
    return read_chat_templates(folder_, read_tokenizer_config(folder_));
  }
  std::map<std::string, std::string> tokens() const {
    return named_special_tokens(read_tokenizer_config(folder_));
  }

  fs::path folder_;
};

using FolderOfTemplates = Folder;
using FolderOfTokens = Folder;
using Tokens = std::map<std::string, std::string>;

TEST_F(FolderOfTemplates, AFileWinsOverTheConfiguration) {
  EXPECT_TRUE(templates().empty());
  put("chat_template.json", json{{"chat_template", "legacy"}});
  EXPECT_EQ(templates(), (ChatTemplates{{"default", "legacy"}}));
  put("tokenizer_config.json", json{{"chat_template", "old"}});
  EXPECT_EQ(templates(), (ChatTemplates{{"default", "old"}}));
  put("chat_template.jinja", std::string("new"));
  EXPECT_EQ(templates(), (ChatTemplates{{"default", "new"}}));
}

TEST_F(FolderOfTemplates, OthersLieInAFolderOfTheirOwn) {
  put("tokenizer_config.json", json{{"chat_template", "old"}});
  put("additional_chat_templates/rag.jinja", std::string("R"));
  put("additional_chat_templates/readme.md", std::string("no"));
  // As in transformers, then none is the default.
  EXPECT_EQ(templates(), (ChatTemplates{{"rag", "R"}}));
  put("chat_template.jinja", std::string("D"));
  EXPECT_EQ(templates(), (ChatTemplates{{"default", "D"}, {"rag", "R"}}));
}

TEST_F(FolderOfTemplates, AListNamesThem) {
  const json list = json::array({{{"name", "tool_use"}, {"template", "T"}},
                                 {{"name", "default"}, {"template", "D"}},
                                 {{"name", "none"}, {"template", ""}},
                                 {{"name", 5}, {"template", "x"}},
                                 7});
  put("tokenizer_config.json", json{{"chat_template", list}});
  EXPECT_EQ(templates(), (ChatTemplates{{"default", "D"}, {"tool_use", "T"}}));
  put("tokenizer_config.json", json{{"chat_template", {{"default", "D"}, {"x", "X"}}}});
  EXPECT_EQ(templates(), (ChatTemplates{{"default", "D"}, {"x", "X"}}));
}

TEST_F(FolderOfTemplates, WhatIsEmptyHidesNothing) {
  put("chat_template.json", json{{"chat_template", "legacy"}});
  put("tokenizer_config.json", json{{"chat_template", ""}});
  EXPECT_EQ(templates(), (ChatTemplates{{"default", "legacy"}}));
  put("tokenizer_config.json", json{{"chat_template", "old"}});
  put("chat_template.jinja", std::string());
  EXPECT_EQ(templates(), (ChatTemplates{{"default", "old"}}));
  for (const json& none : {json(nullptr), json(5), json::array(), json::object()}) {
    put("tokenizer_config.json", json{{"chat_template", none}});
    EXPECT_EQ(templates(), (ChatTemplates{{"default", "legacy"}})) << none;
  }
}

TEST(Templates, AreChosenByNameOrByTools) {
  ChatTemplates templates{{"rag", "R"}, {"tool_use", "T"}};
  EXPECT_EQ(chat_template_for(templates, true), "T");
  try {
    (void)chat_template_for(templates, false);
    ADD_FAILURE() << "there is no default";
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), ErrorCode::kUsage);
    EXPECT_NE(error.hint().find("--chat-template: rag, tool_use"), std::string::npos);
  }
  EXPECT_THROW(choose_chat_template(templates, "rog"), Error);
  choose_chat_template(templates, "rag");
  for (const bool tools : {false, true}) EXPECT_EQ(chat_template_for(templates, tools), "R");
  ChatTemplates none;
  EXPECT_THROW((void)chat_template_for(none, false), Error);
  EXPECT_THROW(choose_chat_template(none, "default"), Error);
}

TEST(Templates, LieUnderTheKeysOfLlamaCpp) {
  io::GgufMetadata metadata;
  const ChatTemplates templates{{"default", "D"}, {"tool_use", "T"}, {"ü-a", "1"}, {"__a", "2"}};
  add_chat_templates(templates, metadata);
  EXPECT_EQ(*metadata.find_string("tokenizer.chat_template"), "D");
  EXPECT_EQ(*metadata.find_string("tokenizer.chat_template.tool_use"), "T");
  EXPECT_EQ(*metadata.find_strings("tokenizer.chat_templates"),
            (std::vector<std::string>{"__a", "tool_use", "__a_"}));
  EXPECT_EQ(*metadata.find_string("tokenizer.chat_template.__a"), "2");
  EXPECT_EQ(*metadata.find_string("tokenizer.chat_template.__a_"), "1");
  EXPECT_EQ(chat_templates_of(metadata).size(), 4u);
}

TEST(Templates, OfGgufNeedNoListOfNames) {
  io::GgufMetadata metadata;
  metadata.add("tokenizer.chat_template", std::string());
  metadata.add("tokenizer.chat_template.a_b", std::string("B"));
  ChatTemplates templates = chat_templates_of(metadata);
  EXPECT_EQ(templates, (ChatTemplates{{"a_b", "B"}}));
  choose_chat_template(templates, "a-b");  // as the checkpoint calls it
  EXPECT_EQ(chat_template_for(templates, false), "B");
  metadata = {};
  add_chat_templates({{"default", "D"}}, metadata);
  EXPECT_EQ(metadata.pairs().size(), 1u);
}

TEST_F(FolderOfTokens, TheMapStandsOverTheConfiguration) {
  EXPECT_EQ(tokens(), Tokens{});
  put("special_tokens_map.json", json{{"bos_token", {{"content", "<b>"}, {"lstrip", false}}},
                                      {"pad_token", nullptr},
                                      {"additional_special_tokens", {"<x>"}}});
  put("tokenizer_config.json",
      json{{"bos_token", "old"}, {"eos_token", "<e>"}, {"pad_token", "<p>"}});
  EXPECT_EQ(tokens(), (Tokens{{"bos_token", "<b>"}, {"eos_token", "<e>"}}));
  // Where the configuration describes every added token, it alone counts.
  put("tokenizer_config.json",
      json{{"bos_token", "new"}, {"added_tokens_decoder", json::object()}});
  EXPECT_EQ(tokens(), (Tokens{{"bos_token", "new"}}));
}

TEST_F(FolderOfTokens, OthersHaveNamesToo) {
  put("tokenizer_config.json", json{{"image_token", "<i>"},
                                    {"add_bos_token", true},
                                    {"extra_special_tokens", {{"boi", "<boi>"}, {"n", 5}}}});
  put("special_tokens_map.json",
      json{{"audio_token", "<a>"}, {"extra_special_tokens", {{"eoi", {{"content", "<eoi>"}}}}}});
  EXPECT_EQ(
      tokens(),
      (Tokens{{"image_token", "<i>"}, {"audio_token", "<a>"}, {"boi", "<boi>"}, {"eoi", "<eoi>"}}));
  put("special_tokens_map.json", json{{"extra_special_tokens", {"<x>"}}});
  EXPECT_EQ(tokens(), (Tokens{{"image_token", "<i>"}, {"boi", "<boi>"}}));
  put("special_tokens_map.json", json::array());
  EXPECT_THROW(tokens(), Error);
}

}  // namespace
}  // namespace pajamas::model
