// What scoring a text costs beside running it: `validate --metrics perplexity` against the engine's
// own reading of the same tokens, with the logits of the same positions, in turn in one process:
//   build/release/bench/scoring MODEL [float|int8] [CHUNKS=8] [ROUNDS=7] [CONTEXT=512]
#include <fmt/format.h>

#include <algorithm>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/error.h"
#include "base/parallel.h"
#include "base/progress.h"
#include "base/system.h"
#include "bench/samples.h"
#include "eval/perplexity.h"
#include "eval/shipped.h"
#include "runtime/loaded_model.h"
#include "runtime/owned_session.h"
#include "runtime/text_chunks.h"

namespace {

using namespace pajamas;

struct Question {
  std::uint32_t context = 512;
  std::uint64_t chunks = 8;
  int rounds = 7;
};

// As a prompt is read: whole batches, and the logits of the positions that scoring looks at.
void read_prompts(runtime::Engine& engine, std::span<const runtime::Chunk> chunks,
                  std::vector<float>& logits, const StopFlag& stop) {
  std::vector<runtime::BatchRow> batch;
  for (const runtime::Chunk& chunk : chunks) {
    const runtime::OwnedSession session(engine, engine.create_session());
    for (std::size_t first = 0; first < chunk.size(); first += engine.max_batch()) {
      batch.clear();
      std::size_t wanted = 0;
      const std::size_t end = std::min(chunk.size(), first + engine.max_batch());
      for (std::size_t i = first; i < end; ++i) {
        const bool wants = i >= chunk.size() / 2 && i + 1 < chunk.size();
        wanted += wants ? 1 : 0;
        batch.push_back({session.id(), static_cast<std::uint32_t>(i), chunk[i], wants});
      }
      logits.resize(std::max(logits.size(), wanted * engine.config().vocab));
      runtime::forward(engine, batch, std::span(logits).first(wanted * engine.config().vocab),
                       stop);
    }
  }
}

int run(int argc, char** argv) {
  if (argc < 2) {
    fmt::print(stderr, "usage: scoring MODEL [float|int8] [CHUNKS] [ROUNDS] [CONTEXT]\n");
    return 2;
  }
  Question question;
  if (argc > 3) question.chunks = std::stoull(argv[3]);
  if (argc > 4) question.rounds = std::stoi(argv[4]);
  if (argc > 5) question.context = static_cast<std::uint32_t>(std::stoul(argv[5]));
  runtime::EngineOptions options;
  const auto pool = std::make_shared<const TaskPool>(usable_cpus());
  options.pool = pool;
  options.context = question.context;
  const bool rounded = argc > 2 && std::string_view(argv[2]) == "int8";
  if (rounded) options.activations = runtime::Activations::kInt8;
  const auto model = runtime::LoadedModel::open(argv[1], options);
  const eval::ScoreOptions scoring{question.context, question.chunks, model.text().first_token()};
  const auto tokens = model.text().encode(eval::heldout_text());
  const std::uint64_t used = eval::chunks_of(tokens.size(), scoring) * question.context;
  const auto chunks =
      runtime::cut_chunks(std::span(tokens).first(used), question.context, scoring.bos);
  NoProgress progress;
  const StopFlag stop;
  std::vector<float> logits;
  double perplexity = 0;
  const auto read = [&] {
    const double began = seconds_now();
    read_prompts(model.engine(), chunks, logits, stop);
    return seconds_now() - began;
  };
  const auto score = [&] {
    const double began = seconds_now();
    perplexity =
        eval::score_text(model.engine(), {}, tokens, scoring, *pool, progress, stop).perplexity;
    return seconds_now() - began;
  };
  read(), score();
  std::vector<double> reading, judging, ratios;
  for (int i = 0; i < question.rounds; ++i) {
    reading.push_back(read());
    judging.push_back(score());
    ratios.push_back(reading.back() / judging.back());
  }
  const auto print = [](const char* name, const bench::Spread& spread, const char* unit) {
    fmt::print("{:<8} {:9.3f} {} ({:.3f} to {:.3f})\n", name, spread.median, unit, spread.low,
               spread.high);
  };
  const auto count = static_cast<double>(used);
  fmt::print("{}, {} activations, {} chunks of {}, {} threads, {} rounds, perplexity {:.4f}\n",
             argv[1], rounded ? "int8" : "float", chunks.size(), question.context, pool->threads(),
             question.rounds, perplexity);
  print("engine", bench::rates_of(count, reading), "tokens/s");
  print("scoring", bench::rates_of(count, judging), "tokens/s");
  print("ratio", bench::spread_of(ratios), "of the engine's speed");
  return 0;
}

}  // namespace

int main(int argc, char** argv) {
  try {
    return run(argc, argv);
  } catch (const pajamas::Error& error) {
    fmt::print(stderr, "error: {}\n", error.what());
    return 1;
  }
}
