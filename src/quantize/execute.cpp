#include "quantize/execute.h"

#include <fmt/format.h>

#include <algorithm>
#include <atomic>
#include <condition_variable>
#include <limits>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <vector>

#include "base/bytes.h"
#include "base/error.h"
#include "base/system.h"
#include "codec/room.h"
#include "quantize/importance.h"
#include "quantize/pieces.h"
#include "quantize/row_reader.h"
#include "quantize/weight_check.h"

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

// How much is written to one file before the disk is told to begin.
constexpr std::uint64_t kWritebackBytes = 32 << 20;

using PlaneBuffers = model::PlaneBuffers;

// What one worker keeps from piece to piece.
struct Worker {
  RowReader reader;
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

// Otherwise it is a folder of named files.
bool is_single_file(const PlannedOutput& plan) noexcept {
  return plan.files.size() == 1 && plan.files[0].name.empty();
}

// The files of one output while it is written.
class Writer {
 public:
  Writer(const PlannedOutput& plan, OutputOptions options)
      : plan_(plan), written_(plan.files.size()) {
    for (std::size_t i = 0; i < plan.tensors.size(); ++i) {
      if (plan.tensors[i].content.empty()) index_.emplace(plan.tensors[i].spec.key, i);
    }
    const bool single = is_single_file(plan);
    if (!single) folder_.emplace(plan.path, options);
    for (const PlannedFile& file : plan.files) {
      files_.push_back(
          single ? std::make_unique<OutputFile>(plan.path, file.bytes, options)
                 : std::make_unique<OutputFile>(folder_->create_file(file.name, file.bytes)));
      files_.back()->write_at(0, as_byte_span(file.header));
    }
    for (const PlannedTensor& tensor : plan.tensors) {
      if (!tensor.content.empty()) write(tensor.planes[0], 0, as_byte_span(tensor.content));
    }
  }

  const PlannedOutput& plan() const noexcept { return plan_; }

  const PlannedTensor* find(model::TensorKey key) const noexcept {
    const auto found = index_.find(key);
    return found == index_.end() ? nullptr : &plan_.tensors[found->second];
  }

  void write(const PlannedPlane& where, std::uint64_t offset, std::span<const std::byte> bytes) {
    files_[where.file]->write_at(where.offset + offset, bytes);
    const std::uint64_t before = written_[where.file].fetch_add(bytes.size());
    if (before / kWritebackBytes != (before + bytes.size()) / kWritebackBytes) {
      files_[where.file]->start_writeback();
    }
  }

  void commit() {
    for (const SmallFile& small : plan_.small_files) {
      OutputFile file = folder_->create_file(small.name, small.content.size());
      file.write_at(0, as_byte_span(small.content));
      file.commit();
    }
    for (auto& file : files_) file->commit();
    if (folder_) folder_->commit();
  }

 private:
  const PlannedOutput& plan_;
  std::map<model::TensorKey, std::size_t> index_;
  std::optional<OutputDirectory> folder_;
  std::vector<std::unique_ptr<OutputFile>> files_;
  std::vector<std::atomic<std::uint64_t>> written_;  // bytes of each file
};

class Execution {
 public:
  Execution(const Plan& plan, const model::Checkpoint& checkpoint,
            const kernels::KernelTable& kernels, OutputOptions options, int threads)
      : checkpoint_(checkpoint),
        kernels_(kernels),
        importance_(checkpoint, kernels),
        check_(plan, checkpoint),
        slots_(threads) {
    for (const PlannedOutput& output : plan.outputs) {
      writers_.push_back(std::make_unique<Writer>(output, options));
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
    Worker worker{RowReader(checkpoint_, kernels_), {}, {}, {}};
    worker.encoded.resize(writers_.size());
    worker.stats.encode.resize(writers_.size());
    worker.stats.write.resize(writers_.size());
    return worker;
  }

  // Read, decode, encode, write: from the disk to the disk. Only the middle holds a slot.
  void process(const Piece& piece, Worker& worker) {
    const ConstPlanes& stored = worker.reader.fetch(*piece.tensor, piece.first, piece.rows);
    std::vector<Target> targets;
    bool decoded = false;
    for (std::size_t output = 0; output < writers_.size(); ++output) {
      const PlannedTensor* tensor = writers_[output]->find(piece.tensor->key);
      if (tensor == nullptr) continue;
      targets.push_back({tensor, output, place(piece, *tensor, worker.encoded[output])});
      decoded |= !tensor->repacked;
    }
    {
      const ComputeSlots::Held slot(slots_);
      for (const Target& target : targets) {
        if (!target.tensor->repacked) continue;
        const double began = seconds_now();
        require_finite_scales(checkpoint_, *piece.tensor, piece.first, stored);
        codec::repack_rows(piece.tensor->encoding, stored, target.tensor->encoding, target.planes);
        worker.stats.encode[target.output] += seconds_now() - began;
      }
      if (decoded) encode(piece, targets, worker);
    }
    for (const Target& target : targets) {
      const double began = seconds_now();
      write(piece, target);
      worker.stats.write[target.output] += seconds_now() - began;
    }
  }

  void finish(const Worker& worker) {
    const std::lock_guard lock(mutex_);
    worker.add_to(total_);
  }

  void commit() {
    for (auto& writer : writers_) writer->commit();
  }

  // What became of the weights that the user should know.
  std::vector<std::string> notes() const { return check_.vanished(); }

  // Of all workers that have finished.
  const ExecuteStats& stats() const noexcept { return total_; }

 private:
  // A piece as one output will store it.
  struct Target {
    const PlannedTensor* tensor;
    std::size_t output;
    Planes planes;
  };

  static ConstPlanes as_const(const Planes& planes) noexcept {
    ConstPlanes out;
    std::ranges::copy(planes.plane, out.plane.begin());
    return out;
  }

  // Memory for a piece that lies as its place in the file does, so that it can go there as it is.
  static Planes place(const Piece& piece, const PlannedTensor& target, PlaneBuffers& buffers) {
    Planes planes;
    for (std::size_t plane = 0; plane < target.encoding.planes(); ++plane) {
      const std::uint64_t row = target.encoding.plane_row_bytes(plane, piece.tensor->shape.cols());
      planes.plane[plane] =
          buffers[plane].place(target.planes[plane].offset + piece.first * row, piece.rows * row);
    }
    return planes;
  }

  // A chunk after the other, each decoded once for all outputs.
  void encode(const Piece& piece, const std::vector<Target>& targets, Worker& worker) {
    const std::uint64_t cols = piece.tensor->shape.cols();
    const std::uint64_t step = rows_with(kChunkWeights, cols);
    float room = std::numeric_limits<float>::max();
    for (const Target& target : targets) {
      if (target.tensor->repacked) continue;
      room = std::min(room, codec::always_room(target.tensor->encoding));
    }
    for (std::uint64_t first = 0; first < piece.rows; first += step) {
      const std::uint64_t rows = std::min(step, piece.rows - first);
      worker.weights.resize(rows * cols);
      worker.reader.decode(*piece.tensor, first, rows, worker.weights);
      double began = seconds_now();
      const bool large = check_.look(*piece.tensor, piece.first + first, worker.weights, room);
      double now = seconds_now();
      worker.stats.decode += now - began;
      for (const Target& target : targets) {
        if (target.tensor->repacked) continue;
        const Encoding& encoding = target.tensor->encoding;
        Planes planes;
        for (std::size_t plane = 0; plane < encoding.planes(); ++plane) {
          const std::uint64_t row = encoding.plane_row_bytes(plane, cols);
          planes.plane[plane] = target.planes.plane[plane].subspan(first * row, rows * row);
        }
        began = now;
        const std::span<const float> importance = importance_.of(*piece.tensor, encoding);
        kernels_.encode_rows(encoding, worker.weights, importance, cols, planes);
        if (large) {
          check_.require_room(*piece.tensor, piece.first + first, worker.weights, importance,
                              writers_[target.output]->plan(), *target.tensor, as_const(planes));
        }
        now = seconds_now();
        worker.stats.encode[target.output] += now - began;
      }
    }
  }

  void write(const Piece& piece, const Target& target) {
    const PlannedTensor& tensor = *target.tensor;
    for (std::size_t plane = 0; plane < tensor.encoding.planes(); ++plane) {
      const std::uint64_t row = tensor.encoding.plane_row_bytes(plane, piece.tensor->shape.cols());
      const std::span<const std::byte> bytes = target.planes.plane[plane];
      if (tensor.row_order == RowOrder::kSame) {
        writers_[target.output]->write(tensor.planes[plane], piece.first * row, bytes);
        continue;
      }
      for (std::uint64_t i = 0; i < piece.rows; ++i) {
        writers_[target.output]->write(tensor.planes[plane],
                                       tensor.target_row(piece.first + i) * row,
                                       bytes.subspan(i * row, row));
      }
    }
  }

  const model::Checkpoint& checkpoint_;
  const kernels::KernelTable& kernels_;
  ColumnImportance importance_;
  WeightCheck check_;
  ComputeSlots slots_;
  std::vector<std::unique_ptr<Writer>> writers_;
  std::mutex mutex_;
  ExecuteStats total_;
};

}  // namespace

std::uint64_t workers_bytes(std::uint64_t cols, std::uint64_t transposed, int threads,
                            std::size_t outputs) noexcept {
  const std::uint64_t piece =
      std::max(piece_weights(cols), transposed) * kBytesPerWeight * (1 + outputs);
  const std::uint64_t chunk = rows_with(kChunkWeights, cols) * cols * sizeof(float);
  const auto workers = static_cast<std::uint64_t>(threads) + kMoreWorkers;
  return workers * (piece + chunk + kSpacedBytes);
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

void quantize_all(Execution& execution, const model::Checkpoint& checkpoint, const TaskPool& pool,
                  Progress& progress, const StopFlag& stop) {
  std::uint64_t total = 0;
  for (const model::StoredTensor& tensor : checkpoint.tensors()) total += tensor.bytes();
  progress.begin("quantizing", total, "B");
  const std::vector<Piece> pieces = pieces_of(checkpoint);
  PieceQueue queue(pieces, [&](const Piece& piece) {
    checkpoint.prefetch_rows(*piece.tensor, piece.first, piece.rows);
  });
  const TaskPool workers(std::min(pool.threads() + kMoreWorkers, TaskPool::kMaxThreads));
  workers.for_ranges(static_cast<std::uint64_t>(workers.threads()), 1, [&](auto, auto) {
    try {
      Worker worker = execution.make_worker();
      while (const Piece* piece = queue.next()) {
        stop.check();
        execution.process(*piece, worker);
        progress.advance(piece->bytes());
      }
      execution.finish(worker);
    } catch (...) {
      queue.close();
      throw;
    }
  });
  progress.end();
}

}  // namespace

ExecuteStats execute(const Plan& plan, const model::Checkpoint& checkpoint, const TaskPool& pool,
                     Progress& progress, const StopFlag& stop, const ExecuteOptions& options) {
  refuse_to_replace_input(plan, checkpoint);
  check_outputs(plan, options.output);
  Execution execution(plan, checkpoint,
                      options.kernels != nullptr ? *options.kernels : kernels::best_kernels(),
                      options.output, pool.threads());
  const double began = seconds_now();
  quantize_all(execution, checkpoint, pool, progress, stop);
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
