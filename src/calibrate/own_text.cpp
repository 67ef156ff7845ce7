#include "calibrate/own_text.h"

#include <algorithm>
#include <iterator>

#include "runtime/sampler.h"

namespace pajamas::calibrate {
namespace {

// As the model believes; only what it finds absurd is left out.
runtime::SamplerOptions sampling(std::uint64_t seed) {
  return {.temperature = 1, .top_k = 200, .top_p = 1, .min_p = 0, .seed = seed};
}

// The sessions of one engine that live as long as this.
class Sessions {
 public:
  Sessions(runtime::Engine& engine, std::size_t count) : engine_(engine) {
    for (std::size_t i = 0; i < count; ++i) ids.push_back(engine_.create_session());
  }
  Sessions(const Sessions&) = delete;
  Sessions& operator=(const Sessions&) = delete;
  ~Sessions() {
    for (const runtime::SessionId id : ids) engine_.release(id);
  }
  std::vector<runtime::SessionId> ids;

 private:
  runtime::Engine& engine_;
};

}  // namespace

OwnText::OwnText(runtime::Engine& engine, const model::TextModel& text, std::uint32_t context,
                 std::size_t side_by_side, std::uint64_t seed)
    : engine_(engine),
      text_(text),
      context_(context),
      side_by_side_(std::clamp<std::size_t>(side_by_side, 1, engine.max_batch())),
      random_(seed) {}

std::int32_t OwnText::any_token() {
  const text::Tokenizer& tokenizer = text_.tokenizer();
  const std::uint64_t vocab =
      std::min<std::uint64_t>(tokenizer.vocab_size(), engine_.config().vocab);
  constexpr int kTries = 1000;
  for (int i = 0; i < kTries; ++i) {
    const auto token = static_cast<std::int32_t>(random_() % vocab);
    if (!tokenizer.is_special(token) && !tokenizer.token_bytes(token).empty()) return token;
  }
  return 0;
}

std::vector<runtime::Chunk> OwnText::write_side_by_side(std::size_t count, Progress& progress,
                                                        const StopFlag& stop) {
  const Sessions sessions(engine_, count);
  const std::size_t vocab = engine_.config().vocab;
  std::vector<runtime::Chunk> chunks(count);
  std::vector<runtime::Sampler> samplers;
  for (runtime::Chunk& chunk : chunks) {
    if (text_.first_token()) chunk.push_back(*text_.first_token());
    if (chunk.size() < context_) chunk.push_back(any_token());
    samplers.emplace_back(sampling(random_()));
  }
  const std::vector<std::int32_t>& ends = text_.stop();
  std::vector<float> logits(count * vocab);
  std::size_t done = 0;  // positions that ran
  while (chunks.front().size() < context_) {
    // The beginning in one batch each, then a token of every chunk.
    std::vector<runtime::BatchRow> batch;
    for (std::size_t p = done; p < chunks.front().size(); ++p) {
      batch.clear();
      for (std::size_t i = 0; i < count; ++i) {
        batch.push_back({sessions.ids[i], static_cast<std::uint32_t>(p), chunks[i][p], true});
      }
      runtime::forward(engine_, batch, logits, stop);
    }
    done = chunks.front().size();
    for (std::size_t i = 0; i < count; ++i) {
      const bool ended = std::ranges::binary_search(ends, chunks[i].back());
      chunks[i].push_back(ended ? any_token()
                                : samplers[i].sample(std::span(logits).subspan(i * vocab, vocab)));
    }
    progress.advance(count);
  }
  return chunks;
}

std::vector<runtime::Chunk> OwnText::write(std::size_t count, Progress& progress,
                                           const StopFlag& stop) {
  std::vector<runtime::Chunk> chunks;
  progress.begin("Writing text", count * context_, "tokens");
  while (chunks.size() < count) {
    std::vector<runtime::Chunk> more =
        write_side_by_side(std::min(side_by_side_, count - chunks.size()), progress, stop);
    std::ranges::move(more, std::back_inserter(chunks));
  }
  progress.end();
  return chunks;
}

}  // namespace pajamas::calibrate
