// How large and how small weights may be for an encoding: F16 ends at 65504 and has nothing between
// 0 and 2^-24, E4M3 ends at 448 and has nothing between 0 and 2^-9, whether it stores a number or
// the scale of a block.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

#include "tensor/encoding.h"

namespace pajamas::codec {

// Weights up to this size have room whatever stands beside them.
float always_room(const Encoding& encoding) noexcept;

// Weights up to this size are stored as 0 whatever stands beside them; 0 where F32's own smallest
// are kept.
float vanishing(const Encoding& encoding) noexcept;

// Index of the first value that is larger than `limit` either way, infinity and NaN included;
// values.size() where there is none.
std::size_t first_beyond(std::span<const float> values, float limit) noexcept;

// Whether `encoded`, whole rows that codec::encode_rows made of finite `weights`, holds them as
// closely as the encoding does where there is room: no number became infinite, and no scale or
// offset would have to be larger than its type can store. Returns the index of the weight to blame,
// or weights.size(). Only weights beyond `always_room` can be to blame.
std::size_t first_without_room(const Encoding& encoding, std::span<const float> weights,
                               std::span<const float> importance, std::uint64_t cols,
                               const ConstPlanes& encoded);

// Index of the first of the stored blocks whose scale or offset is infinite or NaN, or of MXFP8 one
// of whose numbers is; their number where there is none, and for plain numbers and FP8, which are
// decoded to be judged.
std::size_t first_broken_block(const Encoding& encoding, const ConstPlanes& stored) noexcept;

}  // namespace pajamas::codec
