// Facts: llama.cpp, tools/gguf-split.
#include "io/gguf_split.h"

#include <fmt/format.h>

#include "base/bytes.h"
#include "io/gguf_limits.h"

namespace pajamas::io {
namespace {

std::vector<GgufPart> cut(std::span<const GgufSpec> tensors, std::uint64_t most) {
  std::vector<GgufPart> parts(1);
  std::uint64_t used = 0;
  for (std::size_t i = 0; i < tensors.size(); ++i) {
    const std::uint64_t bytes =
        align_up(gguf_tensor_bytes(tensors[i].dtype, tensors[i].shape), kGgufAlignment);
    if (most > 0 && parts.back().count > 0 && checked_add(used, bytes) > most) {
      parts.push_back({i, 0, {}});
      used = 0;
    }
    used += bytes;
    ++parts.back().count;
  }
  return parts;
}

}  // namespace

std::string split_suffix(std::uint64_t number, std::uint64_t count) {
  return fmt::format("-{:05d}-of-{:05d}.gguf", number + 1, count);
}

std::vector<GgufPart> lay_out_gguf_parts(const GgufMetadata& metadata,
                                         std::span<const GgufSpec> tensors, std::uint64_t most) {
  std::vector<GgufPart> parts = cut(tensors, most);
  for (std::size_t number = 0; number < parts.size(); ++number) {
    GgufPart& part = parts[number];
    GgufMetadata own = number == 0 ? metadata : GgufMetadata();
    if (parts.size() > 1) {
      own.add(std::string(kSplitNo), static_cast<std::uint16_t>(number));
      own.add(std::string(kSplitCount), static_cast<std::uint16_t>(parts.size()));
      own.add(std::string(kSplitTensors), static_cast<std::int32_t>(tensors.size()));
    }
    part.layout = lay_out_gguf(own, tensors.subspan(part.first, part.count));
  }
  return parts;
}

}  // namespace pajamas::io
