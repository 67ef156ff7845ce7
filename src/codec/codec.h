// The one door to every stored format: rows of floats to planes of bytes and back.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

#include "tensor/encoding.h"

namespace pajamas::codec {

// Whether rows of this encoding can be read, and whether they can be written.
bool can_decode(const Encoding& encoding) noexcept;
bool can_encode(const Encoding& encoding) noexcept;

// The scalar definition of the format. `planes` hold whole consecutive rows of `cols` columns;
// out.size() is rows * cols. Requires can_decode(encoding) and encoding.fits(cols).
void decode_rows(const Encoding& encoding, const ConstPlanes& planes, std::uint64_t cols,
                 std::span<float> out);

// Encodes whole rows of `cols` columns; the same bytes on every machine and thread count.
// `importance`: one weight a column (the squared error of that column counts so much), or empty
// for uniform. Requires can_encode(encoding), encoding.fits(cols), finite weights.
void encode_rows(const Encoding& encoding, std::span<const float> weights,
                 std::span<const float> importance, std::uint64_t cols, const Planes& planes);

// Whether the stored numbers of one encoding can be put into another without touching them: equal
// encodings, and MXFP4 in its two arrangements.
bool can_repack(const Encoding& from, const Encoding& to) noexcept;
// Whole rows, bit for bit. Requires can_repack(from, to).
void repack_rows(const Encoding& from, const ConstPlanes& stored, const Encoding& to,
                 const Planes& out) noexcept;

// Index of the first infinity or NaN; values.size() where there is none.
std::size_t first_non_finite(std::span<const float> values) noexcept;

}  // namespace pajamas::codec
