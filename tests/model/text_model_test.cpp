// A model's text ready to use: templates are parsed once, vocabularies padded.
#include "model/text_model.h"

#include <gtest/gtest.h>

#include <ctime>

#include "base/error.h"
#include "model/chat.h"
#include "paths.h"

namespace pajamas::model {
namespace {

TextAssets tiny() { return load_text_assets(source_dir() + "/models/tiny-qwen2"); }

TEST(ChatFormat, ParsesATemplateOnce) {
  TextAssets assets = tiny();
  assets.chat_templates["tool_use"] = "tools";
  const ChatFormat format(assets);
  const text::ChatTemplate* first = &format.chat_template(false);
  EXPECT_EQ(&format.chat_template(false), first);
  EXPECT_NE(&format.chat_template(true), first);
  EXPECT_EQ(format.readable_templates().front(), first);
}

// A template that is broken is an error for who uses it, each time, and for nobody else.
TEST(ChatFormat, BrokenTemplatesAreErrorsOfTheirUsers) {
  TextAssets assets;
  assets.chat_templates = {{"default", "{{ x }}"}, {"tool_use", "{% if %}"}};
  const ChatFormat format(assets);
  EXPECT_EQ(format.readable_templates().size(), 1u);
  for (int i = 0; i < 2; ++i) EXPECT_THROW((void)format.chat_template(true), Error);
  EXPECT_NO_THROW((void)format.chat_template(false));
  StopFlag stop;
  stop.request();
  TextAssets large;
  large.chat_templates["default"] = std::string(1 << 20, 'x') + "{{ 1 }}";
  const ChatFormat interrupted(large);
  try {
    (void)interrupted.chat_template(false, &stop);
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), ErrorCode::kInterrupted);
  }
  EXPECT_NO_THROW((void)interrupted.chat_template(false));
}

TEST(TextModel, PadsTheVocabularyWithTokensWithoutText) {
  const TextModel exact(tiny());
  const std::size_t known = exact.tokenizer().vocab_size();
  const auto beyond = static_cast<std::int32_t>(known) + 6;
  EXPECT_THROW((void)exact.tokenizer().token_bytes(beyond), Error);
  const TextModel padded(tiny(), known + 7);
  EXPECT_EQ(padded.tokenizer().token_bytes(beyond), "");
  EXPECT_THROW((void)padded.tokenizer().token_bytes(beyond + 1), Error);
  EXPECT_EQ(padded.encode("We the people"), exact.encode("We the people"));
  EXPECT_EQ(TextModel(tiny(), 3).tokenizer().vocab_size(), known);
}

TEST(TextModel, EncodesBehindTheFirstToken) {
  TextAssets assets = tiny();
  const std::vector<std::int32_t> plain = TextModel(assets).encode("We<|im_end|>");
  EXPECT_GT(plain.size(), 2u);  // what users write is no special token
  assets.add_bos = true;
  assets.special.bos = 7;
  const std::vector<std::int32_t> with = TextModel(assets).encode("We<|im_end|>");
  EXPECT_EQ(with.front(), 7);
  EXPECT_EQ(std::vector(with.begin() + 1, with.end()), plain);
}

}  // namespace
}  // namespace pajamas::model
