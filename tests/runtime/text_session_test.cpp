// Conversations over one session: what runs again, and that it makes no difference.
#include <gtest/gtest.h>

#include <numeric>

#include "base/error.h"
#include "model/chat.h"
#include "model/conversation.h"
#include "paths.h"
#include "runtime/generate.h"
#include "runtime/probe_engine.h"
#include "runtime/tiny_engine.h"

namespace pajamas::runtime {
namespace {

using Ids = std::vector<std::int32_t>;

// A model with all that a conversation needs; greedy.
struct Chat {
  explicit Chat(const char* name)
      : path(std::string(source_dir() + "/models/") + name),
        pool(2),
        engine(std::make_unique<CpuDevice>(
            std::make_unique<weights::MappedWeights>(model::Checkpoint::open(path)), pool,
            kernels::best_kernels())),
        probe(engine),
        session(probe),
        text(model::load_text_assets(path)),
        conversation(text, {}) {}

  GenerateResult run(TextSession& on, std::span<const std::int32_t> prompt, Ids& out) {
    Sampler sampler({.temperature = 0});
    const GenerateOptions options{{max_tokens, 4096, stop_tokens}, keep_prompt};
    out.clear();
    return on.generate(sampler, prompt, options, stop, nullptr,
                       [&](std::int32_t token) { out.push_back(token); });
  }

  // Asks, answers, and compares with a run of the same tokens from the beginning.
  GenerateResult say(const std::string& question) {
    conversation.ask(question);
    return go_on();
  }
  GenerateResult go_on() {
    const Ids prompt = conversation.tokens(session.tokens());
    const std::uint64_t before = probe.rows;
    Ids generated, fresh;
    const GenerateResult result = run(session, prompt, generated);
    ran = probe.rows - before;
    EXPECT_EQ(result.reused_tokens + result.prompt_tokens, prompt.size());
    TextSession other(engine);
    EXPECT_EQ(run(other, prompt, fresh).reused_tokens, 0u);
    EXPECT_EQ(generated, fresh);
    text::AnswerSplitter splitter(text.tokenizer(), text.answer_format(), prompt);
    const auto ignore = [](text::AnswerPart, std::string_view) {};
    for (const std::int32_t token : generated) splitter.push(token, ignore);
    splitter.finish(ignore);
    conversation.answer(splitter.answer());
    return result;
  }

  std::string path;
  TaskPool pool;
  NativeEngine engine;
  ProbeEngine probe;
  TextSession session;
  model::TextModel text;
  model::Conversation conversation;
  Ids stop_tokens = text.stop();
  StopFlag stop;
  std::uint64_t max_tokens = 24;
  bool keep_prompt = true;
  std::uint64_t ran = 0;
};

TEST(TextSession, OnlyNewTextRuns) {
  Chat chat("tiny-qwen2");
  const GenerateResult first = chat.say("Who are the people?");
  EXPECT_EQ(first.reused_tokens, 0u);
  std::uint64_t text = first.prompt_tokens + first.generated_tokens;
  for (const char* question : {"Why?", "What of the Constitution?", "And then?"}) {
    const GenerateResult next = chat.say(question);
    // All but the answer's last token had run; nothing else of the past runs again.
    EXPECT_GE(next.reused_tokens + 1, text);
    EXPECT_EQ(chat.ran, next.prompt_tokens + next.generated_tokens -
                            (next.reason == StopReason::kMaxTokens ? 1 : 0));
    EXPECT_LT(next.prompt_tokens, 40u);
    text = next.reused_tokens + next.prompt_tokens + next.generated_tokens;
    EXPECT_EQ(chat.session.tokens().size(), text);
  }
}

TEST(TextSession, AnsweringAgainRunsOneToken) {
  Chat chat("tiny-qwen2");
  chat.say("Who are the people?");
  const GenerateResult last = chat.say("Why?");
  chat.conversation.take_back_answer();
  const GenerateResult again = chat.go_on();
  EXPECT_EQ(again.prompt_tokens, 1u);
  EXPECT_EQ(again.generated_tokens, last.generated_tokens);
  chat.conversation.reset();
  chat.session.clear();
  EXPECT_TRUE(chat.session.tokens().empty());
  EXPECT_EQ(chat.say("Why?").reused_tokens, 0u);
}

// What differs is run, whether the beginning, the middle or the end changed.
TEST(TextSession, ChangesRunFromWhereTheyBegin) {
  Chat chat("tiny-qwen2");
  chat.conversation.set_system("Be brief and kind.");
  chat.say("Who are the people?");
  const std::uint64_t all = chat.session.tokens().size();
  chat.conversation.set_system("Be brief and rude.");
  const GenerateResult changed = chat.say("Why?");
  EXPECT_LT(changed.reused_tokens, 16u);
  EXPECT_GT(changed.reused_tokens, 3u);
  EXPECT_GT(changed.prompt_tokens, all - 16);
}

// A sliding window has forgotten what a text needs that goes far back, unless the place was kept.
TEST(TextSession, ComesBackToAPromptBehindALongAnswer) {
  for (const bool keep : {true, false}) {
    Chat chat("tiny-gpt-oss");
    chat.keep_prompt = keep;
    chat.stop_tokens.clear();
    chat.say("Who are the people?");
    chat.max_tokens = 800;
    const GenerateResult first = chat.say("Who are the senators, the officers and the judges?");
    ASSERT_EQ(first.generated_tokens, 800u);
    chat.max_tokens = 8;
    chat.conversation.take_back_answer();
    const GenerateResult again = chat.go_on();
    EXPECT_EQ(again.prompt_tokens, keep ? 1 : first.reused_tokens + first.prompt_tokens);
    chat.conversation.take_back_answer();
    chat.conversation.take_back();
    EXPECT_GT(chat.say("Why?").reused_tokens, 20u);
  }
}

TEST(TextSession, IsOfUseWhenStoppedAtAnyPoint) {
  for (const std::uint64_t at : {1, 3, 30, 31, 45}) {
    Chat chat("tiny-qwen2");
    chat.probe.before_layer = [&](std::uint64_t layer, Batch) {
      if (layer == 1 && chat.probe.rows >= at) chat.stop.request();
    };
    chat.conversation.ask("Who are the people of the United States?");
    Ids generated;
    EXPECT_EQ(chat.run(chat.session, chat.conversation.tokens(), generated).reason,
              StopReason::kInterrupted);
    chat.probe.before_layer = nullptr;
    chat.stop.clear();
    chat.go_on();
    chat.say("Why?");
  }
}

TEST(TextSession, IsOfUseWhenMemoryRanOut) {
  Chat chat("tiny-qwen2");
  chat.say("Who are the people?");
  chat.conversation.ask("Why?");
  Ids generated;
  chat.probe.before_layer = [](std::uint64_t layer, Batch) {
    if (layer == 1) throw std::bad_alloc();
  };
  EXPECT_THROW(chat.run(chat.session, chat.conversation.tokens(), generated), std::bad_alloc);
  chat.probe.before_layer = nullptr;
  EXPECT_GT(chat.go_on().reused_tokens, 20u);
}

TEST(TextSession, LeavesNoSessionBehind) {
  TinyEngine tiny;
  ProbeEngine probe(tiny.engine);
  {
    TextSession session(probe);
    Sampler sampler({.temperature = 0});
    const GenerateOptions options{{4, 100, {}}, true};
    for (const Ids& prompt : {Ids{1, 2, 3}, Ids{1, 2, 4, 5}, Ids{7}}) {
      session.generate(sampler, prompt, options, StopFlag{}, nullptr, [](std::int32_t) {});
      EXPECT_EQ(probe.sessions, 2);
    }
    EXPECT_THROW(session.generate(sampler, {}, options, StopFlag{}, nullptr, [](std::int32_t) {}),
                 Error);
  }
  EXPECT_EQ(probe.sessions, 0);
}

}  // namespace
}  // namespace pajamas::runtime
