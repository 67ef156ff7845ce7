// Rows of any stored tensor as floats.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "kernels/table.h"
#include "model/checkpoint.h"

namespace pajamas::weights {

// Reads past the page cache where it can, and decodes; keeps buffers, so each thread has its own.
class RowReader {
 public:
  RowReader(const model::Checkpoint& checkpoint, const kernels::KernelTable& kernels)
      : checkpoint_(&checkpoint), kernels_(&kernels) {}

  // Rows [first, first + count) into out, which has room for exactly them. Throws
  // Error{kUnsupported} for an encoding without a decoder, and what Checkpoint::read_rows throws.
  void read(const model::StoredTensor& tensor, std::uint64_t first, std::uint64_t count,
            std::span<float> out);
  // The same in two steps: the rows as they are stored, valid until the next call, and some of
  // them, [first, first + count) counted from the first that was fetched, as floats.
  const ConstPlanes& fetch(const model::StoredTensor& tensor, std::uint64_t first,
                           std::uint64_t count);
  void decode(const model::StoredTensor& tensor, std::uint64_t first, std::uint64_t count,
              std::span<float> out);

  // What `read` has taken so far, in seconds: waiting for files, and decoding.
  double read_seconds() const noexcept { return read_seconds_; }
  double decode_seconds() const noexcept { return decode_seconds_; }

 private:
  const model::Checkpoint* checkpoint_;
  const kernels::KernelTable* kernels_;
  model::PlaneBuffers buffers_;
  ConstPlanes stored_;  // what the last fetch put there
  double read_seconds_ = 0;
  double decode_seconds_ = 0;
};

}  // namespace pajamas::weights
