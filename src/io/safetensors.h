// safetensors: reading a shard's header, and laying out a file before it is written.
#pragma once

#include <cstdint>
#include <filesystem>
#include <map>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "base/file.h"
#include "tensor/dtype.h"
#include "tensor/shape.h"

namespace pajamas::io {

struct SafetensorsEntry {
  std::string name;
  DType dtype;
  Shape shape;
  std::uint64_t offset;  // of the first byte, from the start of the file
  std::uint64_t bytes;
};

// One opened shard whose header has been checked: every tensor lies inside the file, none overlap,
// and every size is what dtype and shape say.
class SafetensorsFile {
 public:
  // Throws Error{kCorruptFile, kUnsupported, kNotFound, kIo} with the file and tensor named.
  static SafetensorsFile open(const std::filesystem::path& path);

  const File& file() const noexcept { return file_; }
  // Hands the file on, for reading the tensors; it is the one that the header came from.
  File take_file() && { return std::move(file_); }
  // In the order of the data section.
  std::span<const SafetensorsEntry> entries() const noexcept { return entries_; }
  const std::map<std::string, std::string>& metadata() const noexcept { return metadata_; }

 private:
  SafetensorsFile(File file) : file_(std::move(file)) {}

  File file_;
  std::vector<SafetensorsEntry> entries_;
  std::map<std::string, std::string> metadata_;
};

// What a file that holds `tensors` (in this order, without gaps) starts with, and where everything
// lies. The header is padded with spaces so that the data starts at a multiple of 64.
struct SafetensorsLayout {
  std::string header;                  // with its eight bytes of length
  std::vector<std::uint64_t> offsets;  // from the start of the file, one a tensor
  std::uint64_t file_bytes;
};
struct SafetensorsSpec {
  std::string name;
  DType dtype;
  Shape shape;
};
SafetensorsLayout lay_out_safetensors(std::span<const SafetensorsSpec> tensors,
                                      const std::map<std::string, std::string>& metadata);

}  // namespace pajamas::io
