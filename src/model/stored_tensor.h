// Where the rows of a tensor lie in the files of a model, and reading them.
#pragma once

#include <array>
#include <cstdint>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "base/file.h"
#include "model/role.h"
#include "tensor/encoding.h"
#include "tensor/shape.h"

namespace pajamas::model {

// Where one plane of some rows lies.
struct PlaneLocation {
  std::size_t file = 0;  // index into Checkpoint::files()
  std::uint64_t offset = 0;
  std::uint64_t bytes = 0;     // of these rows alone
  std::uint64_t row_step = 0;  // from row to row; more than a row's bytes where others lie between
  std::uint64_t col_step = 0;  // from column to column where they do not lie side by side, else 0
};
using Part = std::array<PlaneLocation, Encoding::kMaxPlanes>;

// One logical tensor as it is stored.
struct StoredTensor {
  TensorKey key;
  std::string name;  // in this container
  Encoding encoding;
  Shape shape;  // logical: columns are weights, whatever the planes hold
  // The rows in order, cut into equal parts: one, or one for each expert of a stack.
  std::vector<Part> parts;
  std::vector<std::string> part_names = {};  // where each part has a name of its own

  std::uint64_t rows_per_part() const noexcept { return shape.rows() / parts.size(); }
  std::uint64_t bytes() const noexcept;
  // Whether its columns lie one after the other, so that any rows of a part are spread over all of
  // it: to read few rows at a time is slow.
  bool is_transposed() const noexcept;
  // The name under which a row is stored, and its number there.
  std::pair<std::string, std::uint64_t> stored_row(std::uint64_t row) const;
};

// A tensor of one part whose planes lie without gaps at the given places.
StoredTensor contiguous_tensor(TensorKey key, std::string name, const Encoding& encoding,
                               const Shape& shape, std::span<const PlaneLocation> planes);

// Where rows of one plane lie, all of them in one part: what reads them, maps them or asks for them
// in advance takes its addresses from here.
struct StoredRows {
  std::size_t file;         // index into Checkpoint::files()
  std::uint64_t offset;     // of the first row
  std::uint64_t length;     // to the end of the last one, what lies between included
  std::uint64_t row_step;   // as in PlaneLocation
  std::uint64_t col_step;   //
  std::uint64_t row_bytes;  // of one row's columns, without gaps
  std::uint64_t sharing;    // rows that share one in storage (Encoding::rows_sharing)

  // One run of bytes that holds these rows and nothing else, each once.
  bool is_contiguous() const noexcept {
    return col_step == 0 && sharing == 1 && row_step == row_bytes;
  }
};
// Rows [first, first + count), counted in the tensor, `count` > 0.
StoredRows locate_rows(const StoredTensor& tensor, std::size_t plane, std::uint64_t first,
                       std::uint64_t count);

// Reads rows [first, first + count) of every plane; each span of `out` fits exactly. Safe from many
// threads. Throws what File::read_at throws.
void read_stored_rows(std::span<const File> files, const StoredTensor& tensor, std::uint64_t first,
                      std::uint64_t count, const Planes& out);
// The same for rows that are read once: the planes lie in `buffers`, one each, until those are used
// again. Rows that lie side by side are not copied on the way (File::read_once).
using PlaneBuffers = std::array<BlockBuffer, Encoding::kMaxPlanes>;
ConstPlanes read_stored_rows_once(std::span<const File> files, const StoredTensor& tensor,
                                  std::uint64_t first, std::uint64_t count, PlaneBuffers& buffers);
// Asks the system to start reading those rows, where read_stored_rows_once goes through its cache.
void prefetch_stored_rows(std::span<const File> files, const StoredTensor& tensor,
                          std::uint64_t first, std::uint64_t count) noexcept;

}  // namespace pajamas::model
