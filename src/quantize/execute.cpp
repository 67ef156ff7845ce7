#include "quantize/execute.h"

#include <fmt/format.h>

#include <algorithm>
#include <atomic>
#include <condition_variable>
#include <limits>
#include <memory>
#include <mutex>
#include <utility>
#include <vector>

#include "base/error.h"
#include "base/system.h"
#include "codec/room.h"
#include "quantize/importance.h"
#include "quantize/output_writer.h"
#include "quantize/pieces.h"
#include "quantize/weight_check.h"
#include "tensor/rows.h"
#include "weights/finite.h"
#include "weights/row_reader.h"

namespace pajamas::quantize {
namespace {

// Weights that are decoded and encoded at a time: as floats they stay in a second-level cache.
constexpr std::uint64_t kChunkWeights = 64 * 1024;
// Workers beyond the threads that compute: they read ahead and write behind.
constexpr int kMoreWorkers = 4;

// Bytes of one weight in a worker: stored, and encoded for an output, at most.
constexpr std::uint64_t kBytesPerWeight = 4;
// What reading needs where rows or columns do not lie side by side.
constexpr std::uint64_t kSpacedBytes = 2 << 20;

using PlaneBuffers = model::PlaneBuffers;

// Seconds from lap to lap.
class Stopwatch {
 public:
  double lap() noexcept {
    const double now = seconds_now();
    return now - std::exchange(began_, now);
  }

 private:
  double began_ = seconds_now();
};

// What one worker keeps from piece to piece.
struct Worker {
  weights::RowReader reader;
  std::vector<float> weights;         // of a chunk
  std::vector<PlaneBuffers> encoded;  // an output
  ExecuteStats stats;

  void add_to(ExecuteStats& total) const {
    total.read += reader.read_seconds();
    total.decode += reader.decode_seconds() + stats.decode;
    for (std::size_t i = 0; i < stats.encode.size(); ++i) {
      total.encode[i] += stats.encode[i];
      total.write[i] += stats.write[i];
    }
  }
};

// Lets as many workers compute as there are threads; the others wait for the disk meanwhile.
class ComputeSlots {
 public:
  explicit ComputeSlots(int count) : free_(count) {}

  class Held {
   public:
    explicit Held(ComputeSlots& slots) : slots_(slots) {
      std::unique_lock lock(slots_.mutex_);
      slots_.freed_.wait(lock, [&] { return slots_.free_ > 0; });
      --slots_.free_;
    }
    ~Held() {
      {
        const std::lock_guard lock(slots_.mutex_);
        ++slots_.free_;
      }
      slots_.freed_.notify_one();
    }
    Held(const Held&) = delete;
    Held& operator=(const Held&) = delete;

   private:
    ComputeSlots& slots_;
  };

 private:
  std::mutex mutex_;
  std::condition_variable freed_;
  int free_;
};

// The encoders of one matrix, an output each, made when the first of its pieces comes and let go
// with the last.
struct MatrixEncoders {
  std::once_flag made;
  std::vector<std::unique_ptr<const RowEncoder>> of;  // null where an output takes rows over
  std::atomic<std::size_t> pieces{0};                 // that are not encoded yet
};

class Execution {
 public:
  Execution(const Plan& plan, const model::Checkpoint& checkpoint,
            const kernels::KernelTable& kernels, EncoderSource& source, OutputOptions options,
            int threads)
      : checkpoint_(checkpoint),
        kernels_(kernels),
        source_(source),
        work_(cut(plan, checkpoint)),
        encoders_(work_.matrices.size()),
        check_(plan, checkpoint),
        slots_(threads) {
    for (std::size_t i = 0; i < encoders_.size(); ++i) {
      encoders_[i].pieces = work_.matrices[i].pieces;
    }
    for (const PlannedOutput& output : plan.outputs) {
      writers_.push_back(std::make_unique<OutputWriter>(output, options));
    }
    total_.encode.resize(writers_.size());
    total_.write.resize(writers_.size());
  }

  // The last first, so that folders which several of them lie in are empty when their turn comes.
  ~Execution() {
    while (!writers_.empty()) writers_.pop_back();
  }
  Execution(const Execution&) = delete;
  Execution& operator=(const Execution&) = delete;

  Worker make_worker() const {
    Worker worker{weights::RowReader(checkpoint_, kernels_), {}, {}, {}};
    worker.encoded.resize(writers_.size());
    worker.stats.encode.resize(writers_.size());
    worker.stats.write.resize(writers_.size());
    return worker;
  }

  const Work& work() const noexcept { return work_; }

  // Read, decode, encode, write: from the disk to the disk. Only the middle holds a slot.
  void process(const Piece& piece, Worker& worker) {
    const ConstPlanes& stored = worker.reader.fetch(*piece.tensor, piece.first, piece.rows);
    std::vector<Target> targets;
    bool decoded = false;
    for (std::size_t output = 0; output < writers_.size(); ++output) {
      const PlannedTensor* tensor = writers_[output]->find(piece.tensor->key);
      if (tensor == nullptr) continue;
      targets.push_back({tensor, output, place(piece, *tensor, worker.encoded[output])});
      // FP8 that is taken over is decoded to be judged.
      decoded |= !tensor->repacked || tensor->encoding.layout == Layout::kFp8;
    }
    MatrixEncoders& encoders = encoders_[piece.matrix];
    std::call_once(encoders.made, [&] { make(encoders, work_.matrices[piece.matrix], targets); });
    {
      const ComputeSlots::Held slot(slots_);
      for (const Target& target : targets) {
        if (!target.tensor->repacked) continue;
        Stopwatch watch;
        take_over(piece, stored, target);
        worker.stats.encode[target.output] += watch.lap();
      }
      if (decoded) encode(piece, targets, encoders, worker);
    }
    if (encoders.pieces.fetch_sub(1) == 1) encoders.of.clear();
    for (const Target& target : targets) {
      Stopwatch watch;
      write(piece, target);
      worker.stats.write[target.output] += watch.lap();
    }
  }

  void finish(const Worker& worker) { worker.add_to(total_); }

  void commit() {
    for (auto& writer : writers_) writer->commit();
  }

  // What became of the weights that the user should know.
  std::vector<std::string> notes() const { return check_.vanished(); }

  // Of all workers that finished.
  const ExecuteStats& stats() const noexcept { return total_; }

 private:
  // A piece as one output will store it.
  struct Target {
    const PlannedTensor* tensor;
    std::size_t output;
    Planes planes;
  };

  // The stored numbers, bit for bit.
  void take_over(const Piece& piece, const ConstPlanes& stored, const Target& target) const {
    const Encoding& from = piece.tensor->encoding;
    if (rows_sharing(from) > 1) {
      return share_rows(from, stored, piece.tensor->shape.cols(), target.planes);
    }
    weights::require_finite_scales(checkpoint_, *piece.tensor, piece.first, stored);
    codec::repack_rows(from, stored, target.tensor->encoding, target.planes);
  }

  // Memory for a piece that lies as its place in the file does, so that it can go there as it is.
  static Planes place(const Piece& piece, const PlannedTensor& target, PlaneBuffers& buffers) {
    const Encoding& encoding = target.encoding;
    Planes planes;
    for (std::size_t plane = 0; plane < encoding.planes(); ++plane) {
      const std::uint64_t row = encoding.plane_row_bytes(plane, piece.tensor->shape.cols());
      planes.plane[plane] = buffers[plane].place(
          target.planes[plane].offset + target.rows_before(plane, piece.first) * row,
          stored_rows(encoding, plane, piece.rows) * row);
    }
    return planes;
  }

  void make(MatrixEncoders& encoders, const Matrix& matrix, const std::vector<Target>& targets) {
    encoders.of.resize(writers_.size());
    for (const Target& target : targets) {
      if (target.tensor->repacked) continue;
      encoders.of[target.output] = source_.encoder(*target.tensor, matrix.expert);
    }
  }

  // A chunk after the other, each decoded once for all outputs.
  void encode(const Piece& piece, const std::vector<Target>& targets,
              const MatrixEncoders& encoders, Worker& worker) {
    const std::uint64_t cols = piece.tensor->shape.cols();
    std::uint64_t sharing = 1;
    float room = std::numeric_limits<float>::max();
    for (const Target& target : targets) {
      if (target.tensor->repacked) continue;
      sharing = std::max(sharing, rows_sharing(target.tensor->encoding));
      room = std::min(room, room_of(target.tensor->encoding));
    }
    const std::uint64_t before = piece.first - work_.matrices[piece.matrix].first;
    const std::uint64_t step = rows_with(kChunkWeights, cols, sharing);
    for (std::uint64_t first = 0; first < piece.rows; first += step) {
      const std::uint64_t rows = std::min(step, piece.rows - first);
      worker.weights.resize(rows * cols);
      worker.reader.decode(*piece.tensor, first, rows, worker.weights);
      Stopwatch watch;
      const bool large = check_.look(*piece.tensor, piece.first + first, worker.weights, room);
      worker.stats.decode += watch.lap();
      for (const Target& target : targets) {
        if (target.tensor->repacked) continue;
        const RowEncoder& encoder = *encoders.of[target.output];
        const Planes planes =
            stored_rows_of(target.planes, target.tensor->encoding, cols, first, rows);
        encoder.encode(before + first, worker.weights, planes);
        if (large) {
          check_.require_room(*piece.tensor, piece.first + first, worker.weights,
                              encoder.importance(), writers_[target.output]->plan(), *target.tensor,
                              as_const(planes));
        }
        worker.stats.encode[target.output] += watch.lap();
      }
    }
  }

  void write(const Piece& piece, const Target& target) {
    const PlannedTensor& tensor = *target.tensor;
    OutputWriter& writer = *writers_[target.output];
    for (std::size_t plane = 0; plane < tensor.encoding.planes(); ++plane) {
      const std::uint64_t row = tensor.encoding.plane_row_bytes(plane, piece.tensor->shape.cols());
      const std::span<const std::byte> bytes = target.planes.plane[plane];
      // Rows change their order within a head: where several heads share a row, it stays.
      if (tensor.row_order == RowOrder::kSame || tensor.encoding.rows_sharing(plane) > 1) {
        writer.write(tensor.planes[plane], tensor.rows_before(plane, piece.first) * row, bytes);
        continue;
      }
      for (std::uint64_t i = 0; i < piece.rows; ++i) {
        writer.write(tensor.planes[plane], tensor.target_row(piece.first + i) * row,
                     bytes.subspan(i * row, row));
      }
    }
  }

  const model::Checkpoint& checkpoint_;
  const kernels::KernelTable& kernels_;
  EncoderSource& source_;
  const Work work_;
  std::vector<MatrixEncoders> encoders_;  // as Work::matrices
  WeightCheck check_;
  ComputeSlots slots_;
  std::vector<std::unique_ptr<OutputWriter>> writers_;
  ExecuteStats total_;
};

}  // namespace

std::uint64_t workers_bytes(std::uint64_t cols, std::uint64_t sharing, std::uint64_t piece,
                            int threads, std::size_t outputs) noexcept {
  const std::uint64_t stored = piece * kBytesPerWeight * (1 + outputs);
  const std::uint64_t chunk = rows_with(kChunkWeights, cols, sharing) * cols * sizeof(float);
  const auto workers = static_cast<std::uint64_t>(threads) + kMoreWorkers;
  return workers * (stored + chunk + kSpacedBytes);
}

void check_outputs(const Plan& plan, OutputOptions options) {
  std::uint64_t bytes = 0;
  for (const PlannedOutput& output : plan.outputs) {
    require_absent(output.path, options,
                   is_single_file(output) ? OutputKind::kFile : OutputKind::kDirectory);
    bytes += output.file_bytes;
  }
  // All outputs lie under one --output.
  require_free_space(plan.outputs.front().path, bytes);
}

namespace {

// --force must not replace the model that is being read: neither its files nor a folder around
// them.
void refuse_to_replace_input(const Plan& plan, const model::Checkpoint& checkpoint) {
  std::error_code ignored;
  for (const PlannedOutput& output : plan.outputs) {
    for (const File& file : checkpoint.files()) {
      for (auto part = std::filesystem::absolute(file.path(), ignored); part.has_relative_path();
           part = part.parent_path()) {
        if (!std::filesystem::equivalent(part, output.path, ignored)) continue;
        throw Error(ErrorCode::kExists, "is, or holds, the model that is read",
                    "give another --output")
            .at(printable(output.path.native(), 300));
      }
    }
  }
}

// The workers of an execution, each with its buffers.
class Crew {
 public:
  Crew(Execution& execution, const model::Checkpoint& checkpoint, int threads)
      : execution_(execution),
        checkpoint_(checkpoint),
        pool_(std::min(threads + kMoreWorkers, TaskPool::kMaxThreads)) {
    for (int i = 0; i < pool_.threads(); ++i) workers_.push_back(execution.make_worker());
  }

  // Returns when the last of the pieces is written.
  void run(std::span<const Piece> pieces, Progress& progress, const StopFlag& stop) {
    PieceQueue queue(pieces, [&](const Piece& piece) {
      checkpoint_.prefetch_rows(*piece.tensor, piece.first, piece.rows);
    });
    pool_.for_ranges(workers_.size(), 1, [&](std::uint64_t number, std::uint64_t) {
      try {
        while (const Piece* piece = queue.next()) {
          stop.check();
          execution_.process(*piece, workers_[number]);
          progress.advance(piece->bytes());
        }
      } catch (...) {
        queue.close();
        throw;
      }
    });
  }

  void finish() {
    for (const Worker& worker : workers_) execution_.finish(worker);
  }

 private:
  Execution& execution_;
  const model::Checkpoint& checkpoint_;
  const TaskPool pool_;
  std::vector<Worker> workers_;
};

void quantize_all(Execution& execution, const model::Checkpoint& checkpoint, EncoderSource& source,
                  int threads, Progress& progress, const StopFlag& stop) {
  std::uint64_t total = 0;
  for (const model::StoredTensor& tensor : checkpoint.tensors()) total += tensor.bytes();
  progress.begin("quantizing", total, "B");
  Crew crew(execution, checkpoint, threads);
  const Work& work = execution.work();
  if (!source.layer_by_layer()) {
    crew.run(work.pieces, progress, stop);
  } else {
    for (const Work::Layer& layer : work.layers) {
      source.begin_layer(layer.number);
      crew.run(work.of(layer), progress, stop);
      source.end_layer(layer.number);
    }
  }
  crew.finish();
  progress.end();
}

}  // namespace

ExecuteStats execute(const Plan& plan, const model::Checkpoint& checkpoint, const TaskPool& pool,
                     Progress& progress, const StopFlag& stop, const ExecuteOptions& options) {
  refuse_to_replace_input(plan, checkpoint);
  check_outputs(plan, options.output);
  const kernels::KernelTable& kernels =
      options.kernels != nullptr ? *options.kernels : kernels::best_kernels();
  NormGainEncoders usual(checkpoint, kernels);
  EncoderSource& source = options.encoders != nullptr ? *options.encoders : usual;
  Execution execution(plan, checkpoint, kernels, source, options.output, pool.threads());
  const double began = seconds_now();
  quantize_all(execution, checkpoint, source, pool.threads(), progress, stop);
  for (const std::string& note : execution.notes()) progress.note(note);
  const double written = seconds_now();
  progress.begin("syncing", 0, "");
  stop.check();
  execution.commit();
  progress.end();
  ExecuteStats stats = execution.stats();
  stats.sync = seconds_now() - written;
  stats.wall = seconds_now() - began;
  return stats;
}

}  // namespace pajamas::quantize
