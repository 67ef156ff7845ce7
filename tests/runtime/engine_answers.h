// What two engines of one model are compared by.
#pragma once

#include <gtest/gtest.h>

#include <vector>

#include "runtime/model_engine.h"

namespace pajamas::runtime {

class TappedValues final : public LinearTap {
 public:
  void input(std::span<const model::TensorKey> matrices, Rows x,
             std::span<const std::uint32_t> rows) override {
    for (const model::TensorKey& key : matrices) numbers.push_back(static_cast<float>(key.expert));
    numbers.insert(numbers.end(), rows.begin(), rows.end());
    numbers.insert(numbers.end(), x.values.begin(), x.values.end());
  }
  std::vector<float> numbers;
};

// Whatever an engine can be asked for, and all that it answers.
inline std::vector<float> answers_of(Engine& engine) {
  std::vector<float> all;
  const auto keep = [&](const std::vector<float>& more) {
    all.insert(all.end(), more.begin(), more.end());
  };
  const std::size_t vocab = engine.config().vocab;
  const SessionId text = engine.create_session();
  const auto prompt = rows_of_text(text, 1, vocab, 0, 150);  // more than a block of the cache
  keep(all_logits(engine, *run_layers(engine, prompt, StopFlag{})));

  // A fork, whose last block is shared, and another text, all three in one batch.
  const SessionId fork = engine.fork(text), other = engine.create_session();
  std::vector<BatchRow> mixed;
  for (std::uint32_t i = 0; i < 5; ++i) {
    mixed.push_back({other, i, static_cast<std::int32_t>(7 + i), true});
    mixed.push_back({fork, 150 + i, static_cast<std::int32_t>(11 + i), true});
    mixed.push_back({text, 150 + i, static_cast<std::int32_t>(3 + i), true});
  }
  TappedValues tap;
  const HiddenPtr hidden = engine.embed(mixed);
  for (std::uint64_t i = 0; i < engine.config().layers; ++i) engine.layer(i, *hidden, mixed, &tap);
  const std::vector<float> rows = values_of(*hidden);
  keep(rows);
  const std::vector<std::size_t> chosen{14, 0, 3};
  std::vector<float> logits(chosen.size() * vocab);
  engine.logits(*hidden, chosen, logits, &tap);
  keep(logits);
  keep(tap.numbers);

  EXPECT_EQ(engine.truncate(text, 140), 140u);
  keep(all_logits(engine, *run_layers(engine, rows_of_text(text, 2, vocab, 140, 9), StopFlag{})));
  // Few rows that want logits, and none.
  auto rest = rows_of_text(text, 2, vocab, 149, 20);
  for (BatchRow& row : rest) row.want_logits = row.position == 160 || row.position == 168;
  std::vector<float> of_two(2 * vocab);
  forward(engine, rest, of_two, StopFlag{});
  keep(of_two);
  auto unheard = rows_of_text(text, 2, vocab, 169, 3);
  for (BatchRow& row : unheard) row.want_logits = false;
  forward(engine, unheard, {}, StopFlag{});
  EXPECT_EQ(engine.length(text), 172u);

  const HiddenPtr restored = engine.restore(mixed, rows);
  keep(values_of(*restored));
  for (const SessionId session : {text, fork, other}) engine.release(session);
  return all;
}

}  // namespace pajamas::runtime
