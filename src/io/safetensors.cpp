#include "io/safetensors.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <nlohmann/json.hpp>
#include <set>
#include <string_view>
#include <utility>

#include "base/bytes.h"
#include "base/error.h"
#include "base/json.h"
#include "io/foreign.h"
#include "io/safetensors_header.h"

namespace pajamas::io {
namespace {

constexpr std::uint64_t kLengthBytes = 8;
constexpr std::uint64_t kMaxHeaderBytes = 100'000'000;  // the reference implementation's limit
constexpr std::uint64_t kDataAlignment = 64;
constexpr std::string_view kDownloadAgain = "download or copy the file again";

Error corrupt(std::string problem) {
  return Error(ErrorCode::kCorruptFile, std::move(problem), std::string(kDownloadAgain));
}

// The header's text. What lies behind it is the data section.
std::string read_header(const File& file) {
  if (file.size() < kLengthBytes) {
    throw corrupt(fmt::format("{} bytes are no safetensors file", file.size()));
  }
  std::array<std::byte, kLengthBytes> raw{};
  file.read_at(0, raw);
  const auto length = load_le<std::uint64_t>(raw.data());
  if (length > file.size() - kLengthBytes) {
    throw corrupt(fmt::format("states a header of {} bytes, the file has {}", length, file.size()));
  }
  if (length > kMaxHeaderBytes) {
    throw corrupt(fmt::format("states a header of {} bytes, at most {} are allowed", length,
                              kMaxHeaderBytes));
  }
  std::string header(length, '\0');
  file.read_at(kLengthBytes, std::as_writable_bytes(std::span(header)));
  return header;
}

std::uint64_t tensor_bytes(DType dtype, const Shape& shape) {
  return checked_mul(shape.elements(), info(dtype).block_bytes);
}

SafetensorsEntry check_tensor(HeaderTensor&& tensor, std::uint64_t data_start) {
  const auto dtype = dtype_by_safetensors_name(tensor.dtype);
  if (!dtype) {
    throw Error(ErrorCode::kUnsupported, fmt::format("unknown dtype `{}`", printable(tensor.dtype)),
                "give a checkpoint in BF16, F16 or F32");
  }
  const Shape shape{std::span<const std::uint64_t>(tensor.shape)};
  const std::uint64_t bytes = tensor_bytes(*dtype, shape);
  const auto [begin, end] = tensor.data_offsets;
  if (begin > end) throw corrupt(fmt::format("its data begins at {} and ends at {}", begin, end));
  if (end - begin != bytes) {
    throw corrupt(fmt::format("{} {} needs {} bytes, its data_offsets span {}", tensor.dtype,
                              shape.to_string(), bytes, end - begin));
  }
  return {std::move(tensor.name), *dtype, shape, checked_add(data_start, begin), bytes};
}

// The reference implementation wants every byte of the data section to belong to one tensor.
void check_coverage(std::span<const SafetensorsEntry> entries, std::uint64_t data_start,
                    std::uint64_t file_size) {
  for (const SafetensorsEntry& entry : entries) {
    const std::uint64_t end = checked_add(entry.offset, entry.bytes);
    if (end <= file_size) continue;
    throw corrupt(fmt::format("truncated: {} bytes, its data end at {}", file_size, end))
        .at(printable(entry.name));
  }
  std::uint64_t expected = data_start;
  for (const SafetensorsEntry& entry : entries) {
    if (entry.offset != expected) {
      throw corrupt(entry.offset < expected
                        ? "its data overlap those of another tensor"
                        : fmt::format("{} bytes in front of its data belong to no tensor",
                                      entry.offset - expected))
          .at(printable(entry.name));
    }
    expected = checked_add(expected, entry.bytes);
  }
  if (expected < file_size) {
    throw corrupt(fmt::format("{} bytes behind the last tensor: {} bytes, its header describes {}",
                              file_size - expected, file_size, expected));
  }
}

std::string entry_json(const SafetensorsSpec& spec, std::uint64_t begin, std::uint64_t end) {
  return fmt::format("{}:{{\"dtype\":\"{}\",\"shape\":[{}],\"data_offsets\":[{},{}]}}",
                     nlohmann::json(spec.name).dump(), info(spec.dtype).safetensors,
                     fmt::join(spec.shape.dims(), ","), begin, end);
}

// The header's JSON, and the offsets within the data section (one more than there are tensors).
std::pair<std::string, std::vector<std::uint64_t>> compose_header(
    std::span<const SafetensorsSpec> tensors, const std::map<std::string, std::string>& metadata) {
  std::string text = "{";
  if (!metadata.empty())
    text += fmt::format("\"__metadata__\":{}", nlohmann::json(metadata).dump());
  std::vector<std::uint64_t> offsets{0};
  std::set<std::string_view> names;
  for (const SafetensorsSpec& spec : tensors) {
    with_context(printable(spec.name), [&] {
      if (info(spec.dtype).safetensors.empty()) {
        throw Error(ErrorCode::kUnsupported,
                    fmt::format("safetensors cannot store {}", info(spec.dtype).name));
      }
      if (spec.name == "__metadata__" || !names.insert(spec.name).second) {
        throw Error(ErrorCode::kUnsupported, "two entries would have this name");
      }
      offsets.push_back(checked_add(offsets.back(), tensor_bytes(spec.dtype, spec.shape)));
    });
    if (text.size() > 1) text += ',';
    text += entry_json(spec, offsets[offsets.size() - 2], offsets.back());
  }
  return {text + '}', std::move(offsets)};
}

}  // namespace

SafetensorsFile SafetensorsFile::open(const std::filesystem::path& path) {
  SafetensorsFile shard(File::open(path));
  return with_context(printable(path.native(), 300), [&] {
    refuse_foreign(shard.file_);
    const std::string text = read_header(shard.file_);
    SafetensorsHeader header = parse_safetensors_header(text);
    const std::uint64_t data_start = kLengthBytes + text.size();
    shard.entries_.reserve(header.tensors.size());
    for (HeaderTensor& tensor : header.tensors) {
      const std::string name = tensor.name;
      with_context(printable(name),
                   [&] { shard.entries_.push_back(check_tensor(std::move(tensor), data_start)); });
    }
    std::stable_sort(shard.entries_.begin(), shard.entries_.end(),
                     [](const auto& a, const auto& b) {
                       return std::pair(a.offset, a.bytes) < std::pair(b.offset, b.bytes);
                     });
    check_coverage(shard.entries_, data_start, shard.file_.size());
    shard.metadata_ = std::move(header.metadata);
    return std::move(shard);
  });
}

SafetensorsLayout lay_out_safetensors(std::span<const SafetensorsSpec> tensors,
                                      const std::map<std::string, std::string>& metadata) try {
  auto [text, offsets] = compose_header(tensors, metadata);
  text.resize(align_up(kLengthBytes + text.size(), kDataAlignment) - kLengthBytes, ' ');
  if (text.size() > kMaxHeaderBytes) {
    throw Error(
        ErrorCode::kUnsupported,
        fmt::format("a header of {} bytes, at most {} are allowed", text.size(), kMaxHeaderBytes),
        "write more and smaller shards");
  }
  SafetensorsLayout layout;
  layout.header.resize(kLengthBytes);
  const std::uint64_t length = text.size();
  std::memcpy(layout.header.data(), &length, sizeof(length));
  layout.header += text;
  for (std::uint64_t& offset : offsets) offset = checked_add(offset, layout.header.size());
  layout.file_bytes = offsets.back();
  offsets.pop_back();
  layout.offsets = std::move(offsets);
  return layout;
} catch (const nlohmann::json::exception& error) {  // a name that is not UTF-8
  throw Error(ErrorCode::kUnsupported,
              fmt::format("a header cannot hold this name: {}", json_fault(error)));
}

}  // namespace pajamas::io
