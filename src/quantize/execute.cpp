#include "quantize/execute.h"

#include <fmt/format.h>

#include <algorithm>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <vector>

#include "base/bytes.h"
#include "base/error.h"
#include "quantize/importance.h"
#include "quantize/row_reader.h"

namespace pajamas::quantize {
namespace {

// Weights that one worker holds at a time: enough that reading and writing go in large pieces, few
// enough to stay in the processor's second-level cache.
constexpr std::uint64_t kPieceWeights = 256 * 1024;

// Bytes of one weight in a worker: stored (at most 4), float, and encoded (at most 4).
constexpr std::uint64_t kWorkerBytesPerWeight = 12;

std::uint64_t piece_rows(std::uint64_t cols) noexcept {
  return std::max<std::uint64_t>(1, kPieceWeights / std::max<std::uint64_t>(1, cols));
}

// The buffers of one worker. Reused from piece to piece.
struct Scratch {
  RowReader reader;
  std::vector<float> weights;
  std::vector<std::byte> encoded;
};

class ScratchPool {
 public:
  explicit ScratchPool(RowReader reader) : reader_(std::move(reader)) {}

  std::unique_ptr<Scratch> take() {
    const std::lock_guard lock(mutex_);
    if (free_.empty()) return std::make_unique<Scratch>(Scratch{reader_, {}, {}});
    auto scratch = std::move(free_.back());
    free_.pop_back();
    return scratch;
  }
  void give(std::unique_ptr<Scratch> scratch) {
    const std::lock_guard lock(mutex_);
    free_.push_back(std::move(scratch));
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
  Writer(const PlannedOutput& plan, OutputOptions options) : plan_(plan) {
    for (std::size_t i = 0; i < plan.tensors.size(); ++i)
      index_.emplace(plan.tensors[i].spec.key, i);
    const bool single = is_single_file(plan);
    if (!single) folder_.emplace(plan.path, options);
    for (const PlannedFile& file : plan.files) {
      files_.push_back(
          single ? std::make_unique<OutputFile>(plan.path, file.bytes, options)
                 : std::make_unique<OutputFile>(folder_->create_file(file.name, file.bytes)));
      files_.back()->write_at(0, as_byte_span(file.header));
    }
  }

  const PlannedTensor* find(model::TensorKey key) const noexcept {
    const auto found = index_.find(key);
    return found == index_.end() ? nullptr : &plan_.tensors[found->second];
  }

  void write(const PlannedPlane& where, std::uint64_t offset, std::span<const std::byte> bytes) {
    files_[where.file]->write_at(where.offset + offset, bytes);
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
};

// A range of rows of one tensor: the unit of work. No two pieces share a byte of any output.
struct Piece {
  const model::StoredTensor* tensor;
  std::uint64_t first;
  std::uint64_t rows;
};

std::vector<Piece> pieces_of(std::span<const model::StoredTensor* const> tensors) {
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

// Tensors by layer, those outside the layers first and each group in the file's order.
std::vector<std::vector<const model::StoredTensor*>> by_layer(const model::Checkpoint& checkpoint) {
  std::map<int, std::vector<const model::StoredTensor*>> groups;
  for (const model::StoredTensor& tensor : checkpoint.tensors()) {
    groups[tensor.key.layer].push_back(&tensor);
  }
  std::vector<std::vector<const model::StoredTensor*>> layers;
  for (auto& [layer, tensors] : groups) layers.push_back(std::move(tensors));
  return layers;
}

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
    read(piece, *scratch);
    for (auto& writer : writers_) {
      if (const PlannedTensor* target = writer->find(piece.tensor->key)) {
        encode(piece, *target, *scratch, *writer);
      }
    }
    scratch_.give(std::move(scratch));
  }

  void commit() {
    for (auto& writer : writers_) writer->commit();
  }

 private:
  void read(const Piece& piece, Scratch& scratch) {
    const std::uint64_t cols = piece.tensor->shape.cols();
    scratch.weights.resize(piece.rows * cols);
    scratch.reader.read(*piece.tensor, piece.first, piece.rows, scratch.weights);
    const std::size_t bad = codec::first_non_finite(scratch.weights);
    if (bad == scratch.weights.size()) return;
    throw Error(ErrorCode::kCorruptFile,
                fmt::format("weight {} of row {} is {}", bad % cols, piece.first + bad / cols,
                            scratch.weights[bad]),
                "the checkpoint is damaged: download it again")
        .at(piece.tensor->name)
        .at(printable(checkpoint_.files()[piece.tensor->planes[0].file].path().native(), 300));
  }

  void encode(const Piece& piece, const PlannedTensor& target, Scratch& scratch, Writer& writer) {
    const std::uint64_t cols = piece.tensor->shape.cols();
    scratch.encoded.resize(piece.rows * target.encoding.row_bytes(cols));
    Planes planes;
    std::span<std::byte> rest(scratch.encoded);
    for (std::size_t plane = 0; plane < target.encoding.planes(); ++plane) {
      const std::uint64_t bytes = piece.rows * target.encoding.plane_row_bytes(plane, cols);
      planes.plane[plane] = rest.first(bytes);
      rest = rest.subspan(bytes);
    }
    kernels_.encode_rows(target.encoding, scratch.weights,
                         importance_.of(*piece.tensor, target.encoding), cols, planes);
    for (std::size_t plane = 0; plane < target.encoding.planes(); ++plane) {
      const std::uint64_t row = target.encoding.plane_row_bytes(plane, cols);
      writer.write(target.planes[plane], piece.first * row, planes.plane[plane]);
    }
  }

  const model::Checkpoint& checkpoint_;
  const kernels::KernelTable& kernels_;
  ColumnImportance importance_;
  std::vector<std::unique_ptr<Writer>> writers_;
  ScratchPool scratch_;
};

}  // namespace

std::uint64_t worker_bytes(std::uint64_t cols) noexcept {
  return piece_rows(cols) * cols * kWorkerBytesPerWeight;
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

}  // namespace

void execute(const Plan& plan, const model::Checkpoint& checkpoint, const TaskPool& pool,
             Progress& progress, const StopFlag& stop, const ExecuteOptions& options) {
  refuse_to_replace_input(plan, checkpoint);
  check_outputs(plan, options.output);
  Execution execution(plan, checkpoint,
                      options.kernels != nullptr ? *options.kernels : kernels::best_kernels(),
                      options.output);
  std::uint64_t total = 0;
  for (const model::StoredTensor& tensor : checkpoint.tensors()) total += tensor.bytes();
  progress.begin("quantizing", total, "B");
  for (const auto& layer : by_layer(checkpoint)) {
    const auto pieces = pieces_of(layer);
    pool.for_ranges(pieces.size(), 1, [&](std::uint64_t first, std::uint64_t last) {
      for (std::uint64_t i = first; i < last; ++i) {
        stop.check();
        execution.process(pieces[i]);
        const model::StoredTensor& tensor = *pieces[i].tensor;
        progress.advance(pieces[i].rows * tensor.encoding.row_bytes(tensor.shape.cols()));
      }
    });
  }
  progress.end();
  progress.begin("syncing", 0, "");
  stop.check();
  execution.commit();
  progress.end();
}

}  // namespace pajamas::quantize
