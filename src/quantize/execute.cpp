#include "quantize/execute.h"

#include <fmt/format.h>

#include <algorithm>
#include <atomic>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <tuple>
#include <vector>

#include "base/bytes.h"
#include "base/error.h"
#include "base/system.h"
#include "quantize/importance.h"
#include "quantize/row_reader.h"

namespace pajamas::quantize {
namespace {

// Weights that one worker holds at a time: enough that reading and writing go in large pieces, few
// enough to stay in the processor's second-level cache.
constexpr std::uint64_t kPieceWeights = 256 * 1024;

// Bytes of one weight in a worker: stored (at most 4), float, and encoded (at most 4).
constexpr std::uint64_t kWorkerBytesPerWeight = 12;
// What reading needs where rows or columns do not lie side by side.
constexpr std::uint64_t kSpacedBytes = 2 << 20;

std::uint64_t piece_rows(std::uint64_t cols) noexcept {
  return std::max<std::uint64_t>(1, kPieceWeights / std::max<std::uint64_t>(1, cols));
}

// How far ahead of the workers the checkpoint is read, and how much is written to one file before
// the disk is told to begin: both keep the disk busy while the processor works.
constexpr std::uint64_t kReadAheadBytes = 32 << 20;
constexpr std::uint64_t kWritebackBytes = 32 << 20;

// The buffers of one worker. Reused from piece to piece.
struct Scratch {
  RowReader reader;
  std::vector<float> weights;
  std::vector<std::byte> encoded;
  ExecuteStats stats;
};

class ScratchPool {
 public:
  explicit ScratchPool(RowReader reader) : reader_(std::move(reader)) {}

  std::unique_ptr<Scratch> take() {
    const std::lock_guard lock(mutex_);
    if (free_.empty()) return std::make_unique<Scratch>(Scratch{reader_, {}, {}, {}});
    auto scratch = std::move(free_.back());
    free_.pop_back();
    return scratch;
  }
  void give(std::unique_ptr<Scratch> scratch) {
    const std::lock_guard lock(mutex_);
    free_.push_back(std::move(scratch));
  }
  // Of all that were given back.
  void add_to(ExecuteStats& total) const {
    for (const auto& scratch : free_) {
      total.read += scratch->reader.read_seconds();
      total.decode += scratch->reader.decode_seconds() + scratch->stats.decode;
      for (std::size_t i = 0; i < scratch->stats.encode.size(); ++i) {
        total.encode[i] += scratch->stats.encode[i];
        total.write[i] += scratch->stats.write[i];
      }
    }
  }

 private:
  RowReader reader_;  // the pattern of those handed out; never reads itself
  std::mutex mutex_;
  std::vector<std::unique_ptr<Scratch>> free_;
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

// A range of rows of one tensor: the unit of work. No two pieces share a byte of any output.
struct Piece {
  const model::StoredTensor* tensor;
  std::uint64_t first;
  std::uint64_t rows;
};

// All pieces, layer by layer: tensors outside the layers first, each group in the order of its
// bytes in the files.
std::vector<Piece> pieces_of(const model::Checkpoint& checkpoint) {
  std::vector<const model::StoredTensor*> tensors;
  for (const model::StoredTensor& tensor : checkpoint.tensors()) tensors.push_back(&tensor);
  const auto place = [](const model::StoredTensor* t) {
    return std::tuple(t->key.layer, t->parts[0][0].file, t->parts[0][0].offset);
  };
  std::stable_sort(tensors.begin(), tensors.end(),
                   [&](const auto* a, const auto* b) { return place(a) < place(b); });
  std::vector<Piece> pieces;
  for (const model::StoredTensor* tensor : tensors) {
    const std::uint64_t rows = tensor->shape.rows();
    const std::uint64_t step = piece_rows(tensor->shape.cols());
    for (std::uint64_t first = 0; first < rows; first += step) {
      pieces.push_back({tensor, first, std::min(step, rows - first)});
    }
  }
  return pieces;
}

std::uint64_t bytes_of(const Piece& piece) noexcept {
  return piece.rows * piece.tensor->encoding.row_bytes(piece.tensor->shape.cols());
}

// Hands pieces out in their order, so that the files are read from front to back whatever the
// number of workers, no worker waits at the end of a layer, and what comes next is asked of the
// disk in time.
class PieceQueue {
 public:
  PieceQueue(const model::Checkpoint& checkpoint, std::vector<Piece> pieces)
      : checkpoint_(checkpoint), pieces_(std::move(pieces)) {}

  // Null where none is left.
  const Piece* next() {
    const std::lock_guard lock(mutex_);
    if (next_ == pieces_.size()) return nullptr;
    const Piece& piece = pieces_[next_++];
    ahead_bytes_ -= std::min(ahead_bytes_, bytes_of(piece));
    for (; ahead_ < pieces_.size() && ahead_bytes_ < kReadAheadBytes; ++ahead_) {
      const Piece& coming = pieces_[ahead_];
      if (ahead_ < next_) continue;  // is being read now
      checkpoint_.prefetch_rows(*coming.tensor, coming.first, coming.rows);
      ahead_bytes_ += bytes_of(coming);
    }
    return &piece;
  }

  // Leaves nothing to hand out: somebody failed.
  void close() {
    const std::lock_guard lock(mutex_);
    next_ = pieces_.size();
  }

 private:
  const model::Checkpoint& checkpoint_;
  const std::vector<Piece> pieces_;
  std::mutex mutex_;
  std::size_t next_ = 0;
  std::size_t ahead_ = 0;          // the first piece that the disk was not asked for
  std::uint64_t ahead_bytes_ = 0;  // asked for and not yet handed out
};

class Execution {
 public:
  Execution(const Plan& plan, const model::Checkpoint& checkpoint,
            const kernels::KernelTable& kernels, OutputOptions options)
      : checkpoint_(checkpoint),
        kernels_(kernels),
        importance_(checkpoint, kernels),
        scratch_(RowReader(checkpoint, kernels)) {
    for (const PlannedOutput& output : plan.outputs) {
      writers_.push_back(std::make_unique<Writer>(output, options));
    }
  }

  void process(const Piece& piece) {
    auto scratch = scratch_.take();
    scratch->stats.encode.resize(writers_.size());
    scratch->stats.write.resize(writers_.size());
    const ConstPlanes& stored = scratch->reader.fetch(*piece.tensor, piece.first, piece.rows);
    bool decoded = false;
    for (std::size_t output = 0; output < writers_.size(); ++output) {
      const PlannedTensor* target = writers_[output]->find(piece.tensor->key);
      if (target == nullptr) continue;
      if (!target->repacked && !decoded) {
        decode(piece, *scratch);
        decoded = true;
      }
      encode(piece, stored, *target, *scratch, output);
    }
    scratch_.give(std::move(scratch));
  }

  void commit() {
    for (auto& writer : writers_) writer->commit();
  }

  ExecuteStats stats() const {
    ExecuteStats total;
    total.encode.resize(writers_.size());
    total.write.resize(writers_.size());
    scratch_.add_to(total);
    return total;
  }

 private:
  void decode(const Piece& piece, Scratch& scratch) {
    const std::uint64_t cols = piece.tensor->shape.cols();
    scratch.weights.resize(piece.rows * cols);
    scratch.reader.decode(*piece.tensor, scratch.weights);
    const double began = seconds_now();
    require_finite(checkpoint_, *piece.tensor, piece.first, scratch.weights);
    scratch.stats.decode += seconds_now() - began;
  }

  void encode(const Piece& piece, const ConstPlanes& stored, const PlannedTensor& target,
              Scratch& scratch, std::size_t output) {
    const std::uint64_t cols = piece.tensor->shape.cols();
    scratch.encoded.resize(piece.rows * target.encoding.row_bytes(cols));
    Planes planes;
    std::span<std::byte> rest(scratch.encoded);
    for (std::size_t plane = 0; plane < target.encoding.planes(); ++plane) {
      const std::uint64_t bytes = piece.rows * target.encoding.plane_row_bytes(plane, cols);
      planes.plane[plane] = rest.first(bytes);
      rest = rest.subspan(bytes);
    }
    const double began = seconds_now();
    if (target.repacked) {
      codec::repack_rows(piece.tensor->encoding, stored, target.encoding, planes);
    } else {
      kernels_.encode_rows(target.encoding, scratch.weights,
                           importance_.of(*piece.tensor, target.encoding), cols, planes);
    }
    const double encoded = seconds_now();
    for (std::size_t plane = 0; plane < target.encoding.planes(); ++plane) {
      const std::uint64_t row = target.encoding.plane_row_bytes(plane, cols);
      if (target.row_order == RowOrder::kSame) {
        writers_[output]->write(target.planes[plane], piece.first * row, planes.plane[plane]);
        continue;
      }
      for (std::uint64_t i = 0; i < piece.rows; ++i) {
        writers_[output]->write(target.planes[plane], target.target_row(piece.first + i) * row,
                                planes.plane[plane].subspan(i * row, row));
      }
    }
    scratch.stats.encode[output] += encoded - began;
    scratch.stats.write[output] += seconds_now() - encoded;
  }

  const model::Checkpoint& checkpoint_;
  const kernels::KernelTable& kernels_;
  ColumnImportance importance_;
  std::vector<std::unique_ptr<Writer>> writers_;
  ScratchPool scratch_;
};

}  // namespace

std::uint64_t worker_bytes(std::uint64_t cols) noexcept {
  return piece_rows(cols) * cols * kWorkerBytesPerWeight + kSpacedBytes;
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
  PieceQueue queue(checkpoint, pieces_of(checkpoint));
  const auto workers = static_cast<std::uint64_t>(pool.threads());
  pool.for_ranges(workers, 1, [&](std::uint64_t, std::uint64_t) {
    try {
      while (const Piece* piece = queue.next()) {
        stop.check();
        execution.process(*piece);
        progress.advance(bytes_of(*piece));
      }
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
                      options.output);
  const double began = seconds_now();
  quantize_all(execution, checkpoint, pool, progress, stop);
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
