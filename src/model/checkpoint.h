// An opened model: names and meaning over the files of any of the three containers.
#pragma once

#include <array>
#include <cstdint>
#include <filesystem>
#include <map>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "base/file.h"
#include "io/gguf.h"
#include "model/architecture.h"
#include "model/config.h"
#include "model/role.h"
#include "model/stored_tensor.h"
#include "tensor/encoding.h"
#include "tensor/shape.h"

namespace pajamas::model {

enum class Container { kHuggingFace, kGguf, kMlx };
std::string_view container_name(Container container) noexcept;

// Every tensor that the configuration demands is there, has the right shape, and its bytes lie in
// the files. Nothing of the weights has been read. Moved, or shared with `share`; reading is safe
// from many threads.
class Checkpoint {
 public:
  // Tells GGUF file, MLX directory and Hugging Face directory apart by content.
  // Throws Error{kNotFound, kCorruptFile, kUnsupported, kIo}, naming file and tensor or key.
  static Checkpoint open(const std::filesystem::path& path);
  Checkpoint(Checkpoint&&) = default;
  Checkpoint& operator=(Checkpoint&&) = default;

  // The same model for somebody else who keeps it: nothing is opened or read again, and the files
  // stay open while one of both lives.
  Checkpoint share() const { return *this; }

  const std::filesystem::path& path() const noexcept { return path_; }
  Container container() const noexcept { return container_; }
  // With notes on how the files were read.
  const ModelConfig& config() const noexcept { return config_; }
  std::span<const File> files() const noexcept { return *files_; }
  // In the order of `tensors_of`.
  std::span<const StoredTensor> tensors() const noexcept { return tensors_; }
  const StoredTensor* find(TensorKey key) const noexcept;
  const StoredTensor& get(TensorKey key) const;  // throws Error{kNotFound}

  // GGUF only: the metadata of the file; nullptr otherwise.
  const io::GgufMetadata* gguf() const noexcept { return gguf_.get(); }

  // Reads rows [first, first + count) of every plane; each span of `out` must fit exactly.
  void read_rows(const StoredTensor& tensor, std::uint64_t first, std::uint64_t count,
                 const Planes& out) const;
  // The same for rows that are read once: the planes lie in `buffers` until those are used again.
  ConstPlanes read_rows_once(const StoredTensor& tensor, std::uint64_t first, std::uint64_t count,
                             PlaneBuffers& buffers) const;
  // Asks the system to start reading those rows, where read_rows_once goes through its page cache.
  void prefetch_rows(const StoredTensor& tensor, std::uint64_t first,
                     std::uint64_t count) const noexcept;

 private:
  Checkpoint() = default;
  Checkpoint(const Checkpoint&) = default;
  static Checkpoint open_gguf(const std::filesystem::path& path);
  static Checkpoint open_directory(const std::filesystem::path& path);

  std::filesystem::path path_;
  Container container_ = Container::kHuggingFace;
  ModelConfig config_;
  std::shared_ptr<const std::vector<File>> files_;
  std::vector<StoredTensor> tensors_;
  std::map<TensorKey, std::size_t> index_;
  std::shared_ptr<const io::GgufMetadata> gguf_;
};

}  // namespace pajamas::model
