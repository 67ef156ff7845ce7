#include "quantize/importance.h"

#include <algorithm>
#include <cmath>

#include "codec/format.h"
#include "codec/fp8.h"
#include "weights/row_reader.h"

namespace pajamas::quantize {
namespace {

// Weights that a sample of rows has, about; and rows that it has at least.
constexpr std::uint64_t kSampleWeights = 32 * 1024;
constexpr std::uint64_t kSampleRows = 8;
// Samples that are kept: more than threads work on different tensors, a few MB.
constexpr std::size_t kSamplesKept = 32;

// Powers of the gain, strongest first. Only products and square roots: these are rounded the same
// way everywhere, which std::pow is not. Beyond 1.5 KL does not fall any more.
using Power = float (*)(float);
constexpr Power kPowers[] = {
    [](float g) { return g * std::sqrt(g); },
    [](float g) { return g; },
    [](float g) { return std::sqrt(g * std::sqrt(g)); },
    [](float g) { return std::sqrt(g); },
    [](float g) { return std::sqrt(std::sqrt(g)); },
};

// Rows spread evenly over a tensor; empty where they hold something that cannot be encoded.
std::vector<float> sample_rows(const model::Checkpoint& checkpoint,
                               const kernels::KernelTable& kernels,
                               const model::StoredTensor& tensor) {
  const std::uint64_t cols = tensor.shape.cols(), rows = tensor.shape.rows();
  const std::uint64_t count = std::min(rows, std::max(kSampleRows, kSampleWeights / cols));
  std::vector<float> sample(count * cols);
  weights::RowReader reader(checkpoint, kernels);
  for (std::uint64_t i = 0; i < count; ++i) {
    reader.read(tensor, i * rows / count, 1, std::span(sample).subspan(i * cols, cols));
  }
  if (codec::first_non_finite(sample) != sample.size()) sample.clear();
  return sample;
}

// Sum of squares of what an encoding makes of whole rows, every weight alike.
double plain_error(const kernels::KernelTable& kernels, const Encoding& encoding,
                   std::span<const float> rows, std::uint64_t cols,
                   std::span<const float> importance) {
  const std::uint64_t count = rows.size() / cols;
  std::array<std::vector<std::byte>, Encoding::kMaxPlanes> stored;
  Planes planes;
  ConstPlanes written;
  for (std::size_t p = 0; p < encoding.planes(); ++p) {
    stored[p].resize(count * encoding.plane_row_bytes(p, cols));
    planes.plane[p] = stored[p];
    written.plane[p] = stored[p];
  }
  kernels.encode_rows(encoding, rows, importance, cols, planes);
  std::vector<float> out(rows.size());
  kernels.decode_rows(encoding, written, cols, out);
  double sum = 0;
  for (std::size_t i = 0; i < out.size(); ++i) {
    const double error = double{out[i]} - rows[i];
    sum += error * error;
  }
  return sum;
}

class ImportanceEncoder : public RowEncoder {
 public:
  ImportanceEncoder(const kernels::KernelTable& kernels, const Encoding& encoding,
                    std::uint64_t cols, std::span<const float> importance)
      : kernels_(kernels), encoding_(encoding), cols_(cols), importance_(importance) {}

  void encode(std::uint64_t, std::span<const float> rows, const Planes& out) const override {
    kernels_.encode_rows(encoding_, rows, importance_, cols_, out);
  }
  std::span<const float> importance() const noexcept override { return importance_; }

 private:
  const kernels::KernelTable& kernels_;
  const Encoding encoding_;
  const std::uint64_t cols_;
  const std::span<const float> importance_;
};

// The scale of a tile of FP8 is chosen with every weight alike.
class TileEncoder : public RowEncoder {
 public:
  explicit TileEncoder(std::uint64_t cols) : cols_(cols) {}

  void encode(std::uint64_t, std::span<const float> rows, const Planes& out) const override {
    codec::encode_fp8(rows, cols_, out);
  }

 private:
  const std::uint64_t cols_;
};

}  // namespace

std::optional<model::TensorKey> norm_before(model::TensorKey matrix) noexcept {
  using model::Role;
  switch (matrix.role) {
    case Role::kAttnQ:
    case Role::kAttnK:
    case Role::kAttnV:
      return model::TensorKey{Role::kAttnNorm, matrix.layer};
    case Role::kFfnGate:
    case Role::kFfnUp:
    case Role::kRouter:
    case Role::kExpertGate:
    case Role::kExpertUp:
      return model::TensorKey{Role::kFfnNorm, matrix.layer};
    case Role::kOutput:
      return model::TensorKey{Role::kOutputNorm};
    default:
      return std::nullopt;
  }
}

double plain_error_budget(const Encoding& encoding) noexcept {
  const codec::Format* format = codec::find_format(encoding);
  return format == nullptr ? codec::Format{}.error_budget : format->error_budget;
}

std::span<const float> ColumnImportance::of(const model::StoredTensor& tensor,
                                            const Encoding& encoding) {
  if (encoding.is_plain() || encoding.layout == Layout::kFp8 || !norm_before(tensor.key)) {
    return {};
  }
  Entry* entry = nullptr;
  {
    const std::lock_guard lock(mutex_);
    auto& slot = entries_[Key{tensor.key, encoding.dtype, encoding.bits, encoding.group_size}];
    if (!slot) slot = std::make_unique<Entry>();
    entry = slot.get();
  }
  std::call_once(entry->once, [&] { entry->columns = make(tensor, encoding); });
  return entry->columns;
}

std::shared_ptr<const ColumnImportance::Sample> ColumnImportance::sample_of(
    const model::StoredTensor& tensor) {
  std::shared_ptr<Sample> sample;
  {
    const std::lock_guard lock(mutex_);
    const auto known =
        std::ranges::find(samples_, tensor.key, &decltype(samples_)::value_type::first);
    if (known != samples_.end()) {
      sample = known->second;
    } else {
      sample = std::make_shared<Sample>();
      samples_.emplace_back(tensor.key, sample);
      if (samples_.size() > kSamplesKept) samples_.pop_front();
    }
  }
  std::call_once(sample->once, [&] { read(tensor, *sample); });
  return sample;
}

void ColumnImportance::read(const model::StoredTensor& tensor, Sample& sample) const {
  const std::uint64_t cols = tensor.shape.cols();
  const model::StoredTensor* norm = checkpoint_->find(*norm_before(tensor.key));
  if (norm == nullptr || norm->shape.elements() != cols) return;
  std::vector<float> gains(cols);
  weights::RowReader(*checkpoint_, *kernels_).read(*norm, 0, norm->shape.rows(), gains);
  // The pass itself reports what is not finite, when it comes to it.
  if (codec::first_non_finite(gains) != cols) return;
  float largest = 0;
  for (float& gain : gains) {
    gain = std::abs(gain);
    largest = std::max(largest, gain);
  }
  if (largest == 0) return;
  for (float& gain : gains) gain /= largest;
  sample.rows = sample_rows(*checkpoint_, *kernels_, tensor);
  sample.gains = std::move(gains);
}

std::vector<float> ColumnImportance::make(const model::StoredTensor& tensor,
                                          const Encoding& encoding) {
  const std::shared_ptr<const Sample> sample = sample_of(tensor);
  if (sample->rows.empty()) return {};
  const std::uint64_t cols = tensor.shape.cols();
  const double growth = 1 + plain_error_budget(encoding);
  const double limit = plain_error(*kernels_, encoding, sample->rows, cols, {}) * growth * growth;
  std::vector<float> columns(cols);
  for (const Power power : kPowers) {
    std::ranges::transform(sample->gains, columns.begin(), power);
    if (plain_error(*kernels_, encoding, sample->rows, cols, columns) <= limit) return columns;
  }
  return {};
}

std::unique_ptr<const RowEncoder> NormGainEncoders::encoder(const PlannedTensor& tensor, int) {
  const model::StoredTensor& stored = checkpoint_->get(tensor.spec.key);
  return importance_encoder(*kernels_, tensor.encoding, stored.shape.cols(),
                            importance_.of(stored, tensor.encoding));
}

std::unique_ptr<const RowEncoder> importance_encoder(const kernels::KernelTable& kernels,
                                                     const Encoding& encoding, std::uint64_t cols,
                                                     std::span<const float> importance) {
  if (encoding.layout == Layout::kFp8) return std::make_unique<TileEncoder>(cols);
  return std::make_unique<ImportanceEncoder>(kernels, encoding, cols, importance);
}

}  // namespace pajamas::quantize
