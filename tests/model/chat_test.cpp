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
  return render_chat(ChatFormat(assets), messages, tools, ordered_json::object(), true, now);
}

const ordered_json kHi = {{"role", "user"}, {"content", "Hi"}};

// What the model generated after `messages`, as the message that follows them.
ordered_json answered(const TextAssets& assets, const ordered_json& messages,
                      const std::string& generated) {
  const text::Tokenizer tokenizer(assets.tokenizer);
  const auto ids = [&](const std::string& text) {
    return tokenizer.encode(text, {.parse_special = true});
  };
  text::AnswerSplitter splitter(
      tokenizer, text::find_answer_format(tokenizer, &assets.chat_templates.at("default")),
      ids(render(assets, messages)));
  const auto ignore = [](text::AnswerPart, std::string_view) {};
  for (const std::int32_t id : ids(generated)) splitter.push(id, ignore);
  splitter.finish(ignore);
  return history_message(ChatFormat(assets), splitter.answer());
}

TEST(History, HarmonyForgetsReasoningBehindAnAnswer) {
  const TextAssets assets = assets_of("tiny-gpt-oss");
  ordered_json messages = ordered_json::array({kHi});
  const std::string before = render(assets, messages);
  messages.push_back(answered(assets, messages,
                              "<|channel|>analysis<|message|>Greet.<|end|><|start|>assistant"
                              "<|channel|>final<|message|>Hello"));
  EXPECT_EQ(
      messages[1],
      ordered_json({{"role", "assistant"}, {"content", "Hello"}, {"reasoning_content", "Greet."}}));
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
  const ordered_json message = history_message(ChatFormat(assets), {"\xC3", "a\xE4\xBD", {}});
  EXPECT_EQ(message["content"], "a\xEF\xBF\xBD");
  EXPECT_NO_THROW(render(assets, ordered_json::array({kHi, message})));
}

// What `source` renders of the conversation, without anything that it does not write itself.
std::string rendered(const std::string& source, const ordered_json& messages,
                     const ordered_json& tools = nullptr) {
  TextAssets assets;
  assets.chat_templates["default"] = source;
  return render(assets, messages, tools);
}

const char* const kAsTheyAre = "{% for m in messages %}{{ m | tojson }}{% endfor %}";

TEST(Messages, NullIsAsIfItWereNotThere) {
  const ordered_json messages = ordered_json::parse(
      R"([{"role": "assistant", "content": null, "tool_calls": null, "x": {"y": null}}])");
  EXPECT_EQ(rendered(kAsTheyAre, messages), R"({"role": "assistant", "x": {"y": null}})");
}

// As transformers 5.24 renders them, the order of the keys included.
TEST(Messages, ReasoningHasItsStandardNames) {
  const auto one = [](const char* message) {
    return rendered(kAsTheyAre, ordered_json::array({ordered_json::parse(message)}));
  };
  EXPECT_EQ(one(R"({"role": "a", "thinking": "t"})"),
            R"({"thinking": "t", "role": "a", "reasoning_content": "t"})");
  EXPECT_EQ(one(R"({"reasoning_content": "r", "role": "a"})"),
            R"({"thinking": "r", "reasoning_content": "r", "role": "a"})");
  EXPECT_EQ(one(R"({"reasoning": "r", "role": "a"})"),
            R"({"thinking": "r", "reasoning": "r", "role": "a", "reasoning_content": "r"})");
  EXPECT_EQ(one(R"({"reasoning_content": null, "thinking": "t", "reasoning": "r"})"),
            R"({"thinking": "t", "reasoning": "r", "reasoning_content": "t"})");
  EXPECT_EQ(one(R"({"reasoning_content": "r", "thinking": "t"})"),
            R"({"thinking": "t", "reasoning_content": "r"})");
}

TEST(Messages, PartsOfTextAreJoinedWhereTheTemplateDoesNotKnowThem) {
  const ordered_json messages = ordered_json::parse(
      R"([{"role": "system", "content": [{"type": "text", "text": " S "}]},
          {"role": "user", "content": [{"type": "text", "text": " a "}, {"text": "b "}]},
          {"role": "tool", "content": [{"type": "image"}]},
          {"role": "tool", "content": []}])");
  // Adding fails on a list, writing shows it as Python does, and JSON as it does.
  EXPECT_EQ(rendered("{{ messages[0]['content'] + messages[1]['content'] }}", messages),
            " S  a b ");
  EXPECT_EQ(rendered("{% for m in messages %}{{ m.content }}{% endfor %}", messages),
            " S  a b [{'type': 'image'}][]");
  EXPECT_EQ(rendered("{{ messages[1].content | tojson }}", messages), "\" a b \"");
  // This one trims every part of a question, and knows no parts of a system message.
  EXPECT_EQ(rendered("{{ '<' + messages[0].content + '>' }}{% if messages[1].content is string %}"
                     "{{ messages[1].content }}{% else %}{% for p in messages[1].content %}"
                     "{{ p.text | trim }}|{% endfor %}{% endif %}",
                     messages),
            "< S >a|b|");
}

TEST(Messages, ArgumentsStayTextOrObject) {
  const ordered_json messages = ordered_json::parse(
      R"([{"role": "assistant", "tool_calls": [{"function": {"name": "f", "arguments": "{}"}},
          {"function": {"name": "f", "arguments": {}}}]}])");
  EXPECT_EQ(rendered("{% for c in messages[0].tool_calls %}{{ c.function.arguments | tojson }} "
                     "{% endfor %}",
                     messages),
            R"("{}" {} )");
}

TEST(Messages, AreObjects) { EXPECT_THROW(rendered(kAsTheyAre, ordered_json::array({5})), Error); }

TEST(Templates, ToolsTakeTheirOwnEvenAnEmptyList) {
  TextAssets assets;
  assets.chat_templates = {{"default", "D"}, {"tool_use", "T"}};
  const ordered_json none = ordered_json::array();
  EXPECT_EQ(render(assets, none), "D");
  EXPECT_EQ(render(assets, none, none), "T");
  assets.chat_templates = {{"default", "D"}, {"rag", "R"}};
  EXPECT_EQ(render(assets, none, none), "D");
}

TEST(History, CallsCanBeWrittenToFiles) {
  const text::ToolCall odd{"functions.f\xC3", "json\xC3",
                           std::string(9000, '[') + std::string(9000, ']')};
  const ordered_json message =
      history_message(ChatFormat(assets_of("tiny-gpt-oss")), {"", "", {odd}});
  const ordered_json& function = message["tool_calls"][0]["function"];
  EXPECT_EQ(function["name"], "f\uFFFD");
  EXPECT_EQ(function["content_type"], "json\uFFFD");
  EXPECT_EQ(function["arguments"], odd.arguments);  // nothing can be made of it
}

TEST(Reasoning, IsToldInTheWordsOfTheTemplate) {
  TextAssets assets = assets_of("tiny-gpt-oss");
  EXPECT_EQ(reasoning_options(ChatFormat(assets), "high").variables,
            ordered_json({{"reasoning_effort", "high"}}));
  EXPECT_THROW(reasoning_options(ChatFormat(assets), "off"), Error);
  assets = assets_of("tiny-qwen3-moe");
  EXPECT_EQ(reasoning_options(ChatFormat(assets), "off").variables,
            ordered_json({{"enable_thinking", false}}));
  EXPECT_EQ(reasoning_options(ChatFormat(assets), "off").note, "");
  EXPECT_EQ(reasoning_options(ChatFormat(assets), "low").variables,
            ordered_json({{"enable_thinking", true}}));
  EXPECT_NE(reasoning_options(ChatFormat(assets), "low").note, "");
  assets.chat_templates["default"] =
      "{# reasoning_effort #}{{ message.reasoning_effort }}'enable_thinking'";
  EXPECT_TRUE(reasoning_options(ChatFormat(assets), "low").variables.empty());
  EXPECT_NE(reasoning_options(ChatFormat(assets), "low").note, "");
  assets.chat_templates["default"] = "{{ enable_thinking }}{{ reasoning_effort }}";
  EXPECT_EQ(reasoning_options(ChatFormat(assets), "low").variables.size(), 2u);
  EXPECT_EQ(reasoning_options(ChatFormat(assets), "off").variables,
            ordered_json({{"enable_thinking", false}}));
  assets.chat_templates.clear();
  EXPECT_THROW(reasoning_options(ChatFormat(assets), "low"), Error);
}

TEST(Tools, AreToldWhereTheTemplateDoesNotReadThem) {
  TextAssets assets = assets_of("tiny-qwen2");
  const ordered_json tools = ordered_json::array({{{"type", "function"}}});
  EXPECT_EQ(unread_tools_note(ChatFormat(assets), tools), "");
  assets.chat_templates = {{"default", "{% for m in messages %}{{ m.content }}{% endfor %}"}};
  EXPECT_NE(unread_tools_note(ChatFormat(assets), tools), "");
  EXPECT_EQ(unread_tools_note(ChatFormat(assets), nullptr), "");
  EXPECT_EQ(unread_tools_note(ChatFormat(assets), ordered_json::array()), "");
  assets.chat_templates["tool_use"] = "{{ tools }}";
  EXPECT_EQ(unread_tools_note(ChatFormat(assets), tools), "");
  EXPECT_EQ(unread_tools_note(ChatFormat(TextAssets()), tools), "");
}

}  // namespace
}  // namespace pajamas::model
