// Turns taken apart, cut by tokens in every way.
#include "text/answer.h"

#include <gtest/gtest.h>

#include <random>

#include "text/byte_alphabet.h"
#include "text/tokenizer_test_files.h"

namespace pajamas::text {
namespace {

Tokenizer harmony() {
  static const Tokenizer tokenizer(
      parse_tokenizer_json(read_source_file("models/tiny-gpt-oss/tokenizer.json")));
  return tokenizer;
}

// With <think> as added tokens that are not special, as Qwen3 has them.
Tokenizer qwen3() {
  static const Tokenizer tokenizer = [] {
    TokenizerSpec spec = parse_tokenizer_json(tiny_tokenizer_json());
    for (const char* tag : {"<think>", "</think>"}) {
      spec.added_tokens.push_back(
          {.id = static_cast<std::int32_t>(spec.tokens.size()), .content = tag});
      spec.tokens.emplace_back(tag);
    }
    return Tokenizer(std::move(spec));
  }();
  return tokenizer;
}

Tokenizer plain() {
  static const Tokenizer tokenizer(parse_tokenizer_json(tiny_tokenizer_json()));
  return tokenizer;
}

constexpr AnswerFormat kHarmony{ReasoningMarks::kHarmony, {}, {}};
constexpr AnswerFormat kThink{ReasoningMarks::kTags, "<think>", "</think>"};

std::vector<std::int32_t> ids(const Tokenizer& tokenizer, std::string_view text) {
  return tokenizer.encode(text, {.parse_special = true});
}

// Every byte a token of its own, so that marks are cut everywhere.
std::vector<std::int32_t> byte_ids(const Tokenizer& tokenizer, std::string_view text) {
  std::vector<std::int32_t> out;
  for (const char c : text) {
    out.push_back(tokenizer.find_token(spelling_of_bytes(std::string(1, c))).value());
  }
  return out;
}

Answer split(const Tokenizer& tokenizer, const AnswerFormat& format, std::string_view prompt,
             const std::vector<std::int32_t>& generated, std::uint64_t* reasoning = nullptr) {
  AnswerSplitter splitter(tokenizer, format, ids(tokenizer, prompt));
  std::string parts[3];
  const auto emit = [&](AnswerPart part, std::string_view text) {
    EXPECT_FALSE(text.empty());
    parts[static_cast<int>(part)] += text;
  };
  for (const std::int32_t id : generated) splitter.push(id, emit);
  splitter.finish(emit);
  Answer answer = splitter.answer();
  EXPECT_EQ(parts[0], answer.reasoning);
  EXPECT_EQ(parts[1], answer.content);
  std::string calls;
  for (const ToolCall& call : answer.calls) calls += call.arguments;
  EXPECT_EQ(parts[2], calls);
  if (reasoning != nullptr) *reasoning = splitter.reasoning_tokens();
  return answer;
}

Answer split_harmony(std::string_view generated, std::string_view prompt = "<|start|>assistant",
                     std::uint64_t* reasoning = nullptr) {
  return split(harmony(), kHarmony, prompt, ids(harmony(), generated), reasoning);
}

TEST(AnswerFormat, FollowsFromTokensAndTemplate) {
  const std::string channels = "<|start|>assistant<|channel|>final<|message|>";
  const std::string thinks = "{{ content.split('</think>')[-1] }}", none = "{{ messages }}";
  EXPECT_EQ(find_answer_format(harmony(), &channels).marks, ReasoningMarks::kHarmony);
  EXPECT_EQ(find_answer_format(harmony(), &none).marks, ReasoningMarks::kNone);
  EXPECT_EQ(find_answer_format(harmony(), nullptr).marks, ReasoningMarks::kNone);
  EXPECT_EQ(find_answer_format(plain(), &channels).marks, ReasoningMarks::kNone);
  EXPECT_EQ(find_answer_format(plain(), &thinks).close, "</think>");
  EXPECT_EQ(find_answer_format(plain(), &none).marks, ReasoningMarks::kNone);
  EXPECT_EQ(find_answer_format(qwen3(), &none).open, "<think>");
  const std::string brackets = "[INST]{{ x }}[/INST][THINK]";
  EXPECT_EQ(find_answer_format(plain(), &brackets).close, "[/THINK]");
}

TEST(Harmony, ReasoningThenAnswer) {
  std::uint64_t reasoning = 0;
  const Answer answer = split_harmony(
      "<|channel|>analysis<|message|>The user asks.\n<|end|><|start|>assistant"
      "<|channel|>final<|message|>Hello <b>you</b>!",
      "<|start|>user<|message|>Hi<|end|><|start|>assistant", &reasoning);
  EXPECT_EQ(answer.reasoning, "The user asks.\n");
  EXPECT_EQ(answer.content, "Hello <b>you</b>!");
  EXPECT_TRUE(answer.calls.empty());
  EXPECT_EQ(reasoning, ids(harmony(), "The user asks.\n").size());
}

TEST(Harmony, ToolCallsInEitherSpelling) {
  for (const char* header : {"<|channel|>commentary to=functions.f <|constrain|>json<|message|>",
                             " to=functions.f<|channel|>commentary <|constrain|>json<|message|>",
                             " to=functions.f<|channel|>commentary json<|message|>",
                             "<|channel|>commentary to=functions.f json<|message|>",
                             "<|channel|>analysis to=functions.f<|constrain|>json<|message|>"}) {
    SCOPED_TRACE(header);
    const Answer answer = split_harmony(
        std::string("<|channel|>analysis<|message|>Need f.<|end|><|start|>assistant") + header +
        "{\"a\": 1}<|call|>");
    EXPECT_EQ(answer.reasoning, "Need f.");
    EXPECT_EQ(answer.content, "");
    ASSERT_EQ(answer.calls.size(), 1u);
    EXPECT_EQ(answer.calls[0].recipient, "functions.f");
    EXPECT_EQ(answer.calls[0].content_type, "json");
    EXPECT_EQ(answer.calls[0].arguments, "{\"a\": 1}");
  }
}

TEST(Harmony, CommentaryWithoutRecipientIsForTheUser) {
  const Answer answer = split_harmony(
      "<|channel|>commentary<|message|>I shall look.<|end|><|start|>assistant"
      "<|channel|>final<|message|>Done.<|return|>");
  EXPECT_EQ(answer.content, "I shall look.\n\nDone.");
}

TEST(Harmony, ThePromptMayHaveBegunTheMessage) {
  EXPECT_EQ(split_harmony("Hi", "<|start|>assistant<|channel|>final<|message|>").content, "Hi");
  EXPECT_EQ(split_harmony("Hm", "<|start|>assistant<|channel|>analysis<|message|>").reasoning,
            "Hm");
  EXPECT_EQ(split_harmony("analysis<|message|>Hm", "<|start|>assistant<|channel|>").reasoning,
            "Hm");
  const Answer call = split_harmony(
      "{}", "<|start|>assistant to=functions.f<|channel|>commentary json<|message|>{\"x\":");
  ASSERT_EQ(call.calls.size(), 1u);
  EXPECT_EQ(call.calls[0].arguments, "{}");
}

TEST(Harmony, MisusedMarksLoseNoText) {
  EXPECT_EQ(split_harmony("Hello").content, "Hello");
  EXPECT_EQ(split_harmony(" to be or not").content, " to be or not");
  EXPECT_EQ(split_harmony("to").content, "to");
  EXPECT_EQ(split_harmony("<|channel|>analysis\nHm").content, "<|channel|>analysis\nHm");
  EXPECT_EQ(split_harmony("<|channel|>nonsense").content, "<|channel|>nonsense");
  EXPECT_EQ(split_harmony("<|message|>Hi<|end|>more").content, "Hi\n\nmore");
  EXPECT_EQ(split_harmony("<|channel|>final<|message|>a<|message|>b<|constrain|>c").content,
            "a<|message|>b<|constrain|>c");
  const Answer unclosed =
      split_harmony("<|channel|>analysis<|message|>a<|channel|>final<|message|>b");
  EXPECT_EQ(unclosed.reasoning, "a");
  EXPECT_EQ(unclosed.content, "b");
  const Answer restarted = split_harmony(
      "<|channel|>analysis<|message|>a<|start|>assistant<|channel|>final<|message|>b");
  EXPECT_EQ(restarted.reasoning, "a");
  EXPECT_EQ(restarted.content, "b");
  EXPECT_EQ(split_harmony("<|channel|>analysis<|message|>a<|end|><|message|>b").content, "b");
  EXPECT_EQ(split_harmony("<|channel|>final<|message|>a<|end|><|start|>user<|message|>b").content,
            "a\n\nb");
  // Marks spelt out are text: only the tokens count.
  const Answer spelt = split(harmony(), kHarmony, "<|start|>assistant",
                             harmony().encode("<|channel|>analysis<|message|>x"));
  EXPECT_EQ(spelt.content, "<|channel|>analysis<|message|>x");
}

TEST(Harmony, HeadersCutShortAreNoText) {
  for (const char* text : {"<|channel|>", "<|channel|>ana", "<|channel|>commentary to=functions.f ",
                           " to=functions.f", "<|channel|>commentary<|constrain|>js"}) {
    EXPECT_EQ(split_harmony(text).content, "") << text;
    EXPECT_EQ(split_harmony(
                  std::string("<|channel|>analysis<|message|>a<|end|><|start|>assistant") + text)
                  .content,
              "")
        << text;
  }
}

// Any stream: every word of the text comes out in some part, or was a word of a header.
TEST(Harmony, RandomStreamsLoseNothing) {
  const Tokenizer tokenizer = harmony();
  const std::vector<std::string> pieces{"<|start|>",
                                        "<|channel|>",
                                        "<|message|>",
                                        "<|end|>",
                                        "<|constrain|>",
                                        "<|call|>",
                                        "<|return|>",
                                        "assistant",
                                        " to=functions.f",
                                        "analysis",
                                        "final",
                                        "commentary",
                                        " ",
                                        "\n",
                                        "json"};
  std::mt19937 random(7);
  for (int round = 0; round < 3000; ++round) {
    std::string stream;
    std::vector<std::string> written;
    for (int i = 0; i < 12; ++i) {
      if (random() % 3 == 0) {
        // Long enough for no header to hold it.
        written.push_back("<" + std::to_string(round) + "." + std::to_string(i) + ">\n");
        stream += written.back();
      } else {
        stream += pieces[random() % pieces.size()];
      }
    }
    const Answer answer = split_harmony(stream);
    std::string all = answer.reasoning + "|" + answer.content;
    for (const ToolCall& call : answer.calls) all += "|" + call.arguments;
    for (const std::string& word : written) {
      ASSERT_NE(all.find(word), std::string::npos) << stream << "\nlost " << word;
    }
  }
}

struct ThinkCase {
  const char* prompt;
  const char* generated;
  const char* reasoning;
  const char* content;
};
constexpr ThinkCase kThinkCases[] = {
    {"", "<think>\nHm.\nSo\n</think>\n\nHello\n", "Hm.\nSo", "Hello\n"},
    {"", "\n <think>x</think>y", "x", "y"},
    {"<|im_start|>assistant\n<think>\n", "Hm.</think>\n\nHello", "Hm.", "Hello"},
    {"<|im_start|>assistant\n<think>", "\n\n</think>\n\nHello", "", "Hello"},
    {"<|im_start|>assistant\n<think>\n\n</think>\n\n", "Hello", "", "Hello"},
    {"", "  Hello", "", "  Hello"},
    {"", "\n\nHello", "", "\n\nHello"},
    {"", "<thin", "", "<thin"},
    {"", "<thinker>", "", "<thinker>"},
    {"", "a </think> b", "", "a </think> b"},
    {"", "<think>a < b </thin k> c</think>d", "a < b </thin k> c", "d"},
    {"", "<think>a</thi", "a</thi", ""},
    {"", "<think>a\n\n", "a", ""},
    {"", "<think>a</think><think></think><think>b</think>c", "a\n\nb", "c"},
    {"", "<think>a</think>\n\n    code", "a", "    code"},
    {"", "<think>wörld 你好 👋</think>👋 wörld", "wörld 你好 👋", "👋 wörld"},
    {"", " \n", "", " \n"},
};

TEST(ThinkTags, HoweverTheTokensCutThem) {
  for (const ThinkCase& c : kThinkCases) {
    SCOPED_TRACE(c.generated);
    for (const Tokenizer& tokenizer : {plain(), qwen3()}) {
      for (const auto& generated :
           {ids(tokenizer, c.generated), byte_ids(tokenizer, c.generated)}) {
        const Answer answer = split(tokenizer, kThink, c.prompt, generated);
        EXPECT_EQ(answer.reasoning, c.reasoning);
        EXPECT_EQ(answer.content, c.content);
      }
    }
  }
}

TEST(ThinkTags, AmidAnAnswerOnlyTheTokenCounts) {
  const std::string text = "Look: <think>x</think>y";
  const Answer spelt = split(plain(), kThink, "", ids(plain(), text));
  EXPECT_EQ(spelt.reasoning, "");
  EXPECT_EQ(spelt.content, text);
  const Answer marked = split(qwen3(), kThink, "", ids(qwen3(), text));
  EXPECT_EQ(marked.reasoning, "x");
  EXPECT_EQ(marked.content, "Look: y");
}

TEST(ThinkTags, CountsTheTokensBetween) {
  std::uint64_t reasoning = 0;
  split(qwen3(), kThink, "", ids(qwen3(), "<think>one two three</think>four"), &reasoning);
  EXPECT_EQ(reasoning, ids(qwen3(), "one two three").size());
}

TEST(AnswerSplitter, WithoutMarksAllIsContent) {
  const std::string text = "<think>\n<|channel|>x";
  const Answer answer = split(plain(), {}, "", ids(plain(), text));
  EXPECT_EQ(answer.content, text);
}

}  // namespace
}  // namespace pajamas::text
