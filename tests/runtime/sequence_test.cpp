// What follows from logits, without an engine.
#include "runtime/sequence.h"

#include <gtest/gtest.h>

#include <limits>

#include "base/error.h"

namespace pajamas::runtime {
namespace {

using Ids = std::vector<std::int32_t>;

// Logits of a vocabulary of 10 whose likeliest token is `token`.
std::vector<float> likeliest(std::int32_t token) {
  std::vector<float> logits(10, 0);
  logits[static_cast<std::size_t>(token)] = 5;
  return logits;
}

Sequence greedy(Ids prompt, SequenceLimits limits, std::size_t ran = 0) {
  return Sequence(std::move(prompt), ran, Sampler({.temperature = 0}), std::move(limits));
}

Ids ids_of(std::span<const std::int32_t> span) { return {span.begin(), span.end()}; }

TEST(Sequence, RunsThePromptInPiecesAndThenTokenByToken) {
  Sequence sequence = greedy({1, 2, 3, 4, 5}, {10, 100, {}}, 1);
  EXPECT_EQ(sequence.prompt_left(), 4u);
  EXPECT_EQ(ids_of(sequence.next(3)), (Ids{2, 3, 4}));
  sequence.advance(3, {});
  EXPECT_EQ(sequence.prompt_left(), 1u);
  EXPECT_EQ(ids_of(sequence.next(3)), (Ids{5}));
  EXPECT_TRUE(sequence.take_news().empty());
  sequence.advance(1, likeliest(7));
  EXPECT_EQ(sequence.prompt_left(), 0u);
  EXPECT_EQ(ids_of(sequence.next(3)), (Ids{7}));
  sequence.advance(1, likeliest(8));
  EXPECT_EQ(ids_of(sequence.take_news()), (Ids{7, 8}));
  EXPECT_TRUE(sequence.take_news().empty());
  EXPECT_EQ(ids_of(sequence.tokens()), (Ids{1, 2, 3, 4, 5, 7, 8}));
  EXPECT_EQ(sequence.ran(), 6u);
  EXPECT_FALSE(sequence.is_over());
}

TEST(Sequence, EndsForOneReason) {
  Sequence stopped = greedy({1}, {10, 100, {3, 4}});
  stopped.advance(1, likeliest(4));
  EXPECT_EQ(stopped.reason(), StopReason::kStopToken);
  EXPECT_TRUE(stopped.take_news().empty());

  Sequence two = greedy({1}, {2, 100, {}});
  two.advance(1, likeliest(4));
  EXPECT_FALSE(two.reason());
  two.advance(1, likeliest(5));
  EXPECT_EQ(two.reason(), StopReason::kMaxTokens);
  EXPECT_EQ(ids_of(two.take_news()), (Ids{4, 5}));
  EXPECT_TRUE(two.next(5).empty());

  // The last token has no room to run, but it is known.
  Sequence full = greedy({1, 2}, {9, 3, {}});
  full.advance(2, likeliest(4));
  EXPECT_FALSE(full.reason());
  full.advance(1, likeliest(5));
  EXPECT_EQ(full.reason(), StopReason::kContextFull);
  EXPECT_EQ(ids_of(full.take_news()), (Ids{4, 5}));

  Sequence none = greedy({1}, {0, 100, {}});
  EXPECT_EQ(none.next(1).size(), 1u);
  none.advance(1, likeliest(4));
  EXPECT_EQ(none.reason(), StopReason::kMaxTokens);
  EXPECT_TRUE(none.take_news().empty());
}

TEST(Sequence, CancelledOnesRunNothingMore) {
  Sequence sequence = greedy({1, 2, 3}, {10, 100, {}});
  sequence.advance(1, {});
  sequence.cancel();
  EXPECT_EQ(sequence.reason(), StopReason::kInterrupted);
  EXPECT_TRUE(sequence.next(5).empty());
  // The batch that ran meanwhile has run, and nothing is chosen of it.
  sequence.advance(2, likeliest(4));
  EXPECT_EQ(sequence.ran(), 3u);
  EXPECT_EQ(sequence.tokens().size(), 3u);
  // What was over before stays what it was.
  Sequence done = greedy({1}, {1, 100, {}});
  done.advance(1, likeliest(4));
  done.cancel();
  EXPECT_EQ(done.reason(), StopReason::kMaxTokens);
}

TEST(Sequence, KeepsItsError) {
  Sequence sequence = greedy({1}, {10, 100, {}});
  EXPECT_NO_THROW(sequence.check());
  EXPECT_THROW(sequence.advance(1, std::vector(10, std::numeric_limits<float>::quiet_NaN())),
               Error);
  sequence.fail(std::make_exception_ptr(Error(ErrorCode::kCorruptFile, "broken")));
  EXPECT_TRUE(sequence.is_over());
  EXPECT_FALSE(sequence.reason());
  EXPECT_THROW(sequence.check(), Error);
  EXPECT_TRUE(sequence.next(5).empty());
}

TEST(Sequence, RefusesPromptsWithoutRoom) {
  EXPECT_THROW(greedy({}, {1, 10, {}}), Error);
  EXPECT_THROW(greedy({1, 2, 3}, {1, 2, {}}), Error);
  EXPECT_NO_THROW(greedy({1, 2, 3}, {1, 3, {}}));
}

}  // namespace
}  // namespace pajamas::runtime
