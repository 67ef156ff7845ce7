// The JSON header of a safetensors file, read strictly; nothing is checked against the file yet.
#pragma once

#include <array>
#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <vector>

namespace pajamas::io {

// One tensor as its header entry states it.
struct HeaderTensor {
  std::string name;
  std::string dtype;
  std::vector<std::uint64_t> shape;  // at most Shape::kMaxRank extents
  std::array<std::uint64_t, 2>
      data_offsets{};  // within the data section: first byte, past the last
};

struct SafetensorsHeader {
  std::vector<HeaderTensor> tensors;  // in the header's order, no name twice
  std::map<std::string, std::string> metadata;
};

// Throws Error{kCorruptFile} for what is not JSON of the right form (with the tensor named), and
// Error{kUnsupported} for a tensor of too many dimensions. Unknown fields of a tensor are ignored,
// as the reference implementation does. Memory is proportional to the text; nesting is not recursed
// into.
SafetensorsHeader parse_safetensors_header(std::string_view json);

}  // namespace pajamas::io
