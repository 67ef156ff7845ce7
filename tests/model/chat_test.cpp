// A conversation over several turns, as templates want it.
#include "model/chat.h"

#include <gtest/gtest.h>

#include <filesystem>

#include "base/error.h"
#include "paths.h"

namespace pajamas::model {
namespace {

using nlohmann::ordered_json;

TextAssets assets_of(const char* name) {
  return load_text_assets(std::filesystem::path(source_dir()) / "models" / name);
}

std::string render(const TextAssets& assets, const ordered_json& messages,
                   const ordered_json& tools = nullptr) {
  std::tm now{};
  now.tm_year = 124, now.tm_mday = 1;
  return render_chat(assets, messages, tools, ordered_json::object(), true, now);
}

const ordered_json kHi = {{"role", "user"}, {"content", "Hi"}};

// What the model generated after `messages`, as the message that follows them.
ordered_json answered(const TextAssets& assets, const ordered_json& messages,
                      const std::string& generated) {
  const text::Tokenizer tokenizer(assets.tokenizer);
  const auto ids = [&](const std::string& text) {
    return tokenizer.encode(text, {.parse_special = true});
  };
  text::AnswerSplitter splitter(tokenizer,
                                text::find_answer_format(tokenizer, &*assets.chat_template),
                                ids(render(assets, messages)));
  const auto ignore = [](text::AnswerPart, std::string_view) {};
  for (const std::int32_t id : ids(generated)) splitter.push(id, ignore);
  splitter.finish(ignore);
  return history_message(assets, splitter.answer());
}

TEST(History, HarmonyForgetsReasoningBehindAnAnswer) {
  const TextAssets assets = assets_of("tiny-gpt-oss");
  ordered_json messages = ordered_json::array({kHi});
  const std::string before = render(assets, messages);
  messages.push_back(answered(assets, messages,
                              "<|channel|>analysis<|message|>Greet.<|end|><|start|>assistant"
                              "<|channel|>final<|message|>Hello"));
  EXPECT_EQ(messages[1], ordered_json({{"role", "assistant"}, {"content", "Hello"}}));
  messages.push_back(kHi);
  EXPECT_EQ(render(assets, messages),
            before +
                "<|channel|>final<|message|>Hello<|end|><|start|>user<|message|>Hi<|end|>"
                "<|start|>assistant");
}

TEST(History, HarmonyKeepsReasoningOnTheWayToAResult) {
  const TextAssets assets = assets_of("tiny-gpt-oss");
  ordered_json messages = ordered_json::array({kHi});
  const std::string before = render(assets, messages);
  messages.push_back(
      answered(assets, messages,
               "<|channel|>analysis<|message|>Look.<|end|><|start|>assistant"
               "<|channel|>commentary to=functions.f <|constrain|>json<|message|>{\"a\":[1,2]}"));
  const std::string thought = before + "<|channel|>analysis<|message|>Look.";
  messages.push_back({{"role", "tool"}, {"content", "3"}});
  EXPECT_EQ(render(assets, messages),
            thought +
                "<|end|><|start|>assistant to=functions.f<|channel|>commentary json<|message|>"
                "{\"a\": [1, 2]}<|call|><|start|>functions.f to=assistant<|channel|>commentary"
                "<|message|>\"3\"<|end|><|start|>assistant");
  // With a word to the user on the way, the template still has a single place for both.
  const ordered_json both =
      answered(assets, ordered_json::array({kHi}),
               "<|channel|>analysis<|message|>Look.<|end|><|start|>assistant<|channel|>commentary"
               "<|message|>Wait.<|end|><|start|>assistant to=functions.f<|channel|>commentary"
               "<|constrain|>json<|message|>{\"broken");
  EXPECT_EQ(both["thinking"], "Look.\n\nWait.");
  EXPECT_EQ(both["content"], "");
  EXPECT_EQ(both["tool_calls"][0]["function"]["arguments"], "{\"broken");
  EXPECT_NO_THROW(render(assets, ordered_json::array({kHi, both})));
}

TEST(History, ThinkTagsStayOutOfTheNextTurn) {
  const TextAssets assets = assets_of("tiny-qwen3-moe");
  ordered_json messages = ordered_json::array({kHi});
  messages.push_back(answered(assets, messages, "<think>\nGreet.\n</think>\n\nHello"));
  EXPECT_EQ(messages[1]["content"], "Hello");
  messages.push_back(kHi);
  EXPECT_EQ(render(assets, messages),
            "<|im_start|>user\nHi<|im_end|>\n<|im_start|>assistant\nHello<|im_end|>\n"
            "<|im_start|>user\nHi<|im_end|>\n<|im_start|>assistant\n");
}

TEST(History, WhatWasCutInsideACharacterRenders) {
  const TextAssets assets = assets_of("tiny-gpt-oss");
  const ordered_json message = history_message(assets, {"\xC3", "a\xE4\xBD", {}});
  EXPECT_EQ(message["content"], "a\xEF\xBF\xBD");
  EXPECT_NO_THROW(render(assets, ordered_json::array({kHi, message})));
}

TEST(Reasoning, IsToldInTheWordsOfTheTemplate) {
  TextAssets assets = assets_of("tiny-gpt-oss");
  EXPECT_EQ(reasoning_options(assets, "high").variables,
            ordered_json({{"reasoning_effort", "high"}}));
  EXPECT_THROW(reasoning_options(assets, "off"), Error);
  assets = assets_of("tiny-qwen3-moe");
  EXPECT_EQ(reasoning_options(assets, "off").variables, ordered_json({{"enable_thinking", false}}));
  EXPECT_EQ(reasoning_options(assets, "off").note, "");
  EXPECT_EQ(reasoning_options(assets, "low").variables, ordered_json({{"enable_thinking", true}}));
  EXPECT_NE(reasoning_options(assets, "low").note, "");
  assets.chat_template = "{# reasoning_effort #}{{ message.reasoning_effort }}'enable_thinking'";
  EXPECT_TRUE(reasoning_options(assets, "low").variables.empty());
  EXPECT_NE(reasoning_options(assets, "low").note, "");
  assets.chat_template = "{{ enable_thinking }}{{ reasoning_effort }}";
  EXPECT_EQ(reasoning_options(assets, "low").variables.size(), 2u);
  EXPECT_EQ(reasoning_options(assets, "off").variables, ordered_json({{"enable_thinking", false}}));
  assets.chat_template.reset();
  EXPECT_THROW(reasoning_options(assets, "low"), Error);
}

}  // namespace
}  // namespace pajamas::model
