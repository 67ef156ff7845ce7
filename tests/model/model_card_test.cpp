#include "model/model_card.h"

#include <gtest/gtest.h>

#include "io/temp.h"

namespace pajamas::model {
namespace {

using test::expect_error;
using test::TempFolder;

// What `load_model_card` makes of a README.md, and whether it has something to say.
struct Loaded {
  ModelCard card;
  std::vector<std::string> notes;
};
Loaded load(std::string_view readme) {
  const TempFolder folder;
  folder.write("README.md", readme);
  Loaded loaded;
  loaded.card = load_model_card(folder.path(), loaded.notes);
  return loaded;
}

TEST(ModelCard, FrontMatterIsWhatStandsBetweenTheLines) {
  EXPECT_EQ(front_matter("---\na: b\n---\n# Text\n---\n"), "a: b\n");
  EXPECT_EQ(front_matter("\xEF\xBB\xBF---\r\na: b\r\n---\r\ntext"), "a: b\r\n");
  EXPECT_EQ(front_matter("---\n---"), "");
  EXPECT_EQ(front_matter("# Text\n---\na: b\n---\n"), std::nullopt);
  EXPECT_EQ(front_matter("----\na: b\n---\n"), std::nullopt);
  EXPECT_EQ(front_matter(""), std::nullopt);
  expect_error(ErrorCode::kCorruptFile, "no last line", [] { (void)front_matter("---\na: b\n"); });
}

TEST(ModelCard, KeysAreThoseOfTheConverter) {
  const ModelCard card = parse_model_card(
      "model_creator: Somebody\nauthor: Someone\nlicense: [mit, other]\nlicense_link: l\n"
      "base_model: a/b\ndatasets:\n- c/d\n- name: e\n  odd: f\n- 7\n-\n"
      "pipeline_tag: text-generation\ntags:\n- x\nlanguage: en\nmodel_type: qwen2\n"
      "version: 1.10\nname: [no, text]\n");
  EXPECT_EQ(card.author, "Someone");
  EXPECT_EQ(card.license, "mit,other");
  EXPECT_EQ(card.license_link, "l");
  EXPECT_EQ(card.version, "1.10");
  EXPECT_EQ(card.name, "");
  EXPECT_EQ(card.basename, "qwen2");
  ASSERT_TRUE(card.base_models);
  ASSERT_EQ(card.base_models->size(), 1u);
  EXPECT_EQ(card.base_models->front().id, "a/b");
  ASSERT_TRUE(card.datasets);
  ASSERT_EQ(card.datasets->size(), 3u);
  EXPECT_EQ((*card.datasets)[1].fields, (std::map<std::string, std::string>{{"name", "e"}}));
  EXPECT_EQ(card.tags, (std::vector<std::string>{"x", "text-generation"}));
  EXPECT_EQ(card.languages, (std::vector<std::string>{"en"}));
  EXPECT_FALSE(parse_model_card("license: mit\n").base_models);
  EXPECT_EQ(parse_model_card("license:\tmit\n").license, "mit");  // published ones have tabs
}

TEST(ModelCard, ABrokenOneIsANote) {
  EXPECT_TRUE(load("# no front matter\n").notes.empty());
  EXPECT_TRUE(load("").notes.empty());
  EXPECT_TRUE(load("---\njust text\n---\n").notes.empty());
  for (const std::string readme : {"---\nlicense: [mit\n---\n", "---\nlicense: mit\n",
                                   "---\na: &x [1]\nb: *x\n---\n", "---\na: \xff\n---\n"}) {
    const Loaded loaded = load(readme);
    ASSERT_EQ(loaded.notes.size(), 1u) << readme;
    EXPECT_NE(loaded.notes[0].find("README.md"), std::string::npos);
    EXPECT_EQ(loaded.card.license, "");
  }
  const Loaded huge = load("---\nlicense: mit\ntext: " + std::string(3 << 20, 'x') + "\n---\n");
  ASSERT_EQ(huge.notes.size(), 1u);
  EXPECT_NE(huge.notes[0].find("longer than 2 MiB"), std::string::npos);
  // What comes behind the front matter may be as long as it likes.
  EXPECT_EQ(load("---\nlicense: mit\n---\n" + std::string(3 << 20, 'x')).card.license, "mit");
}

TEST(ModelCard, ListsHaveAnEnd) {
  std::string yaml = "tags:\n";
  for (int i = 0; i < 5000; ++i) yaml += "- t\n";
  yaml += "base_model:\n";
  for (int i = 0; i < 5000; ++i) yaml += "- a/b\n";
  const ModelCard card = parse_model_card(yaml);
  EXPECT_EQ(card.tags.size(), 1000u);
  EXPECT_EQ(card.base_models->size(), 1000u);
}

TEST(ModelCard, AFolderWithoutOneHasNothingToSay) {
  const TempFolder folder;
  std::vector<std::string> notes;
  EXPECT_EQ(load_model_card(folder.path(), notes).license, "");
  std::filesystem::create_directory(folder.path() / "README.md");
  EXPECT_EQ(load_model_card(folder.path(), notes).license, "");
  EXPECT_TRUE(notes.empty());
}

}  // namespace
}  // namespace pajamas::model
