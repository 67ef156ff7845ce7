#include "model/checkpoint.h"

#include <fmt/format.h>

#include <algorithm>

#include "base/bytes.h"
#include "base/error.h"
#include "base/place.h"
#include "base/suggest.h"
#include "model/adapter.h"
#include "model/kv_cache_type.h"
#include "model/rope.h"
#include "model/shards.h"

namespace pajamas::model {
namespace {

namespace fs = std::filesystem;

[[noreturn]] void throw_missing(const TensorSpec& spec, std::string_view name) {
  throw Error(
      ErrorCode::kCorruptFile, "tensor is missing",
      fmt::format("the model needs it ({}); download or convert it again", spec.shape.to_string()))
      .at(name);
}

// Norms and biases are read as plain numbers; matrices may be anything that has rows.
void check_tensor(const TensorSpec& spec, const StoredTensor& tensor) {
  if (tensor.shape != spec.shape) {
    throw Error(ErrorCode::kCorruptFile,
                fmt::format("has shape {}, the configuration says {}", tensor.shape.to_string(),
                            spec.shape.to_string()),
                "the weights and their configuration do not belong together")
        .at(tensor.name);
  }
  const bool readable = !tensor.encoding.is_plain() || is_plain_float(tensor.encoding.dtype);
  if (!readable || (!spec.is_matrix && !tensor.encoding.is_plain())) {
    throw Error(ErrorCode::kUnsupported,
                fmt::format("is stored as {}, {} expected", tensor.encoding.name(),
                            spec.is_matrix ? "weights were" : "F32, F16 or BF16 was"))
        .at(tensor.name);
  }
}

// Few numbers, part of the configuration although a tensor holds them.
void read_rope_factors(const io::GgufFile& file, const io::GgufTensor& tensor,
                       ModelConfig& config) {
  with_context(tensor.name, [&] {
    if (tensor.dtype != DType::kF32 || tensor.shape.elements() != config.head_dim / 2) {
      throw Error(ErrorCode::kCorruptFile,
                  fmt::format("is {} {}, {} numbers of F32 expected", info(tensor.dtype).name,
                              tensor.shape.to_string(), config.head_dim / 2));
    }
    std::vector<float> factors(config.head_dim / 2);
    file.files()[tensor.file].read_at(tensor.offset, std::as_writable_bytes(std::span(factors)));
    for (const float factor : factors) {
      if (factor > 0 && factor <= 1e6f) continue;
      throw Error(ErrorCode::kCorruptFile, fmt::format("{} is no factor", factor));
    }
    config.rope_scaling.kind = RopeScaling::Kind::kFactors;
    config.rope_scaling.factors = std::move(factors);
  });
}

}  // namespace

std::string_view container_name(Container container) noexcept {
  switch (container) {
    case Container::kHuggingFace:
      return "Hugging Face";
    case Container::kGguf:
      return "GGUF";
    case Container::kMlx:
      return "MLX";
  }
  return "unknown";
}

const StoredTensor* Checkpoint::find(TensorKey key) const noexcept {
  const auto found = index_.find(key);
  return found == index_.end() ? nullptr : &tensors_[found->second];
}

const StoredTensor& Checkpoint::get(TensorKey key) const {
  if (const StoredTensor* tensor = find(key)) return *tensor;
  throw Error(ErrorCode::kNotFound,
              fmt::format("there is no {} in layer {}", role_name(key.role), key.layer))
      .at(place_of(path_));
}

void Checkpoint::read_rows(const StoredTensor& tensor, std::uint64_t first, std::uint64_t count,
                           const Planes& out) const {
  with_context(tensor.name, [&] { read_stored_rows(*files_, tensor, first, count, out); });
}

ConstPlanes Checkpoint::read_rows_once(const StoredTensor& tensor, std::uint64_t first,
                                       std::uint64_t count, PlaneBuffers& buffers) const {
  return with_context(
      tensor.name, [&] { return read_stored_rows_once(*files_, tensor, first, count, buffers); });
}

void Checkpoint::prefetch_rows(const StoredTensor& tensor, std::uint64_t first,
                               std::uint64_t count) const noexcept {
  prefetch_stored_rows(*files_, tensor, first, count);
}

Checkpoint Checkpoint::open(const fs::path& path) {
  std::error_code code;
  const fs::file_status status = fs::status(path, code);
  if (!fs::exists(status)) {
    throw Error(
        ErrorCode::kNotFound, "no such file or directory",
        did_you_mean_path(path) + "give a GGUF file, an MLX directory or a Hugging Face directory")
        .at(place_of(path));
  }
  Checkpoint checkpoint = fs::is_directory(status) ? open_directory(path) : open_gguf(path);
  checkpoint.path_ = path;
  for (std::size_t i = 0; i < checkpoint.tensors_.size(); ++i) {
    checkpoint.index_.emplace(checkpoint.tensors_[i].key, i);
  }
  return checkpoint;
}

Checkpoint Checkpoint::open_gguf(const fs::path& path) {
  if (!io::looks_like_gguf(path)) {
    throw Error(ErrorCode::kUnsupported, "is not a GGUF file",
                "give a GGUF file, or the directory that holds config.json and the weights")
        .at(place_of(path));
  }
  io::GgufFile file = io::GgufFile::open(path);
  Checkpoint checkpoint;
  checkpoint.container_ = Container::kGguf;
  checkpoint.gguf_ = std::make_shared<const io::GgufMetadata>(file.metadata());
  with_context(place_of(path), [&] {
    const std::string* type = file.metadata().find_string("general.type");
    if (type != nullptr && *type == "adapter") {
      throw Error(ErrorCode::kUnsupported, "holds a LoRA adapter and no model",
                  how_to_merge(Adapter{}));
    }
    const std::string* name = file.metadata().find_string("general.architecture");
    if (name == nullptr) {
      throw Error(ErrorCode::kCorruptFile, "is missing", "this file does not hold a model")
          .at("general.architecture");
    }
    const Architecture& architecture = architecture_of_gguf(*name);
    std::map<std::string_view, const io::GgufTensor*> by_name;
    for (const io::GgufTensor& tensor : file.tensors()) by_name.emplace(tensor.name, &tensor);

    checkpoint.config_ = architecture.read_gguf(file.metadata());
    checkpoint.config_.kv_cache_type = read_kv_cache_type(file.metadata());
    // GGUF does not say these two: they follow from the tensors.
    checkpoint.config_.tied_output = !by_name.contains("output.weight");
    const auto embedding = by_name.find("token_embd.weight");
    if (embedding != by_name.end()) checkpoint.config_.vocab = embedding->second->shape.rows();
    if (checkpoint.config_.vocab == 0) checkpoint.config_.vocab = 1;  // reported as missing below
    parameter_count(checkpoint.config_);                              // refuses what overflows
    if (const auto factors = by_name.find(kRopeFactorsName);
        factors != by_name.end() && architecture.gguf_interleaves_heads()) {
      read_rope_factors(file, *factors->second, checkpoint.config_);
      by_name.erase(factors);
    }

    for (const TensorSpec& spec : tensors_of(checkpoint.config_)) {
      const auto found = by_name.find(spec.gguf);
      if (found == by_name.end()) throw_missing(spec, spec.gguf);
      const io::GgufTensor& tensor = *found->second;
      checkpoint.tensors_.push_back(
          contiguous_tensor(spec.key, tensor.name, Encoding{.dtype = tensor.dtype}, tensor.shape,
                            std::array{PlaneLocation{tensor.file, tensor.offset, tensor.bytes}}));
      check_tensor(spec, checkpoint.tensors_.back());
      by_name.erase(found);
    }
    if (!by_name.empty()) {
      throw Error(ErrorCode::kUnsupported, fmt::format("is no tensor of {}", architecture.name()),
                  "this variant of the architecture is not supported")
          .at(printable(by_name.begin()->first));
    }
  });
  checkpoint.files_ = std::make_shared<const std::vector<File>>(std::move(file).take_files());
  return checkpoint;
}

Checkpoint Checkpoint::open_directory(const fs::path& path) {
  Shards shards = Shards::open(path);
  Checkpoint checkpoint;
  checkpoint.container_ = shards.is_mlx() ? Container::kMlx : Container::kHuggingFace;
  checkpoint.config_ = shards.config();
  with_context(place_of(path), [&] {
    for (const TensorSpec& spec : tensors_of(checkpoint.config_)) {
      const auto stored = shards.take(spec);
      if (!stored) throw_missing(spec, shards.is_mlx() ? spec.mlx : spec.hf);
      checkpoint.tensors_.push_back(*stored);
      with_context(shards.file_name(stored->parts[0][0].file),
                   [&] { check_tensor(spec, checkpoint.tensors_.back()); });
    }
    shards.require_all_taken(checkpoint.config_);
  });
  checkpoint.files_ = std::make_shared<const std::vector<File>>(std::move(shards).take_files());
  return checkpoint;
}

}  // namespace pajamas::model
