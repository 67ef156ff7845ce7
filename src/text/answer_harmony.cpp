// Harmony: a turn is messages, <|start|>ROLE to=TO<|channel|>CHANNEL<|constrain|>TYPE<|message|>
// TEXT<|end|>, of which the prompt has written the first <|start|>ROLE. TO may also stand behind
// CHANNEL; TYPE may stand there without its mark.
#include <algorithm>
#include <array>
#include <utility>
#include <vector>

#include "text/answer_machine.h"

namespace pajamas::text {
namespace {

constexpr std::string_view kSpaces = " \t\r\n";
constexpr std::size_t kLongestField = 256;  // bytes; what is longer is text that lacks its marks
constexpr std::string_view kSpeaker = "assistant";
constexpr std::array<std::string_view, 3> kChannels{"analysis", "commentary", "final"};

struct Marks {
  explicit Marks(const Tokenizer& tokenizer) {
    const auto find = [&](std::string_view text) {
      const auto id = tokenizer.find_token(text);
      return id && tokenizer.is_special(*id) ? *id : -1;
    };
    start = find("<|start|>");
    channel = find("<|channel|>");
    constrain = find("<|constrain|>");
    message = find("<|message|>");
    end = find("<|end|>");
    call = find("<|call|>");
    finished = find("<|return|>");
  }
  bool ends(std::int32_t token) const { return token == end || token == call || token == finished; }
  std::int32_t start, channel, constrain, message, end, call, finished;  // -1: there is none
};

std::vector<std::string_view> words(std::string_view text) {
  std::vector<std::string_view> out;
  for (std::size_t at = 0; (at = text.find_first_not_of(kSpaces, at)) != std::string_view::npos;) {
    const std::size_t end = std::min(text.find_first_of(kSpaces, at), text.size());
    out.push_back(text.substr(at, end - at));
    at = end;
  }
  return out;
}

bool begins_recipient(std::string_view word) {
  return word.starts_with("to=") || std::string_view("to=").starts_with(word);
}

class HarmonyMachine final : public AnswerSplitter::Machine {
 public:
  HarmonyMachine(const Tokenizer& tokenizer, std::span<const std::int32_t> prompt)
      : marks_(tokenizer) {
    const auto start = std::find(prompt.rbegin(), prompt.rend(), marks_.start);
    if (start != prompt.rend()) {
      field_ = Field::kRole;
      for (auto at = start.base(); at != prompt.end(); ++at) push(*at, tokenizer.token_bytes(*at));
    }
    if (field_ == Field::kRole) begin_header();  // the prompt has said who speaks
    // What the prompt has written already is not generated.
    raw_.clear();
    gap_ = false;
    answer_.reasoning.clear();
    answer_.content.clear();
    for (ToolCall& call : answer_.calls) call.arguments.clear();
  }

  void push(std::int32_t token, std::string_view bytes) override {
    if (token == marks_.start) {
      spill_unless_cut_short();
      begin_header();
      field_ = Field::kRole;
      raw_ = bytes;
    } else if (token == marks_.channel) {
      if (!in_header()) begin_header();
      field_ = Field::kChannel;
      channel_.clear();
      raw_ += bytes;
    } else if (token == marks_.message && field_ != Field::kBody) {
      begin_body();
    } else if (token == marks_.constrain && in_header()) {
      field_ = Field::kType;
      raw_ += bytes;
    } else if (marks_.ends(token)) {
      spill_unless_cut_short();
      begin_header();
      field_ = Field::kNone;
    } else {
      text(bytes);
    }
  }

  void finish() override { spill_unless_cut_short(); }

  bool in_reasoning() const noexcept override {
    return field_ == Field::kBody && part_ == AnswerPart::kReasoning;
  }

 private:
  // Where the stream is: in a field of a header, in the text of a message, or behind it.
  enum class Field { kRole, kRecipient, kChannel, kType, kBody, kNone };

  bool in_header() const { return field_ != Field::kBody && field_ != Field::kNone; }

  void begin_header() {
    field_ = Field::kRecipient;
    role_.clear();
    recipient_.clear();
    channel_.clear();
    type_.clear();
    raw_.clear();
  }

  void text(std::string_view bytes) {
    if (field_ == Field::kNone) {  // no <|start|>: whose it is cannot be known
      begin_part(AnswerPart::kContent);
    }
    if (field_ == Field::kBody) return body(bytes);
    std::string& field = field_ == Field::kRole        ? role_
                         : field_ == Field::kRecipient ? recipient_
                         : field_ == Field::kChannel   ? channel_
                                                       : type_;
    field += bytes;
    raw_ += bytes;
    if (!can_be_header(field)) spill();
  }

  bool can_be_header(std::string_view field) const {
    if (field.size() > kLongestField || field.find('\n') != std::string_view::npos) return false;
    const auto all = words(field);
    return field_ != Field::kRecipient || all.empty() ||
           (all.size() == 1 && begins_recipient(all[0]));
  }

  // Whether all there is of the header could have become one that makes sense.
  bool is_begun_well() const {
    const auto role = words(role_);
    if (!role.empty() && !kSpeaker.starts_with(role[0])) return false;
    if (role.size() > 2 || (role.size() == 2 && !begins_recipient(role[1]))) return false;
    const auto recipient = words(recipient_);
    if (!recipient.empty() && !recipient[0].starts_with("to=")) return false;
    const auto channel = words(channel_);
    return channel.empty() || std::any_of(kChannels.begin(), kChannels.end(), [&](auto name) {
             return channel.size() == 1 ? name.starts_with(channel[0]) : name == channel[0];
           });
  }

  void spill() {
    const std::string text = std::exchange(raw_, {});
    begin_part(AnswerPart::kContent);
    body(text);
  }

  void spill_unless_cut_short() {
    if (in_header() && !is_begun_well()) spill();
  }

  void begin_body() {
    std::string_view to, type;
    const std::vector<std::string_view> role = words(role_);
    std::vector<std::string_view> rest = words(recipient_);
    if (role.size() > 1) rest.insert(rest.end(), role.begin() + 1, role.end());
    const std::vector<std::string_view> channel = words(channel_);
    if (channel.size() > 1) rest.insert(rest.end(), channel.begin() + 1, channel.end());
    for (const std::string_view word : rest) {
      (word.starts_with("to=") ? to : type) = word;
    }
    if (to.starts_with("to=")) to.remove_prefix(3);
    if (const auto constrained = words(type_); !constrained.empty()) type = constrained[0];
    const bool own = role.empty() || role[0] == kSpeaker;
    if (own && !to.empty() && to != "user" && to != "assistant" && to != "all") {
      answer_.calls.push_back({std::string(to), std::string(type), {}});
      begin_part(AnswerPart::kToolCall);
    } else {
      const bool reasons = own && !channel.empty() && channel[0] == "analysis";
      begin_part(reasons ? AnswerPart::kReasoning : AnswerPart::kContent);
    }
  }

  void begin_part(AnswerPart part) {
    field_ = Field::kBody;
    part_ = part;
    gap_ = (part == AnswerPart::kReasoning && !answer_.reasoning.empty()) ||
           (part == AnswerPart::kContent && !answer_.content.empty());
  }

  void body(std::string_view text) {
    if (!text.empty() && std::exchange(gap_, false)) emit(part_, "\n\n");
    emit(part_, text);
  }

  const Marks marks_;
  Field field_ = Field::kRecipient;
  AnswerPart part_ = AnswerPart::kContent;
  bool gap_ = false;  // the next text is a paragraph of its own
  std::string role_, recipient_, channel_, type_;
  std::string raw_;  // the header as generated
};

}  // namespace

std::unique_ptr<AnswerSplitter::Machine> make_harmony_machine(
    const Tokenizer& tokenizer, std::span<const std::int32_t> prompt) {
  return std::make_unique<HarmonyMachine>(tokenizer, prompt);
}

}  // namespace pajamas::text
