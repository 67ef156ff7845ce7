// Any bytes as a shard: either an Error, or tensors that lie in the file and are laid out again
// alike.
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <vector>

#include "base/error.h"
#include "io/safetensors.h"
#include "memory_file.h"

namespace {

using namespace pajamas;
using namespace pajamas::io;

void check(const SafetensorsFile& shard) {
  std::vector<SafetensorsSpec> specs;
  for (const SafetensorsEntry& entry : shard.entries()) {
    if (entry.offset > shard.file().size() || entry.bytes > shard.file().size() - entry.offset) {
      std::abort();
    }
    std::vector<std::byte> bytes(entry.bytes);
    shard.file().read_at(entry.offset, bytes);
    specs.push_back({entry.name, entry.dtype, entry.shape});
  }
  const SafetensorsLayout layout = lay_out_safetensors(specs, shard.metadata());
  if (specs.empty()) return;
  const std::uint64_t shift = layout.offsets[0] - shard.entries()[0].offset;
  for (std::size_t i = 0; i < specs.size(); ++i) {
    if (layout.offsets[i] - shard.entries()[i].offset != shift) std::abort();
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const fuzz::MemoryFile file(data, size);
  try {
    check(SafetensorsFile::open(file.path()));
  } catch (const Error& error) {
    if (error.code() == ErrorCode::kInternal) throw;
  }
  return 0;
}
