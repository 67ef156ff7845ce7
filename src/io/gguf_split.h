// A GGUF model in several files, cut as llama.cpp's llama-gguf-split --split-max-size cuts it.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "io/gguf.h"

namespace pajamas::io {

inline constexpr std::string_view kSplitNo = "split.no";
inline constexpr std::string_view kSplitCount = "split.count";
inline constexpr std::string_view kSplitTensors = "split.tensors.count";

// How the name of file `number` (from 0) of `count` ends: -00002-of-00005.gguf.
std::string split_suffix(std::uint64_t number, std::uint64_t count);

// One file and the tensors in it: those from `first` on.
struct GgufPart {
  std::size_t first = 0;
  std::size_t count = 0;
  GgufLayout layout;
};

// A file begins where the bytes of tensors in the one before would be more than `most`; header and
// metadata, all of which the first file has, are not counted. A larger tensor has a file of its
// own. One file is a plain one, without keys of a split; 0 is no limit. Throws as lay_out_gguf.
std::vector<GgufPart> lay_out_gguf_parts(const GgufMetadata& metadata,
                                         std::span<const GgufSpec> tensors, std::uint64_t most);

}  // namespace pajamas::io
