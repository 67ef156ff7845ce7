// GGUF version 3: reading (split files too), and laying out a file before it is written.
#pragma once

#include <cstdint>
#include <filesystem>
#include <map>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <variant>
#include <vector>

#include "base/file.h"
#include "tensor/dtype.h"
#include "tensor/shape.h"

namespace pajamas::io {

// A metadata value. Arrays are of one element type; arrays of arrays do not exist in practice.
using GgufArray =
    std::variant<std::vector<std::uint8_t>, std::vector<std::int8_t>, std::vector<std::uint16_t>,
                 std::vector<std::int16_t>, std::vector<std::uint32_t>, std::vector<std::int32_t>,
                 std::vector<std::uint64_t>, std::vector<std::int64_t>, std::vector<float>,
                 std::vector<double>, std::vector<bool>, std::vector<std::string>>;
using GgufValue = std::variant<std::uint8_t, std::int8_t, std::uint16_t, std::int16_t,
                               std::uint32_t, std::int32_t, std::uint64_t, std::int64_t, float,
                               double, bool, std::string, GgufArray>;

struct GgufPair {
  std::string key;
  GgufValue value;
};

// Metadata in file order, with typed look-ups. `find_*` return nothing where the key is absent and
// throw Error{kCorruptFile} naming the key where it has another type or does not fit.
class GgufMetadata {
 public:
  // Throws Error{kCorruptFile} for an empty or repeated key.
  void add(std::string key, GgufValue value);

  std::span<const GgufPair> pairs() const noexcept { return pairs_; }
  const GgufValue* find(std::string_view key) const noexcept;
  std::optional<std::uint64_t> find_unsigned(std::string_view key) const;  // any integer type, >= 0
  std::optional<double> find_number(std::string_view key) const;           // any numeric type
  std::optional<bool> find_bool(std::string_view key) const;
  const std::string* find_string(std::string_view key) const;
  const std::vector<std::string>* find_strings(std::string_view key) const;
  // An array of any integer type, as 32-bit integers.
  std::optional<std::vector<std::int32_t>> find_integers(std::string_view key) const;

 private:
  std::vector<GgufPair> pairs_;
  std::map<std::string, std::size_t, std::less<>> index_;
};

struct GgufTensor {
  std::string name;
  DType dtype;
  Shape shape;           // PyTorch order: reversed against the file
  std::size_t file;      // index into GgufFile::files()
  std::uint64_t offset;  // of the first byte, from the start of that file
  std::uint64_t bytes;
};

// An opened model of one file or of all files of a split (any of them may be named).
class GgufFile {
 public:
  // Throws Error{kCorruptFile, kUnsupported, kNotFound, kIo} with file and tensor or key named.
  static GgufFile open(const std::filesystem::path& path);

  std::span<const File> files() const noexcept { return files_; }
  // Hands the files on, for reading the tensors; they are those that the headers came from.
  std::vector<File> take_files() && { return std::move(files_); }
  const GgufMetadata& metadata() const noexcept { return metadata_; }
  std::span<const GgufTensor> tensors() const noexcept { return tensors_; }

 private:
  GgufFile() = default;

  std::vector<File> files_;
  GgufMetadata metadata_;
  std::vector<GgufTensor> tensors_;
};

// Whether the file starts as a GGUF file does.
bool looks_like_gguf(const std::filesystem::path& path);

struct GgufSpec {
  std::string name;
  DType dtype;
  Shape shape;  // PyTorch order
};
struct GgufLayout {
  std::string header;                  // everything before the first tensor, padding included
  std::vector<std::uint64_t> offsets;  // from the start of the file, one a tensor
  std::uint64_t file_bytes;            // the last tensor is padded too
};
// Throws Error{kUnsupported} for a name of 64 bytes or more, or a type GGUF does not have.
GgufLayout lay_out_gguf(const GgufMetadata& metadata, std::span<const GgufSpec> tensors,
                        std::uint64_t alignment = 32);

}  // namespace pajamas::io
