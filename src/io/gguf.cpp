#include "io/gguf.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <bit>
#include <unordered_set>
#include <utility>

#include "base/bytes.h"
#include "base/error.h"
#include "io/foreign.h"
#include "io/gguf_cursor.h"
#include "io/gguf_limits.h"
#include "io/gguf_split.h"
#include "io/gguf_values.h"

namespace pajamas::io {
namespace {

// Far beyond any model, and low enough that a hostile file cannot make the tables large.
constexpr std::uint64_t kMaxPairs = 1u << 16;
constexpr std::uint64_t kMaxTensors = 1u << 20;
// The least that one takes in a file: key length, a byte of key, type, a byte of value; and name
// length, number of extents, type, offset.
constexpr std::uint64_t kMinPairBytes = 8 + 1 + 4 + 1;
constexpr std::uint64_t kMinTensorBytes = 8 + 4 + 4 + 8;

// One file of a model.
struct SplitFile {
  File file;
  GgufMetadata metadata;
  std::vector<GgufTensor> tensors;
};

struct Counts {
  std::uint64_t tensors;
  std::uint64_t pairs;
};

void check_magic(GgufCursor& cursor) {
  std::array<std::byte, 4> magic{};
  if (cursor.left() >= magic.size()) cursor.read_into(magic);
  if (as_text(magic) == kGgufMagic) return;
  const std::string_view seen = as_text(magic);
  if (seen == "lmgg" || seen == "fmgg" || seen == "tjgg") {
    throw Error(ErrorCode::kUnsupported, "is of a format older than GGUF",
                "convert the original checkpoint again");
  }
  throw Error(ErrorCode::kCorruptFile, "is not a GGUF file", "check the path");
}

void check_version(GgufCursor& cursor) {
  const auto version = cursor.read<std::uint32_t>();
  if (version == 2 || version == 3) return;
  if ((version & 0xFFFFu) == 0 && version != 0) {
    throw Error(ErrorCode::kUnsupported, "is written for big-endian machines",
                "get the little-endian file, or convert the original checkpoint");
  }
  throw Error(version == 0 ? ErrorCode::kCorruptFile : ErrorCode::kUnsupported,
              fmt::format("GGUF version {}, versions 2 and 3 are read", version),
              version == 1 ? "convert the original checkpoint again" : "check the file's origin");
}

Counts read_counts(GgufCursor& cursor) {
  Counts counts{};
  counts.tensors = cursor.read<std::uint64_t>();
  counts.pairs = cursor.read<std::uint64_t>();
  if (counts.pairs > kMaxPairs || counts.tensors > kMaxTensors) {
    throw Error(ErrorCode::kCorruptFile,
                fmt::format("announces {} metadata keys and {} tensors, at most {} and {} are "
                            "sensible",
                            counts.pairs, counts.tensors, kMaxPairs, kMaxTensors),
                "the file is damaged: download or copy it again");
  }
  cursor.require(counts.pairs, kMinPairBytes);
  cursor.require(counts.tensors, kMinTensorBytes);
  return counts;
}

GgufMetadata read_metadata(GgufCursor& cursor, std::uint64_t count) {
  GgufMetadata metadata;
  for (std::uint64_t i = 0; i < count; ++i) {
    std::string key = with_context(fmt::format("metadata key {} of {}", i + 1, count),
                                   [&] { return cursor.read_string(kMaxGgufKey); });
    GgufValue value = with_context(printable(key), [&] { return read_value(cursor); });
    metadata.add(std::move(key), std::move(value));
  }
  return metadata;
}

std::uint64_t alignment_of(const GgufMetadata& metadata) {
  const GgufValue* value = metadata.find(kGgufAlignmentKey);
  if (value == nullptr) return kGgufAlignment;
  const auto* alignment = std::get_if<std::uint32_t>(value);
  if (alignment == nullptr || !std::has_single_bit(*alignment)) {
    throw Error(ErrorCode::kCorruptFile, "is no u32 that is a power of two")
        .at(std::string(kGgufAlignmentKey));
  }
  return *alignment;
}

DType read_dtype(GgufCursor& cursor) {
  const auto id = cursor.read<std::uint32_t>();
  if (const auto dtype = dtype_by_gguf_id(id)) return *dtype;
  constexpr std::array kRemoved{4u, 5u, 31u, 32u, 33u, 36u, 37u, 38u};
  if (std::find(kRemoved.begin(), kRemoved.end(), id) != kRemoved.end()) {
    throw Error(ErrorCode::kUnsupported, fmt::format("tensor type {}, which GGUF has given up", id),
                "quantize the original checkpoint again");
  }
  throw Error(ErrorCode::kUnsupported, fmt::format("unknown tensor type {}", id),
              "the file is damaged, or of a program with types of its own");
}

// The extents, turned round.
Shape read_shape(GgufCursor& cursor) {
  const auto rank = cursor.read<std::uint32_t>();
  if (rank > Shape::kMaxRank) {
    throw Error(ErrorCode::kCorruptFile,
                fmt::format("{} dimensions, at most {} are possible", rank, Shape::kMaxRank));
  }
  std::array<std::uint64_t, Shape::kMaxRank> dims{};
  for (std::uint32_t i = rank; i-- > 0;) {
    dims[i] = cursor.read<std::uint64_t>();
    if (dims[i] == 0) throw Error(ErrorCode::kCorruptFile, "a dimension is zero");
  }
  return Shape(std::span<const std::uint64_t>(dims.data(), rank));
}

// `offset` is where the tensor must begin within the data section: right behind the one before it.
GgufTensor read_tensor(GgufCursor& cursor, std::uint64_t offset) {
  GgufTensor tensor{};
  tensor.name = cursor.read_string(kMaxGgufTensorName);
  return with_context(printable(tensor.name), [&] {
    tensor.shape = read_shape(cursor);
    tensor.dtype = read_dtype(cursor);
    const DTypeInfo& type = info(tensor.dtype);
    if (tensor.shape.cols() % type.block_elems != 0) {
      throw Error(ErrorCode::kCorruptFile,
                  fmt::format("rows of {} are no multiple of {}'s {}", tensor.shape.cols(),
                              type.name, type.block_elems));
    }
    tensor.bytes = gguf_tensor_bytes(tensor.dtype, tensor.shape);
    tensor.offset = cursor.read<std::uint64_t>();
    if (tensor.offset != offset) {
      throw Error(
          ErrorCode::kCorruptFile,
          fmt::format("its data begin at {}, {} was expected: tensors overlap or leave gaps",
                      tensor.offset, offset),
          "the file is damaged: download or copy it again");
    }
    return std::move(tensor);
  });
}

std::vector<GgufTensor> read_tensors(GgufCursor& cursor, std::uint64_t count,
                                     std::uint64_t alignment) {
  std::vector<GgufTensor> tensors;
  std::uint64_t next = 0;
  for (std::uint64_t i = 0; i < count; ++i) {
    with_context(fmt::format("tensor {} of {}", i + 1, count), [&] {
      tensors.push_back(read_tensor(cursor, next));
      next = align_up(checked_add(next, tensors.back().bytes), alignment);
    });
  }
  return tensors;
}

// Offsets become those in the file, whose end no tensor may pass. Only padding may be missing.
void place_tensors(std::vector<GgufTensor>& tensors, std::uint64_t data_start,
                   std::uint64_t file_size) {
  std::uint64_t end = 0;
  for (GgufTensor& tensor : tensors) {
    tensor.offset = checked_add(tensor.offset, data_start);
    end = checked_add(tensor.offset, tensor.bytes);
  }
  if (end <= file_size) return;
  const auto first_beyond = std::find_if(tensors.begin(), tensors.end(), [&](const GgufTensor& t) {
    return t.offset + t.bytes > file_size;
  });
  throw Error(ErrorCode::kCorruptFile,
              fmt::format("truncated: {} bytes, its header describes {}", file_size, end),
              "download or copy the file again")
      .at(printable(first_beyond->name));
}

SplitFile read_part(const std::filesystem::path& path) {
  SplitFile part{File::open(path), {}, {}};
  return with_context(printable(path.native(), 300), [&] {
    refuse_foreign(part.file);
    GgufCursor cursor(part.file);
    check_magic(cursor);
    check_version(cursor);
    const Counts counts = read_counts(cursor);
    part.metadata = read_metadata(cursor, counts.pairs);
    const std::uint64_t alignment = alignment_of(part.metadata);
    part.tensors = read_tensors(cursor, counts.tensors, alignment);
    place_tensors(part.tensors, align_up(cursor.offset(), alignment), part.file.size());
    return std::move(part);
  });
}

void refuse_repeated_tensors(std::span<const GgufTensor> tensors, std::span<const File> files) {
  std::unordered_set<std::string_view> names;
  names.reserve(tensors.size());
  for (const GgufTensor& tensor : tensors) {
    if (names.insert(tensor.name).second) continue;
    throw Error(ErrorCode::kCorruptFile, "the tensor appears twice")
        .at(printable(tensor.name))
        .at(printable(files[tensor.file].path().native(), 300));
  }
}

// The path of any part without its suffix.
std::string split_prefix(const SplitFile& part, std::uint64_t count) {
  const std::string& path = part.file.path().native();
  const auto number = part.metadata.find_unsigned(kSplitNo);
  if (!number || *number >= count) {
    throw Error(ErrorCode::kCorruptFile, fmt::format("does not say which of {} parts it is", count))
        .at(std::string(kSplitNo));
  }
  const std::string suffix = split_suffix(*number, count);
  if (!path.ends_with(suffix)) {
    throw Error(ErrorCode::kNotFound,
                fmt::format("is part {} of {}, but its name does not end in {}", *number + 1, count,
                            suffix),
                "give the parts their original names, in one folder");
  }
  return path.substr(0, path.size() - suffix.size());
}

// SplitFile `number` agrees with the first: same split, and no other value for a key of both.
void check_agreement(const SplitFile& part, std::uint64_t number, const SplitFile& first) {
  if (part.metadata.find_unsigned(kSplitNo) != number) {
    throw Error(ErrorCode::kCorruptFile, fmt::format("is not part {} inside", number + 1),
                "download the parts again")
        .at(std::string(kSplitNo));
  }
  if (part.metadata.find(kSplitCount) == nullptr) {
    throw Error(ErrorCode::kCorruptFile, "is missing").at(std::string(kSplitCount));
  }
  for (const GgufPair& pair : part.metadata.pairs()) {
    const GgufValue* other = first.metadata.find(pair.key);
    if (pair.key == kSplitNo || other == nullptr || *other == pair.value) continue;
    throw Error(ErrorCode::kCorruptFile, "contradicts the first part",
                "the parts are of different models: download them again")
        .at(printable(pair.key));
  }
}

SplitFile read_split_part(const std::string& prefix, std::uint64_t number, std::uint64_t count) {
  const std::filesystem::path path = prefix + split_suffix(number, count);
  std::error_code code;
  if (!std::filesystem::exists(path, code)) {
    throw Error(ErrorCode::kNotFound, fmt::format("part {} of {} is missing", number + 1, count),
                "download it to the same folder")
        .at(printable(path.native(), 300));
  }
  return read_part(path);
}

std::vector<SplitFile> read_parts(const std::filesystem::path& path) {
  std::vector<SplitFile> parts;
  SplitFile named = read_part(path);
  const std::string place = printable(path.native(), 300);
  const std::uint64_t count =
      with_context(place, [&] { return named.metadata.find_unsigned(kSplitCount).value_or(1); });
  if (count <= 1) {
    parts.push_back(std::move(named));
    return parts;
  }
  const std::string prefix = with_context(place, [&] { return split_prefix(named, count); });
  std::size_t tensors = 0;
  for (std::uint64_t i = 0; i < count; ++i) {
    parts.push_back(read_split_part(prefix, i, count));
    tensors += parts.back().tensors.size();
    with_context(printable(parts.back().file.path().native(), 300),
                 [&] { check_agreement(parts.back(), i, parts.front()); });
  }
  const auto stated = parts.front().metadata.find_unsigned(kSplitTensors);
  if (stated && *stated != tensors) {
    throw Error(ErrorCode::kCorruptFile,
                fmt::format("states {} tensors, the {} parts hold {}", *stated, count, tensors),
                "download the parts again")
        .at(std::string(kSplitTensors))
        .at(printable(parts.front().file.path().native(), 300));
  }
  return parts;
}

}  // namespace

GgufFile GgufFile::open(const std::filesystem::path& path) {
  std::vector<SplitFile> parts = read_parts(path);
  GgufFile model;
  model.metadata_ = std::move(parts.front().metadata);
  for (SplitFile& part : parts) {
    for (GgufTensor& tensor : part.tensors) {
      tensor.file = model.files_.size();
      model.tensors_.push_back(std::move(tensor));
    }
    model.files_.push_back(std::move(part.file));
  }
  refuse_repeated_tensors(model.tensors_, model.files_);
  return model;
}

bool looks_like_gguf(const std::filesystem::path& path) {
  std::error_code code;
  if (std::filesystem::is_directory(path, code)) return false;
  const File file = File::open(path);
  if (file.size() < kGgufMagic.size()) return false;
  std::array<std::byte, kGgufMagic.size()> magic{};
  file.read_at(0, magic);
  return as_text(magic) == kGgufMagic;
}

}  // namespace pajamas::io
