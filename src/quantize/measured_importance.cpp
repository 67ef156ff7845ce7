#include "quantize/measured_importance.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <cmath>
#include <numeric>

#include "base/error.h"
#include "base/readable.h"
#include "codec/fitted.h"
#include "codec/room.h"
#include "model/architecture.h"

namespace pajamas::quantize {
namespace {

// Rows that the layer's mean counts for beside those an expert has seen.
constexpr double kPriorRows = 32;
// A column that was always zero may matter on another text, a little.
constexpr double kLeast = 1e-6;
// Of names, in one sentence.
constexpr std::size_t kNamesTold = 4;

// What the matrices of one tensor saw: mean squares, and the rows they are of.
struct Seen {
  std::uint64_t columns;
  std::vector<double> rows;     // [matrices]
  std::vector<double> squares;  // [matrices][columns]; means

  std::span<const double> of(std::size_t matrix) const {
    return std::span(squares).subspan(matrix * columns, columns);
  }
};

double mean_of(std::span<const double> values) {
  return std::accumulate(values.begin(), values.end(), 0.0) / static_cast<double>(values.size());
}

// The old form does not tell how many rows an expert has seen; one that saw none has ones.
constexpr double kManyRows = 1e9;

Seen seen_of(const io::ImatrixEntry& entry, std::uint64_t columns, std::size_t matrices,
             bool counts_rows) {
  Seen seen{columns, std::vector<double>(matrices), std::vector<double>(entry.sums.size())};
  for (std::size_t m = 0; m < matrices; ++m) {
    const double count = entry.counts.size() == 1 ? entry.counts[0] : entry.counts[m];
    const auto from = std::span(entry.sums).subspan(m * columns, columns);
    const auto to = std::span(seen.squares).subspan(m * columns, columns);
    if (count > 0) std::ranges::transform(from, to.begin(), [&](double v) { return v / count; });
    seen.rows[m] = count;
    if (counts_rows) continue;
    const bool ones = matrices > 1 && std::ranges::all_of(to, [](double v) { return v == 1; });
    seen.rows[m] = count > 0 && !ones ? kManyRows : 0;
  }
  return seen;
}

// Over all experts, by the rows that each has seen.
std::vector<double> layer_mean(const Seen& seen) {
  std::vector<double> mean(seen.columns);
  const double rows = std::accumulate(seen.rows.begin(), seen.rows.end(), 0.0);
  for (std::size_t m = 0; m < seen.rows.size(); ++m) {
    const auto own = seen.of(m);
    for (std::size_t j = 0; j < mean.size(); ++j) mean[j] += own[j] * (seen.rows[m] / rows);
  }
  return mean;
}

// Weights of mean 1. An expert's inputs may be smaller than another's all over: the mean of the
// layer is taken at its own scale.
std::vector<float> weights_of(const Seen& seen, std::size_t matrix, std::span<const double> mean) {
  const auto own = seen.of(matrix);
  const double rows = seen.rows[matrix];
  const double own_scale = mean_of(own), layer_scale = mean_of(mean);
  const bool alone = seen.rows.size() == 1;
  const double scale = rows > 0 && own_scale > 0 ? own_scale / layer_scale : 1;
  std::vector<double> blended(own.begin(), own.end());
  for (std::size_t j = 0; j < blended.size() && !alone; ++j) {
    blended[j] = (own[j] * rows + mean[j] * scale * kPriorRows) / (rows + kPriorRows);
  }
  const double size = mean_of(blended);
  std::vector<float> weights(blended.size());
  std::ranges::transform(blended, weights.begin(),
                         [&](double v) { return static_cast<float>(std::max(v / size, kLeast)); });
  return weights;
}

// Of 1/2, 3/4 and 1 the best on two small models.
constexpr double kGainPower = 0.75;
// What is lost of a row beyond that is no matter of size.
constexpr double kMostGain = 1.3;

// Below four bits the error's share of the energy tells.
bool is_coarse(const Encoding& encoding) noexcept {
  const std::size_t cols = encoding.block_cols();
  return encoding.row_bytes(cols) * 8 < 4 * cols;
}

// Weighs the error of a weight by its column and by its size: w * sqrt(mean square of its
// super-block + its own square). What a model does hangs on its large weights more than their share
// of the output's square says; docs/imatrix.md has what that brings.
class SizeEncoder final : public RowEncoder {
 public:
  SizeEncoder(const kernels::KernelTable& kernels, const Encoding& encoding,
              std::span<const float> columns)
      : kernels_(kernels), encoding_(encoding), columns_(columns) {}

  void encode(std::uint64_t, std::span<const float> rows, const Planes& out) const override {
    const std::size_t cols = columns_.size(), row_bytes = encoding_.row_bytes(cols);
    std::vector<float> weights(cols), back(cols);
    std::vector<codec::FittedBlock> blocks(is_coarse(encoding_) ? cols / encoding_.block_cols()
                                                                : 0);
    for (std::size_t row = 0; row * cols < rows.size(); ++row) {
      const std::span<const float> values = rows.subspan(row * cols, cols);
      weigh(values, weights);
      Planes planes;
      planes.plane[0] = out.plane[0].subspan(row * row_bytes, row_bytes);
      kernels_.encode_rows(encoding_, values, weights, cols, planes);
      if (!blocks.empty()) undo_shrinking(values, planes, back, blocks);
    }
  }
  std::span<const float> importance() const noexcept override { return columns_; }

 private:
  // Least squares shrinks: with D the error's share of the energy, what is stored has 1 - D of it,
  // and every product is too small by as much, layer after layer. So all values of a row are
  // multiplied by a power of <x, x> / <x, q>, which is 1 / (1 - D): 1/2 of it restores the energy
  // and 1 the product with the weights themselves. That costs squared error and brings a model
  // closer all the same; docs/imatrix.md has what it brings.
  void undo_shrinking(std::span<const float> values, const Planes& planes, std::span<float> back,
                      std::span<codec::FittedBlock> blocks) const {
    ConstPlanes stored;
    stored.plane[0] = planes.plane[0];
    kernels_.decode_rows(encoding_, stored, values.size(), back);
    double own = 0, with_stored = 0;
    float largest = 0;
    for (std::size_t j = 0; j < values.size(); ++j) {
      own += columns_[j] * double{values[j]} * values[j];
      with_stored += columns_[j] * double{values[j]} * back[j];
      largest = std::max(largest, std::abs(values[j]));
    }
    if (with_stored <= 0 || own <= with_stored) return;
    const double gain = std::min(std::pow(own / with_stored, kGainPower), kMostGain);
    if (largest * gain > codec::always_room(encoding_)) return;
    codec::unpack(encoding_, stored, blocks);
    for (codec::FittedBlock& block : blocks) {
      block.d *= static_cast<float>(gain);
      block.m *= static_cast<float>(gain);
    }
    codec::pack(encoding_, blocks, planes);
  }

  void weigh(std::span<const float> values, std::span<float> weights) const noexcept {
    const std::size_t block = encoding_.block_cols();
    for (std::size_t first = 0; first < values.size(); first += block) {
      double squares = 0;
      for (const float x : values.subspan(first, block)) squares += double{x} * x;
      const double mean = squares / static_cast<double>(block);
      // Ratios count. Of a block without anything all are alike; in double, squares are finite.
      const double unit = mean > 0 ? 1 / mean : 0;
      for (std::size_t i = first; i < first + block; ++i) {
        weights[i] =
            columns_[i] * static_cast<float>(std::sqrt(1 + double{values[i]} * values[i] * unit));
      }
    }
  }

  const kernels::KernelTable& kernels_;
  const Encoding encoding_;
  const std::span<const float> columns_;
};

// Formats of super-blocks. The others take many rows of one importance at a time, and gain nothing
// where each weight has a bit to spare.
bool weighs_sizes(const Encoding& encoding) noexcept {
  constexpr std::size_t kSuperBlock = 256;
  return encoding.layout == Layout::kStream && encoding.block_cols() == kSuperBlock;
}

std::string names_in_a_sentence(const std::vector<std::string>& names) {
  const std::size_t told = std::min(names.size(), kNamesTold);
  std::vector<std::string> shown;
  for (std::size_t i = 0; i < told; ++i) shown.push_back(printable(names[i], 80));
  const std::string text = fmt::format("{}", fmt::join(shown, ", "));
  return told == names.size() ? text : fmt::format("{} and {} more", text, names.size() - told);
}

}  // namespace

MeasuredImportance::MeasuredImportance(const io::Imatrix& matrix,
                                       const model::ModelConfig& config) {
  std::map<std::string_view, const io::ImatrixEntry*> entries;
  for (const io::ImatrixEntry& entry : matrix.entries) entries[entry.name] = &entry;
  bool any = false;
  for (const model::TensorSpec& spec : model::tensors_of(config)) {
    if (!spec.is_matrix) continue;
    const auto entry = entries.find(spec.gguf);
    if (entry != entries.end()) {
      with_context(spec.gguf, [&] { take(spec, *entry->second, matrix.counts_rows); });
      entries.erase(entry);
      any = true;
    }
    const bool measured =
        columns_.contains({spec.key.role, spec.key.layer, spec.is_stack() ? 0 : -1});
    // Embedding and output are not measured unless that was asked for, and the router stays exact.
    if (!measured && spec.key.layer >= 0 && spec.key.role != model::Role::kRouter) {
      without_.push_back(spec.gguf);
    }
  }
  for (const auto& [name, entry] : entries) unmatched_.emplace_back(name);
  if (any) return;
  throw Error(ErrorCode::kUsage, "no entry is of a matrix of this model",
              "give a matrix that was measured on this model");
}

void MeasuredImportance::take(const model::TensorSpec& spec, const io::ImatrixEntry& entry,
                              bool counts_rows) {
  const std::uint64_t columns = spec.shape.cols();
  const std::size_t matrices = spec.is_stack() ? spec.shape[0] : 1;
  if (entry.sums.size() != columns * matrices ||
      (entry.counts.size() != 1 && entry.counts.size() != matrices)) {
    throw Error(ErrorCode::kUsage,
                fmt::format("the matrix has {} columns, this model's {}", entry.sums.size(),
                            columns * matrices),
                "give a matrix that was measured on this model");
  }
  const Seen seen = seen_of(entry, columns, matrices, counts_rows);
  const bool nothing = std::ranges::all_of(seen.rows, [](double rows) { return rows == 0; }) ||
                       std::ranges::all_of(seen.squares, [](double v) { return v == 0; });
  if (nothing) return;
  const std::vector<double> mean = layer_mean(seen);
  for (std::size_t m = 0; m < matrices; ++m) {
    const int expert = spec.is_stack() ? static_cast<int>(m) : -1;
    columns_[{spec.key.role, spec.key.layer, expert}] = weights_of(seen, m, mean);
  }
  // Gate, up and down of an expert have seen the same rows.
  if (!spec.is_stack() || (!leaning_.empty() && leaning_.back().layer == spec.key.layer)) return;
  LeaningExperts leaning{spec.key.layer, {}};
  for (std::size_t m = 0; m < matrices; ++m) {
    if (seen.rows[m] >= static_cast<double>(kHardlySeen)) continue;
    leaning.experts.emplace_back(m, static_cast<std::uint64_t>(seen.rows[m]));
  }
  if (!leaning.experts.empty()) leaning_.push_back(std::move(leaning));
}

std::span<const float> MeasuredImportance::of(model::TensorKey matrix) const noexcept {
  const auto at = columns_.find(matrix);
  return at == columns_.end() ? std::span<const float>() : std::span<const float>(at->second);
}

std::vector<std::string> MeasuredImportance::notes() const {
  std::vector<std::string> notes;
  if (!unmatched_.empty()) {
    notes.push_back(fmt::format("importance matrix: nothing in this model is called {}",
                                names_in_a_sentence(unmatched_)));
  }
  if (!without_.empty()) {
    notes.push_back(fmt::format("importance matrix: has no data for {}; weighed as without it",
                                names_in_a_sentence(without_)));
  }
  for (const LeaningExperts& layer : leaning_) {
    std::vector<std::string> experts;
    for (const auto& [expert, rows] : layer.experts) {
      experts.push_back(fmt::format("{} ({})", expert, with_thousands(rows)));
    }
    notes.push_back(fmt::format(
        "importance matrix: experts of layer {} that saw fewer than {} tokens lean on the mean of "
        "their layer: {}",
        layer.layer, kHardlySeen, fmt::join(experts, ", ")));
  }
  return notes;
}

std::unique_ptr<const RowEncoder> MeasuredEncoders::encoder(const PlannedTensor& tensor,
                                                            int expert) {
  const model::TensorKey key{tensor.spec.key.role, tensor.spec.key.layer, expert};
  const std::span<const float> columns = importance_->of(key);
  if (columns.empty() || tensor.encoding.is_plain()) return usual_.encoder(tensor, expert);
  if (weighs_sizes(tensor.encoding)) {
    return std::make_unique<SizeEncoder>(*kernels_, tensor.encoding, columns);
  }
  return importance_encoder(*kernels_, tensor.encoding, columns.size(), columns);
}

}  // namespace pajamas::quantize
