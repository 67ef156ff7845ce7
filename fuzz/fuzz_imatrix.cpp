// Any bytes as an importance matrix: either an Error, or numbers that are written and read again.
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <string>

#include "base/error.h"
#include "io/imatrix.h"
#include "memory_file.h"

namespace {

using namespace pajamas;
using namespace pajamas::io;

void check(const Imatrix& matrix) {
  for (const ImatrixEntry& entry : matrix.entries) {
    if (entry.sums.size() != entry.columns * entry.counts.size()) std::abort();
    for (const double v : entry.sums) {
      if (!std::isfinite(v) || v < 0) std::abort();
    }
    for (const float v : entry.counts) {
      if (!std::isfinite(v) || v < 0) std::abort();
    }
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  try {
    const Imatrix matrix = read_imatrix(fuzz::MemoryFile(data, size).path());
    check(matrix);
    const std::string bytes = imatrix_bytes(matrix, ImatrixForm::kGguf);
    const fuzz::MemoryFile again(reinterpret_cast<const std::uint8_t*>(bytes.data()), bytes.size());
    if (read_imatrix(again.path()).entries.size() != matrix.entries.size()) std::abort();
  } catch (const Error& error) {
    if (error.code() == ErrorCode::kInternal) throw;
  }
  return 0;
}
