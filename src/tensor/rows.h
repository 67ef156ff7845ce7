// Rows among those that planes hold.
#pragma once

#include <algorithm>
#include <cstdint>

#include "tensor/encoding.h"

namespace pajamas {

// The most rows that share a row of any plane.
constexpr std::uint64_t rows_sharing(const Encoding& encoding) noexcept {
  std::uint64_t most = 1;
  for (std::size_t p = 0; p < encoding.planes(); ++p) {
    most = std::max(most, encoding.rows_sharing(p));
  }
  return most;
}

// Rows of a plane as it is stored for `rows` rows, of which the first does not share with one
// before it.
constexpr std::uint64_t stored_rows(const Encoding& encoding, std::size_t plane,
                                    std::uint64_t rows) noexcept {
  const std::uint64_t sharing = encoding.rows_sharing(plane);
  return rows / sharing + (rows % sharing != 0 ? 1 : 0);
}

// Rows [first, first + count), `cols` columns each, of planes in which each row has its own.
inline ConstPlanes rows_of(const ConstPlanes& planes, const Encoding& encoding, std::uint64_t cols,
                           std::uint64_t first, std::uint64_t count) noexcept {
  ConstPlanes rows;
  for (std::size_t p = 0; p < encoding.planes(); ++p) {
    const std::uint64_t bytes = encoding.plane_row_bytes(p, cols);
    rows.plane[p] = planes.plane[p].subspan(first * bytes, count * bytes);
  }
  return rows;
}

// The same of planes as they are stored, where rows that share a row of a plane have one there;
// `first` does not share with one before it.
inline Planes stored_rows_of(const Planes& planes, const Encoding& encoding, std::uint64_t cols,
                             std::uint64_t first, std::uint64_t count) noexcept {
  Planes rows;
  for (std::size_t p = 0; p < encoding.planes(); ++p) {
    const std::uint64_t bytes = encoding.plane_row_bytes(p, cols);
    rows.plane[p] = planes.plane[p].subspan(stored_rows(encoding, p, first) * bytes,
                                            stored_rows(encoding, p, count) * bytes);
  }
  return rows;
}

// Rows that each have their own in every plane, the first of which does not share with one before
// it, as they are stored: those that share one have it once.
inline void share_rows(const Encoding& encoding, const ConstPlanes& from, std::uint64_t cols,
                       const Planes& out) noexcept {
  for (std::size_t p = 0; p < encoding.planes(); ++p) {
    const std::uint64_t bytes = encoding.plane_row_bytes(p, cols);
    const std::uint64_t step = encoding.rows_sharing(p) * bytes;
    for (std::uint64_t at = 0, to = 0; at < from.plane[p].size(); at += step, to += bytes) {
      std::ranges::copy(from.plane[p].subspan(at, bytes), out.plane[p].begin() + to);
    }
  }
}

inline ConstPlanes as_const(const Planes& planes) noexcept {
  return {{planes.plane[0], planes.plane[1], planes.plane[2]}};
}

}  // namespace pajamas
