#include "model/stored_tensor.h"

#include <algorithm>
#include <cstring>

#include "base/error.h"

namespace pajamas::model {
namespace {

// Rows of one plane of one part.
struct Request {
  const File& file;
  const PlaneLocation& at;
  std::uint64_t row_bytes;
  std::uint64_t first;
  std::uint64_t count;
};

std::span<std::byte> scratch_of(std::uint64_t bytes) {
  thread_local std::vector<std::byte> scratch;
  if (scratch.size() < bytes) scratch.resize(bytes);
  return std::span(scratch).first(bytes);
}

// Other rows lie between these: all of it is read in pieces, and what is wanted is copied.
void read_spaced(const Request& r, std::span<std::byte> out) {
  constexpr std::uint64_t kScratchBytes = 1 << 20;
  const std::uint64_t step = std::max<std::uint64_t>(1, kScratchBytes / r.at.row_step);
  for (std::uint64_t i = 0; i < r.count; i += step) {
    const std::uint64_t now = std::min(step, r.count - i);
    const auto scratch = scratch_of((now - 1) * r.at.row_step + r.row_bytes);
    r.file.read_at(r.at.offset + (r.first + i) * r.at.row_step, scratch);
    for (std::uint64_t k = 0; k < now; ++k) {
      std::memcpy(out.data() + (i + k) * r.row_bytes, scratch.data() + k * r.at.row_step,
                  r.row_bytes);
    }
  }
}

// Several rows share one in storage: each gets a copy.
void read_shared(const Request& r, std::uint64_t sharing, std::span<std::byte> out) {
  std::span<std::byte> previous;
  for (std::uint64_t i = 0; i < r.count; ++i) {
    const std::uint64_t row = r.first + i;
    const auto to = out.subspan(i * r.row_bytes, r.row_bytes);
    if (i > 0 && row % sharing != 0) {
      std::ranges::copy(previous, to.begin());
    } else {
      r.file.read_at(r.at.offset + row / sharing * r.at.row_step, to);
    }
    previous = to;
  }
}

// Single elements, rows or columns apart: whichever lie closer together are read at once.
void read_scattered(const Request& r, std::uint64_t element, std::span<std::byte> out) {
  const std::uint64_t cols = r.row_bytes / element;
  const bool by_column = r.at.row_step < r.at.col_step;
  const std::uint64_t outer = by_column ? cols : r.count;
  const std::uint64_t inner = by_column ? r.count : cols;
  const std::uint64_t inner_step = by_column ? r.at.row_step : r.at.col_step;
  const auto scratch = scratch_of((inner - 1) * inner_step + element);
  for (std::uint64_t o = 0; o < outer; ++o) {
    const std::uint64_t row = by_column ? r.first : r.first + o;
    const std::uint64_t col = by_column ? o : 0;
    r.file.read_at(r.at.offset + row * r.at.row_step + col * r.at.col_step, scratch);
    for (std::uint64_t i = 0; i < inner; ++i) {
      const std::uint64_t to =
          by_column ? i * r.row_bytes + o * element : o * r.row_bytes + i * element;
      std::memcpy(out.data() + to, scratch.data() + i * inner_step, element);
    }
  }
}

// Calls fn(part, first row in it, rows of it, rows before them) for each part that is touched.
template <class Fn>
void for_parts(const StoredTensor& tensor, std::uint64_t first, std::uint64_t count, Fn&& fn) {
  const std::uint64_t size = tensor.rows_per_part();
  for (std::uint64_t done = 0; done < count;) {
    const std::uint64_t row = first + done;
    const std::uint64_t now = std::min(count - done, size - row % size);
    fn(tensor.parts[row / size], row % size, now, done);
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

namespace {

// Rows of one plane that touch one part or several.
void read_plane(std::span<const File> files, const StoredTensor& tensor, std::size_t plane,
                std::uint64_t first, std::uint64_t count, std::span<std::byte> out) {
  const std::uint64_t row_bytes = tensor.encoding.plane_row_bytes(plane, tensor.shape.cols());
  const std::uint64_t sharing = tensor.encoding.rows_sharing(plane);
  PJ_CHECK(out.size() == count * row_bytes);
  for_parts(tensor, first, count,
            [&](const Part& part, std::uint64_t begin, std::uint64_t rows, std::uint64_t done) {
              const PlaneLocation& at = part[plane];
              const Request request{files[at.file], at, row_bytes, begin, rows};
              const auto to = out.subspan(done * row_bytes, rows * row_bytes);
              if (at.col_step != 0) {
                read_scattered(request, info(tensor.encoding.dtype).block_bytes, to);
              } else if (sharing > 1) {
                read_shared(request, sharing, to);
              } else if (at.row_step == row_bytes) {
                request.file.read_at(at.offset + begin * row_bytes, to);
              } else {
                read_spaced(request, to);
              }
            });
}

// Whether a part's rows are one run of bytes.
bool is_contiguous(const StoredTensor& tensor, std::size_t plane,
                   const PlaneLocation& at) noexcept {
  return at.col_step == 0 && tensor.encoding.rows_sharing(plane) == 1 &&
         at.row_step == tensor.encoding.plane_row_bytes(plane, tensor.shape.cols());
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
  const std::uint64_t size = tensor.rows_per_part();
  for (std::size_t p = 0; p < tensor.encoding.planes(); ++p) {
    const std::uint64_t row_bytes = tensor.encoding.plane_row_bytes(p, tensor.shape.cols());
    const PlaneLocation& at = tensor.parts[first / size][p];
    if (is_contiguous(tensor, p, at) && first % size + count <= size) {
      planes.plane[p] = files[at.file].read_once(at.offset + first % size * row_bytes,
                                                 count * row_bytes, buffers[p]);
      continue;
    }
    const auto out = buffers[p].place(0, count * row_bytes);
    read_plane(files, tensor, p, first, count, out);
    planes.plane[p] = out;
  }
  return planes;
}

void prefetch_stored_rows(std::span<const File> files, const StoredTensor& tensor,
                          std::uint64_t first, std::uint64_t count) noexcept {
  for (std::size_t p = 0; p < tensor.encoding.planes(); ++p) {
    const std::uint64_t sharing = tensor.encoding.rows_sharing(p);
    for_parts(tensor, first, count,
              [&](const Part& part, std::uint64_t begin, std::uint64_t rows, std::uint64_t) {
                const PlaneLocation& at = part[p];
                if (is_contiguous(tensor, p, at) && files[at.file].reads_directly()) return;
                if (at.row_step < at.col_step) {
                  // Transposed: any rows touch all of it.
                  const std::uint64_t cols = tensor.shape.cols();
                  if (begin == 0) files[at.file].prefetch(at.offset, cols * at.col_step);
                  return;
                }
                files[at.file].prefetch(at.offset + begin / sharing * at.row_step,
                                        (rows + sharing - 1) / sharing * at.row_step);
              });
  }
}

}  // namespace pajamas::model
