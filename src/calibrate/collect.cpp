#include "calibrate/collect.h"

#include <fmt/format.h>

#include <algorithm>

#include "base/bytes.h"
#include "base/error.h"
#include "calibrate/input_squares.h"
#include "calibrate/own_text.h"
#include "runtime/layer_major.h"
#include "runtime/text_chunks.h"

namespace pajamas::calibrate {
namespace {

// Chunks that are added at a time while experts have seen too little.
constexpr std::uint64_t kRound = 16;
// Rounds of own text that bring no expert below the floor anything: the others are out of reach.
constexpr int kIdleRounds = 2;
// Rows of the output matrix's input that are multiplied at a time.
constexpr std::size_t kOutputRows = 32;

class Collector {
 public:
  Collector(runtime::Engine& engine, const CollectOptions& options, Progress& progress,
            const StopFlag& stop)
      : engine_(engine),
        options_(options),
        progress_(progress),
        stop_(stop),
        squares_(engine.config(), options.output_matrix) {}

  void feed(std::span<const runtime::Chunk> chunks) {
    if (chunks.empty()) return;
    const auto batches = runtime::batches_of(chunks, engine_.max_batch());
    runtime::ActivationStore between(options_.activation_bytes, options_.scratch);
    const runtime::Stream stream{engine_, between};
    const std::uint64_t layers = engine_.config().layers;
    progress_.begin("Measuring", chunks.size() * options_.context * layers, "rows");
    runtime::run_layer_major({&stream, 1}, batches, squares_, progress_, stop_);
    if (options_.output_matrix) run_output(between, batches);
    progress_.end();
    chunks_ += chunks.size();
  }

  std::vector<LayerCoverage> coverage() const {
    std::vector<LayerCoverage> layers;
    for (std::uint64_t i = 0; i < engine_.config().layers; ++i) {
      const std::vector<double> counts = squares_.expert_counts(i);
      if (counts.empty()) continue;
      std::vector<std::uint64_t> seen(counts.begin(), counts.end());
      LayerCoverage& layer = layers.emplace_back();
      layer.layer = static_cast<int>(i);
      for (std::size_t e = 0; e < seen.size(); ++e) {
        if (seen[e] < options_.expert_floor) layer.below.push_back(static_cast<std::uint32_t>(e));
      }
      std::ranges::sort(seen);
      layer.least = seen.front();
      layer.median = seen[seen.size() / 2];
      layer.most = seen.back();
    }
    return layers;
  }

  // Rows that experts lack to their floor, all together.
  std::uint64_t missing() const {
    double missing = 0;
    for (std::uint64_t i = 0; i < engine_.config().layers; ++i) {
      for (const double count : squares_.expert_counts(i)) {
        missing += std::max(0.0, static_cast<double>(options_.expert_floor) - count);
      }
    }
    return static_cast<std::uint64_t>(missing);
  }

  std::uint64_t chunks() const noexcept { return chunks_; }

  io::Imatrix matrix() const {
    io::Imatrix matrix;
    matrix.chunks = chunks_;
    matrix.chunk_size = options_.context;
    matrix.entries = squares_.entries();
    return matrix;
  }

 private:
  void run_output(runtime::ActivationStore& between,
                  std::span<const std::vector<runtime::BatchRow>> batches) {
    std::vector<float> logits;
    for (std::size_t b = 0; b < batches.size(); ++b) {
      const auto hidden = between.get(b, engine_, batches[b]);
      for (std::size_t first = 0; first < batches[b].size(); first += kOutputRows) {
        stop_.check();
        std::vector<std::size_t> rows(std::min(kOutputRows, batches[b].size() - first));
        for (std::size_t i = 0; i < rows.size(); ++i) rows[i] = first + i;
        logits.resize(rows.size() * engine_.config().vocab);
        engine_.logits(*hidden, rows, logits, &squares_);
      }
    }
  }

  runtime::Engine& engine_;
  const CollectOptions& options_;
  Progress& progress_;
  const StopFlag& stop_;
  InputSquares squares_;
  std::uint64_t chunks_ = 0;
};

// Keys and values of own text take as much memory as activations may.
std::size_t side_by_side(const CollectOptions& options) {
  if (options.session_bytes == 0) return kRound;
  return static_cast<std::size_t>(
      std::clamp<std::uint64_t>(options.activation_bytes / options.session_bytes, 1, kRound));
}

// Until every expert has its floor. Returns how much of it the model wrote.
std::uint64_t balance(Collector& collector, runtime::Engine& engine, const model::TextModel& text,
                      std::span<const runtime::Chunk> rest, const CollectOptions& options,
                      Progress& progress, const StopFlag& stop) {
  while (!rest.empty() && collector.missing() > 0) {
    const std::size_t count = std::min<std::size_t>(kRound, rest.size());
    collector.feed(rest.first(count));
    rest = rest.subspan(count);
  }
  OwnText own(engine, text, options.context, side_by_side(options), options.seed);
  std::uint64_t written = 0;
  int idle = 0;
  while (written < options.own_chunks && idle < kIdleRounds) {
    const std::uint64_t missing = collector.missing();
    if (missing == 0) break;
    const std::uint64_t count = std::min(kRound, options.own_chunks - written);
    collector.feed(own.write(static_cast<std::size_t>(count), progress, stop));
    written += count;
    idle = collector.missing() < missing ? 0 : idle + 1;
  }
  return written;
}

}  // namespace

std::uint64_t Collected::experts_below() const noexcept {
  std::uint64_t count = 0;
  for (const LayerCoverage& layer : coverage) count += layer.below.size();
  return count;
}

Collected collect(runtime::Engine& engine, const model::TextModel& text,
                  std::span<const std::int32_t> tokens, const CollectOptions& options,
                  Progress& progress, const StopFlag& stop) {
  const model::ModelConfig& config = engine.config();
  const bool balances = options.balance && config.experts > 0;
  const bool writes = balances && options.own_chunks > 0;
  if (tokens.size() < options.context && !(tokens.empty() && writes)) {
    throw Error(
        ErrorCode::kUsage,
        fmt::format("the text has {} tokens; a chunk has {}", tokens.size(), options.context),
        "give a longer text or a smaller --ctx");
  }
  const std::vector<runtime::Chunk> chunks =
      runtime::cut_chunks(tokens, options.context, text.first_token());
  const std::uint64_t wanted = options.chunks == 0 ? chunks.size() : options.chunks;
  const auto first = static_cast<std::size_t>(std::min<std::uint64_t>(wanted, chunks.size()));
  Collector collector(engine, options, progress, stop);
  collector.feed(std::span(chunks).first(first));
  Collected result;
  if (balances) {
    result.own_chunks =
        balance(collector, engine, text, std::span(chunks).subspan(first), options, progress, stop);
  }
  result.matrix = collector.matrix();
  result.coverage = collector.coverage();
  return result;
}

io::Imatrix empty_matrix(const model::ModelConfig& config, bool output_matrix) {
  io::Imatrix matrix;
  matrix.entries = InputSquares(config, output_matrix).entries();
  return matrix;
}

std::uint64_t fixed_bytes(const model::Checkpoint& checkpoint,
                          const runtime::EngineOptions& options) {
  return checked_add(runtime::kProgramBytes + runtime::layer_major_bytes(checkpoint, options),
                     2 * InputSquares::bytes(checkpoint.config()));
}

}  // namespace pajamas::calibrate
