#include "eval/mmlu.h"

#include <algorithm>
#include <cmath>
#include <utility>

#include "base/error.h"
#include "eval/chat_prompt.h"

namespace pajamas::eval {
namespace {

using Tokens = std::vector<std::int32_t>;
constexpr double kNinetyFive = 1.959963984540054;
constexpr std::string_view kAnswer = "Answer:";

std::size_t common(std::span<const std::int32_t> a, std::span<const std::int32_t> b) {
  const auto [end, other] = std::ranges::mismatch(a, b);
  return static_cast<std::size_t>(end - a.begin());
}

}  // namespace

std::string mmlu_text(const MmluSubject& subject, std::size_t question,
                      const model::TextModel& model, bool chat) {
  const std::string text = mmlu_preamble(subject) + mmlu_question(subject.questions[question]);
  if (!chat) return text + std::string(kAnswer);
  return chat_prompt(model, text.substr(0, text.size() - 1)) + std::string(kAnswer);
}

std::size_t MmluPrompts::longest() const noexcept {
  std::size_t most = 0;
  for (const MmluPrompt& prompt : questions) {
    for (const Tokens& letter : prompt.continuations) {
      most = std::max(most, prompt.tokens.size() + letter.size());
    }
  }
  return most;
}

MmluPrompts mmlu_prompts(const MmluSubject& subject, const model::TextModel& model, bool chat) {
  MmluPrompts out;
  const auto encode = [&](const std::string& text) {
    return chat ? model.tokenizer().encode(text, {.parse_special = true}) : model.encode(text);
  };
  for (std::size_t i = 0; i < subject.questions.size(); ++i) {
    const std::string text = mmlu_text(subject, i, model, chat);
    std::array<Tokens, 4> whole;
    for (std::size_t k = 0; k < 4; ++k) whole[k] = encode(text + " " + kLetters[k]);
    // Where a letter begins is where the four come apart, and within what the text alone gives: a
    // tokenizer may give all four a blank of its own.
    std::size_t length = common(whole[0], encode(text));
    for (const Tokens& other : whole) length = std::min(length, common(whole[0], other));
    for (const Tokens& other : whole) length = std::min(length, other.size() - 1);
    PJ_CHECK(length > 0);
    MmluPrompt& prompt = out.questions.emplace_back();
    const auto at = static_cast<std::ptrdiff_t>(length);
    prompt.tokens.assign(whole[0].begin(), whole[0].begin() + at);
    for (std::size_t k = 0; k < 4; ++k) {
      prompt.continuations[k].assign(whole[k].begin() + at, whole[k].end());
    }
    const Tokens& first = out.questions.front().tokens;
    out.shared = i == 0 ? first.size() - 1 : std::min(out.shared, common(first, prompt.tokens));
    out.shared = std::min(out.shared, prompt.tokens.size() - 1);
  }
  return out;
}

std::uint32_t MmluAnswer::choice() const noexcept {
  return static_cast<std::uint32_t>(std::ranges::max_element(logprobs) - logprobs.begin());
}

double MmluFigures::accuracy() const noexcept {
  return questions == 0 ? 0 : static_cast<double>(right) / static_cast<double>(questions);
}

double MmluFigures::error() const noexcept {
  const double p = accuracy();
  return questions < 2 ? 0 : std::sqrt(p * (1 - p) / static_cast<double>(questions - 1));
}

std::array<double, 2> MmluFigures::interval() const noexcept {
  if (questions == 0) return {0, 1};
  const auto n = static_cast<double>(questions);
  const double z2 = kNinetyFive * kNinetyFive;
  const double p = accuracy();
  const double middle = (p + z2 / (2 * n)) / (1 + z2 / n);
  const double half = kNinetyFive * std::sqrt(p * (1 - p) / n + z2 / (4 * n * n)) / (1 + z2 / n);
  return {std::max(middle - half, 0.0), std::min(middle + half, 1.0)};
}

MmluDifference mcnemar(std::uint64_t questions, std::uint64_t only_model,
                       std::uint64_t only_reference) {
  MmluDifference out{only_model, only_reference, 0, 0, 1};
  const auto n = static_cast<double>(questions);
  const auto b = static_cast<double>(only_model);
  const auto c = static_cast<double>(only_reference);
  if (questions == 0) return out;
  out.accuracy = (b - c) / n;
  out.error = std::sqrt(std::max(b + c - (b - c) * (b - c) / n, 0.0)) / n;
  // Twice the binomial's tail, of b + c fair coins.
  double tail = 0;
  for (double k = 0; k <= std::min(b, c); ++k) {
    tail += std::exp(std::lgamma(b + c + 1) - std::lgamma(k + 1) - std::lgamma(b + c - k + 1) -
                     (b + c) * std::log(2.0));
  }
  out.p = std::min(2 * tail, 1.0);
  return out;
}

}  // namespace pajamas::eval
