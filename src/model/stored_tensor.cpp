#include "model/stored_tensor.h"

#include <algorithm>
#include <cstring>

#include "base/error.h"

namespace pajamas::model {
namespace {

std::span<std::byte> scratch_of(std::uint64_t bytes) {
  thread_local std::vector<std::byte> scratch;
  if (scratch.size() < bytes) scratch.resize(bytes);
  return std::span(scratch).first(bytes);
}

// Other rows lie between these: all of it is read in pieces, and what is wanted is copied.
void read_spaced(const File& file, const StoredRows& at, std::uint64_t count,
                 std::span<std::byte> out) {
  constexpr std::uint64_t kScratchBytes = 1 << 20;
  const std::uint64_t step = std::max<std::uint64_t>(1, kScratchBytes / at.row_step);
  for (std::uint64_t i = 0; i < count; i += step) {
    const std::uint64_t now = std::min(step, count - i);
    const auto scratch = scratch_of((now - 1) * at.row_step + at.row_bytes);
    file.read_at(at.offset + i * at.row_step, scratch);
    for (std::uint64_t k = 0; k < now; ++k) {
      std::memcpy(out.data() + (i + k) * at.row_bytes, scratch.data() + k * at.row_step,
                  at.row_bytes);
    }
  }
}

// Several rows share one in storage: each gets a copy. `first` is counted in the part.
void read_shared(const File& file, const StoredRows& at, std::uint64_t first, std::uint64_t count,
                 std::span<std::byte> out) {
  std::span<std::byte> previous;
  for (std::uint64_t i = 0; i < count; ++i) {
    const auto to = out.subspan(i * at.row_bytes, at.row_bytes);
    if (i > 0 && (first + i) % at.sharing != 0) {
      std::ranges::copy(previous, to.begin());
    } else {
      const std::uint64_t step = (first + i) / at.sharing - first / at.sharing;
      file.read_at(at.offset + step * at.row_step, to);
    }
    previous = to;
  }
}

// Elements of Size bytes, `step` apart in each of some lines, into rows: element i of line k
// becomes column k of row i. In tiles, so that what a line of the cache brings is used before it
// goes.
template <std::uint64_t Size>
void transpose(const std::byte* from, std::uint64_t line_step, std::uint64_t lines,
               std::uint64_t step, std::uint64_t count, std::byte* to, std::uint64_t row_bytes) {
  constexpr std::uint64_t kTile = 32;
  for (std::uint64_t first = 0; first < count; first += kTile) {
    const std::uint64_t end = std::min(count, first + kTile);
    for (std::uint64_t k = 0; k < lines; ++k) {
      const std::byte* line = from + k * line_step;
      for (std::uint64_t i = first; i < end; ++i) {
        std::memcpy(to + i * row_bytes + k * Size, line + i * step, Size);
      }
    }
  }
}

// Elements `step` apart in each of some lines, which are rows.
template <std::uint64_t Size>
void gather(const std::byte* from, std::uint64_t line_step, std::uint64_t lines, std::uint64_t step,
            std::uint64_t count, std::byte* to, std::uint64_t row_bytes) {
  for (std::uint64_t k = 0; k < lines; ++k) {
    for (std::uint64_t i = 0; i < count; ++i) {
      std::memcpy(to + k * row_bytes + i * Size, from + k * line_step + i * step, Size);
    }
  }
}

// Single elements, rows or columns apart. A line is a row or a column, whichever has its elements
// closer together; lines with little between them are read in bands, others one by one.
template <std::uint64_t Size>
void read_scattered(const File& file, const StoredRows& at, std::uint64_t rows,
                    std::span<std::byte> out) {
  constexpr std::uint64_t kScratchBytes = 1 << 20;
  constexpr std::uint64_t kGapBytes = 4096;  // to read so much costs less than another call
  const std::uint64_t cols = at.row_bytes / Size;
  const bool by_column = at.row_step < at.col_step;
  const std::uint64_t lines = by_column ? cols : rows;
  const std::uint64_t count = by_column ? rows : cols;
  const std::uint64_t line_step = by_column ? at.col_step : at.row_step;
  const std::uint64_t step = by_column ? at.row_step : at.col_step;
  const std::uint64_t line_bytes = (count - 1) * step + Size;
  const bool close = line_step <= line_bytes + std::max(line_bytes, kGapBytes);
  const std::uint64_t band = close ? std::max<std::uint64_t>(1, kScratchBytes / line_step) : 1;
  for (std::uint64_t first = 0; first < lines; first += band) {
    const std::uint64_t now = std::min(band, lines - first);
    const auto scratch = scratch_of((now - 1) * line_step + line_bytes);
    file.read_at(at.offset + first * line_step, scratch);
    if (by_column) {
      transpose<Size>(scratch.data(), line_step, now, step, count, out.data() + first * Size,
                      at.row_bytes);
    } else {
      gather<Size>(scratch.data(), line_step, now, step, count, out.data() + first * at.row_bytes,
                   at.row_bytes);
    }
  }
}

void read_scattered(const File& file, const StoredRows& at, std::uint64_t rows, DType dtype,
                    std::span<std::byte> out) {
  switch (info(dtype).block_bytes) {
    case 1:
      return read_scattered<1>(file, at, rows, out);
    case 2:
      return read_scattered<2>(file, at, rows, out);
    case 4:
      return read_scattered<4>(file, at, rows, out);
    case 8:
      return read_scattered<8>(file, at, rows, out);
    default:
      PJ_CHECK(false);  // blocks are never apart
  }
}

// Calls fn(first row, rows of it, rows before them) for the rows of each part that is touched.
template <class Fn>
void for_parts(const StoredTensor& tensor, std::uint64_t first, std::uint64_t count, Fn&& fn) {
  const std::uint64_t size = tensor.rows_per_part();
  for (std::uint64_t done = 0; done < count;) {
    const std::uint64_t row = first + done;
    const std::uint64_t now = std::min(count - done, size - row % size);
    fn(row, now, done);
    done += now;
  }
}

}  // namespace

std::uint64_t StoredTensor::bytes() const noexcept {
  std::uint64_t bytes = 0;
  for (const Part& part : parts) {
    for (const PlaneLocation& plane : part) bytes += plane.bytes;
  }
  return bytes;
}

bool StoredTensor::is_transposed() const noexcept {
  return parts[0][0].col_step > parts[0][0].row_step;
}

std::pair<std::string, std::uint64_t> StoredTensor::stored_row(std::uint64_t row) const {
  if (part_names.empty()) return {name, row};
  return {part_names[row / rows_per_part()], row % rows_per_part()};
}

StoredTensor contiguous_tensor(TensorKey key, std::string name, const Encoding& encoding,
                               const Shape& shape, std::span<const PlaneLocation> planes) {
  StoredTensor tensor{key, std::move(name), encoding, shape, {Part{}}, {}};
  for (std::size_t p = 0; p < planes.size(); ++p) {
    tensor.parts[0][p] = planes[p];
    tensor.parts[0][p].row_step = encoding.plane_row_bytes(p, shape.cols());
  }
  return tensor;
}

StoredRows locate_rows(const StoredTensor& tensor, std::size_t plane, std::uint64_t first,
                       std::uint64_t count) {
  const std::uint64_t in_part = tensor.rows_per_part();
  const std::uint64_t begin = first % in_part;
  PJ_CHECK(count > 0 && first < tensor.shape.rows() && count <= in_part - begin);
  const PlaneLocation& at = tensor.parts[first / in_part][plane];
  const std::uint64_t cols = tensor.shape.cols();
  StoredRows rows{at.file,
                  0,
                  0,
                  at.row_step,
                  at.col_step,
                  tensor.encoding.plane_row_bytes(plane, cols),
                  tensor.encoding.rows_sharing(plane)};
  const std::uint64_t first_stored = begin / rows.sharing;
  const std::uint64_t last_stored = (begin + count - 1) / rows.sharing;
  rows.offset = at.offset + first_stored * at.row_step;
  rows.length =
      (last_stored - first_stored) * at.row_step +
      (at.col_step == 0 ? rows.row_bytes
                        : (cols - 1) * at.col_step + info(tensor.encoding.dtype).block_bytes);
  return rows;
}

namespace {

// Rows of one plane that touch one part or several.
void read_plane(std::span<const File> files, const StoredTensor& tensor, std::size_t plane,
                std::uint64_t first, std::uint64_t count, std::span<std::byte> out) {
  const std::uint64_t row_bytes = tensor.encoding.plane_row_bytes(plane, tensor.shape.cols());
  PJ_CHECK(out.size() == count * row_bytes);
  for_parts(tensor, first, count, [&](std::uint64_t row, std::uint64_t rows, std::uint64_t done) {
    const StoredRows at = locate_rows(tensor, plane, row, rows);
    const File& file = files[at.file];
    const auto to = out.subspan(done * row_bytes, rows * row_bytes);
    if (at.is_contiguous()) {
      file.read_at(at.offset, to);
    } else if (at.col_step != 0) {
      read_scattered(file, at, rows, tensor.encoding.dtype, to);
    } else if (at.sharing > 1) {
      read_shared(file, at, row % tensor.rows_per_part(), rows, to);
    } else {
      read_spaced(file, at, rows, to);
    }
  });
}

}  // namespace

void read_stored_rows(std::span<const File> files, const StoredTensor& tensor, std::uint64_t first,
                      std::uint64_t count, const Planes& out) {
  for (std::size_t p = 0; p < tensor.encoding.planes(); ++p) {
    read_plane(files, tensor, p, first, count, out.plane[p]);
  }
}

ConstPlanes read_stored_rows_once(std::span<const File> files, const StoredTensor& tensor,
                                  std::uint64_t first, std::uint64_t count, PlaneBuffers& buffers) {
  ConstPlanes planes;
  if (count == 0) return planes;
  const bool in_one_part = first % tensor.rows_per_part() + count <= tensor.rows_per_part();
  for (std::size_t p = 0; p < tensor.encoding.planes(); ++p) {
    if (in_one_part) {
      const StoredRows at = locate_rows(tensor, p, first, count);
      if (at.is_contiguous()) {
        planes.plane[p] = files[at.file].read_once(at.offset, at.length, buffers[p]);
        continue;
      }
    }
    const std::uint64_t row_bytes = tensor.encoding.plane_row_bytes(p, tensor.shape.cols());
    const auto out = buffers[p].place(0, count * row_bytes);
    read_plane(files, tensor, p, first, count, out);
    planes.plane[p] = out;
  }
  return planes;
}

void prefetch_stored_rows(std::span<const File> files, const StoredTensor& tensor,
                          std::uint64_t first, std::uint64_t count) noexcept {
  for (std::size_t p = 0; p < tensor.encoding.planes(); ++p) {
    for_parts(tensor, first, count, [&](std::uint64_t row, std::uint64_t rows, std::uint64_t) {
      const StoredRows at = locate_rows(tensor, p, row, rows);
      const File& file = files[at.file];
      if (at.is_contiguous() && file.reads_directly()) return;
      // Where columns lie further apart than rows, any rows touch all of the part: once is enough.
      if (tensor.is_transposed() && row % tensor.rows_per_part() != 0) return;
      file.prefetch(at.offset, at.length);
    });
  }
}

}  // namespace pajamas::model
