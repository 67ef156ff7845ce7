// Conversations: what goes to the model, what is dropped, and files of them.
#include "model/conversation.h"

#include <gtest/gtest.h>

#include <filesystem>

#include "base/error.h"
#include "model/chat.h"
#include "model/chat_messages.h"
#include "paths.h"

namespace pajamas::model {
namespace {

using nlohmann::ordered_json;

struct Subject {
  explicit Subject(const char* name, ConversationOptions options = {})
      : Subject(load_text_assets(std::filesystem::path(source_dir()) / "models" / name),
                std::move(options)) {}
  Subject(TextAssets assets, ConversationOptions options)
      : model(std::move(assets)), conversation(model, std::move(options)) {}

  const text::Tokenizer& tokenizer() const { return model.tokenizer(); }
  std::string text() const { return tokenizer().decode(conversation.tokens()); }
  void say(const std::string& question, const std::string& answer) {
    conversation.ask(question);
    conversation.answer({.reasoning = {}, .content = answer, .calls = {}});
  }

  TextModel model;
  Conversation conversation;
};

TEST(Conversation, IsRenderedByTheTemplate) {
  Subject qwen("tiny-qwen2");
  qwen.conversation.set_system("Be brief.");
  qwen.say("Who?", "Me.");
  qwen.conversation.ask("Why?");
  EXPECT_EQ(qwen.text(),
            "<|im_start|>system\nBe brief.<|im_end|>\n<|im_start|>user\nWho?<|im_end|>\n"
            "<|im_start|>assistant\nMe.<|im_end|>\n<|im_start|>user\nWhy?<|im_end|>\n"
            "<|im_start|>assistant\n");
  qwen.conversation.reset();
  qwen.conversation.ask("Hm?");
  EXPECT_EQ(qwen.text(),
            "<|im_start|>system\nBe brief.<|im_end|>\n<|im_start|>user\nHm?<|im_end|>\n"
            "<|im_start|>assistant\n");
}

TEST(Conversation, RawIsOneTextALineAQuestion) {
  Subject qwen("tiny-qwen2", {.raw = true});
  qwen.say("Once upon", " a time.");
  qwen.conversation.ask("Then");
  EXPECT_EQ(qwen.text(), "Once upon a time.\nThen");
}

TEST(Conversation, RawBeginsWithOneBeginningOfText) {
  TextAssets assets = load_text_assets(source_dir() + "/models/tiny-qwen2");
  assets.add_bos = true;
  assets.special.bos = 5;
  Subject qwen(std::move(assets), {.raw = true});
  qwen.conversation.ask("Once upon");
  const std::vector<std::int32_t> first = qwen.conversation.tokens();
  EXPECT_EQ(first.front(), 5);
  qwen.conversation.answer({.reasoning = {}, .content = " a time", .calls = {}});
  const std::vector<std::int32_t> next = qwen.conversation.tokens(first);
  EXPECT_TRUE(std::equal(first.begin(), first.end(), next.begin()));
  EXPECT_EQ(qwen.tokenizer().decode(std::span(next).subspan(1)), "Once upon a time");
  EXPECT_EQ(qwen.conversation.tokens(std::span(first).subspan(1)).front(), 5);
}

std::string word(int i) { return "word" + std::to_string(i); }

TEST(Conversation, DropsOldestTurnsUntilHalfIsFree) {
  Subject qwen("tiny-qwen2");
  qwen.conversation.set_system("Remember.");
  for (int i = 0; i < 20; ++i) qwen.say(word(i), "yes");
  qwen.conversation.ask("last?");
  const std::size_t all = qwen.conversation.tokens().size();
  EXPECT_EQ(qwen.conversation.fit({}, all + 10, 10).size(), all);
  EXPECT_EQ(qwen.conversation.dropped(), 0u);

  const std::size_t context = all + 9;
  const auto ids = qwen.conversation.fit({}, context, 10);
  EXPECT_LE(ids.size(), context / 2);
  const std::size_t dropped = qwen.conversation.dropped();
  EXPECT_GT(dropped, 5u);
  EXPECT_LT(dropped, 20u);
  const std::string text = qwen.tokenizer().decode(ids);
  EXPECT_TRUE(text.starts_with("<|im_start|>system\nRemember.<|im_end|>\n<|im_start|>user\n" +
                               word(static_cast<int>(dropped)) + "<|im_end|>"))
      << text;
  EXPECT_TRUE(text.ends_with("last?<|im_end|>\n<|im_start|>assistant\n"));
  EXPECT_EQ(ids, qwen.conversation.tokens());
  // One turn more would have been too many.
  Subject longer("tiny-qwen2");
  longer.conversation.set_system("Remember.");
  for (int i = static_cast<int>(dropped) - 1; i < 20; ++i) longer.say(word(i), "yes");
  longer.conversation.ask("last?");
  EXPECT_GT(longer.conversation.tokens().size(), context / 2);
  // What is dropped is not forgotten.
  EXPECT_EQ(qwen.conversation.turns().size(), 21u);
  EXPECT_NE(qwen.conversation.to_json("m").find(word(0)), std::string::npos);
}

TEST(Conversation, AMessageThatNeverFitsDropsNothing) {
  Subject qwen("tiny-qwen2");
  for (int i = 0; i < 3; ++i) qwen.say(word(i), "yes");
  std::string message;
  for (int i = 0; i < 100; ++i) message += word(i) + " ";
  qwen.conversation.ask(message);
  try {
    (void)qwen.conversation.fit({}, 200, 10);
    FAIL() << "accepted";
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), ErrorCode::kUsage);
  }
  EXPECT_EQ(qwen.conversation.dropped(), 0u);
  qwen.conversation.take_back();
  EXPECT_EQ(qwen.conversation.turns().size(), 3u);
  // Alone it may take more than a half, and the room that is kept for an answer.
  Subject alone("tiny-qwen2");
  alone.say("a", "b");
  alone.conversation.ask(word(1));
  Subject fresh("tiny-qwen2");
  fresh.conversation.ask(word(1));
  const std::size_t size = fresh.conversation.tokens().size();
  EXPECT_EQ(alone.conversation.fit({}, size + 1, 10).size(), size);
  EXPECT_EQ(alone.conversation.dropped(), 1u);
}

TEST(Conversation, ComesBackFromAFile) {
  Subject qwen("tiny-qwen2");
  qwen.conversation.set_system("Sei höflich.");
  qwen.conversation.ask("a \"b\"\n\\c");
  qwen.conversation.answer(
      {.reasoning = "hm\xC3", .content = "d 😀", .calls = {{"functions.go", "json", "{\"x\": 1}"}}});
  qwen.conversation.ask("open");
  const std::string saved = qwen.conversation.to_json("some/model");
  EXPECT_EQ(ordered_json::parse(saved)["model"], "some/model");

  Subject other("tiny-qwen2");
  other.say("old", "gone");
  other.conversation.load_json(saved);
  EXPECT_EQ(other.conversation.to_json("some/model"), saved);
  EXPECT_EQ(other.conversation.system(), "Sei höflich.");
  ASSERT_EQ(other.conversation.turns().size(), 2u);
  const ordered_json& answer = other.conversation.turns()[0].messages.at(1);
  EXPECT_EQ(answer["reasoning_content"], "hm\uFFFD");
  EXPECT_EQ(answer["tool_calls"][0]["function"],
            ordered_json::parse(R"({"name": "go", "arguments": {"x": 1}})"));
  EXPECT_FALSE(other.conversation.turns()[1].answered());
  EXPECT_EQ(other.conversation.tokens(), qwen.conversation.tokens());
}

// What `tokenize --chat` makes of a file is what a chat goes on with that has read it.
void expect_fed_alike(Subject& subject, const std::string& saved) {
  const auto rendered = [&](const std::string& text) {
    const ChatRequest request = parse_chat_request(text);
    return subject.tokenizer().encode(render_chat(subject.model.chat(), request.messages,
                                                  request.tools, request.options, true, std::tm{}),
                                      {.parse_special = true});
  };
  subject.conversation.load_json(saved);
  EXPECT_EQ(subject.conversation.tokens(), rendered(saved)) << saved;
  EXPECT_EQ(subject.conversation.tokens(), rendered(subject.conversation.to_json("m"))) << saved;
}

TEST(Conversation, AFileIsGivenAsItIs) {
  const std::string user = R"({"role": "user", "content": "x"})";
  const std::string call = R"({"role": "assistant", "content": "", "thinking": "hm",
      "tool_calls": [{"id": "1", "type": "function",
                      "function": {"name": "f", "arguments": {"a": 1}}}]})";
  const std::string text_call = R"({"role": "assistant", "content": "", "tool_calls":
      [{"type": "function", "function": {"name": "f", "arguments": "{\"a\": 1}"}}]})";
  const std::string null_call = R"({"role": "assistant", "content": null, "tool_calls":
      [{"type": "function", "function": {"name": "f", "arguments": {}}}]})";
  const std::string result = R"({"role": "tool", "tool_call_id": "1", "content": "3"})";
  const std::string answer =
      R"({"role": "assistant", "content": "y", "tool_calls": null, "reasoning": "so"})";
  const std::string parts =
      R"({"role": "user", "content": [{"type": "text", "text": "a"}, {"type": "text", "text": "b"}]})";
  const std::string tools = R"([{"type": "function", "function": {"name": "f", "description": "F",
      "parameters": {"type": "object", "properties": {}}}}])";
  for (const char* model : {"tiny-qwen2", "tiny-qwen3-moe", "tiny-gpt-oss"}) {
    Subject subject(model);
    expect_fed_alike(subject, "[" + user + "]");
    expect_fed_alike(subject, "[" + user + "," + answer + "," + parts + "]");
    expect_fed_alike(subject, "[" + user + "," + call + "," + result + "," + answer + "]");
    // Qwen3's template fails on it, in transformers as here.
    if (std::string_view(model) != "tiny-qwen3-moe") {
      expect_fed_alike(subject, "[" + user + "," + null_call + "," + result + "]");
    }
    expect_fed_alike(subject, "[" + user + "," + text_call + "," + result + "]");
    expect_fed_alike(subject, R"([{"role": "system", "content": ""},)" + user + "]");
    expect_fed_alike(subject, R"([{"role": "developer", "content": "Rhyme."},)" + user + "]");
    expect_fed_alike(subject, R"({"messages": [)" + user + R"(], "tools": )" + tools + "}");
    expect_fed_alike(subject, R"({"messages": [)" + user +
                                  R"(], "options": {"enable_thinking": false,
                                     "reasoning_effort": "high"}})");
  }
}

TEST(Conversation, ToolsOfAFileTakeTheirTemplate) {
  TextAssets assets = load_text_assets(source_dir() + "/models/tiny-qwen2");
  assets.chat_templates["tool_use"] = "tools: {{ tools | length }}";
  Subject qwen(std::move(assets), {});
  qwen.conversation.ask("x");
  const std::string before = qwen.conversation.to_json("m");
  qwen.conversation.load_json(R"({"messages": [], "tools": []})");
  EXPECT_EQ(qwen.text(), "tools: 0");
  qwen.conversation.load_json(before);
  EXPECT_NE(qwen.text(), "tools: 0");
}

TEST(Conversation, TheAnswerToAResultIsTakenBackAlone) {
  Subject qwen("tiny-qwen2");
  qwen.conversation.load_json(
      R"([{"role": "user", "content": "x"},
          {"role": "assistant", "tool_calls": [{"name": "f", "arguments": {}}]},
          {"role": "tool", "content": "3"}, {"role": "assistant", "content": "three"}])");
  const auto tokens = qwen.conversation.tokens();
  const auto answer = qwen.conversation.take_back_answer();
  ASSERT_TRUE(answer);
  EXPECT_EQ((*answer)["content"], "three");
  EXPECT_EQ(qwen.conversation.turns()[0].messages.size(), 3u);
  EXPECT_FALSE(qwen.conversation.take_back_answer());
  qwen.conversation.put_back_answer(*answer);
  EXPECT_EQ(qwen.conversation.tokens(), tokens);
}

TEST(Conversation, HostileFilesChangeNothing) {
  Subject qwen("tiny-qwen2");
  qwen.conversation.set_system("Stay.");
  qwen.say("a", "b");
  const std::string before = qwen.conversation.to_json("m");
  const std::string deep(100'000, '[');
  const std::string user = R"({"role": "user", "content": "x"})";
  const std::string assistant = R"({"role": "assistant", "content": "y"})";
  const std::vector<std::pair<std::string, ErrorCode>> files = {
      {"", ErrorCode::kCorruptFile},
      {"{", ErrorCode::kCorruptFile},
      {deep, ErrorCode::kCorruptFile},
      {"[\"\xC3\"]", ErrorCode::kCorruptFile},
      {"3", ErrorCode::kUnsupported},
      {"{}", ErrorCode::kUnsupported},
      {R"({"messages": {}})", ErrorCode::kUnsupported},
      {R"({"messages": [], "tools": {}})", ErrorCode::kUnsupported},
      {R"({"messages": [], "options": []})", ErrorCode::kUnsupported},
      {"[3]", ErrorCode::kUnsupported},
      {"[{}]", ErrorCode::kUnsupported},
      {R"([{"role": 3}])", ErrorCode::kUnsupported},
      {R"([{"role": "tool", "content": "x"}])", ErrorCode::kUnsupported},
      {R"([{"role": "user"}])", ErrorCode::kUnsupported},
      {R"([{"role": "user", "content": [1]}])", ErrorCode::kUnsupported},
      {"[" + assistant + "]", ErrorCode::kUnsupported},
      {"[" + user + "," + user + "]", ErrorCode::kUnsupported},
      {"[" + user + "," + assistant + "," + assistant + "]", ErrorCode::kUnsupported},
      {"[" + user + R"(, {"role": "tool", "content": "of what?"}])", ErrorCode::kUnsupported},
      {"[" + user + R"(, {"role": "system", "content": "late"}])", ErrorCode::kUnsupported},
      {"[" + user + R"(, {"role": "assistant", "tool_calls": 3}])", ErrorCode::kUnsupported},
      {"[" + user + R"(, {"role": "assistant", "tool_calls": [{"function": 1}]}])",
       ErrorCode::kUnsupported},
      {"[" + user + R"(, {"role": "assistant", "tool_calls": [{"function": {}}]}])",
       ErrorCode::kUnsupported},
  };
  for (const auto& [saved, code] : files) {
    try {
      qwen.conversation.load_json(saved);
      FAIL() << "accepted " << saved.substr(0, 80);
    } catch (const Error& error) {
      EXPECT_EQ(error.code(), code) << saved.substr(0, 80) << ": " << error.what();
    }
    EXPECT_EQ(qwen.conversation.to_json("m"), before);
  }
  qwen.conversation.load_json("[]");
  EXPECT_TRUE(qwen.conversation.turns().empty());
  EXPECT_EQ(qwen.conversation.system(), "");
}

}  // namespace
}  // namespace pajamas::model
