// Any bytes as a GGUF file: either an Error, or a header that is laid out again to the same bytes,
// and hyperparameters that are refused or usable.
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <string>
#include <string_view>
#include <vector>

#include "base/bytes.h"
#include "base/error.h"
#include "io/gguf.h"
#include "memory_file.h"
#include "model/checkpoint.h"

namespace {

using namespace pajamas;
using namespace pajamas::io;

void check_layout(const GgufFile& model, std::string_view input) {
  std::vector<GgufSpec> specs;
  for (const GgufTensor& tensor : model.tensors()) {
    if (tensor.offset > input.size() || tensor.bytes > input.size() - tensor.offset) std::abort();
    specs.push_back({tensor.name, tensor.dtype, tensor.shape});
  }
  const std::uint64_t alignment = model.metadata().find_unsigned("general.alignment").value_or(32);
  if (alignment > 4096) return;  // the padding alone would be gigabytes
  std::string header = lay_out_gguf(model.metadata(), specs, alignment).header;
  header[4] = input[4];  // version 2 has the same form
  std::string original(input.substr(0, header.size()));
  // Padding may hold anything, and is missing where no tensor follows.
  original.resize(header.size());
  const std::size_t used = header.find_last_not_of('\0') + 1;
  if (std::memcmp(original.data(), header.data(), used) != 0) std::abort();
}

template <class Fn>
void unless_refused(Fn&& fn) {
  try {
    fn();
  } catch (const Error& error) {
    if (error.code() == ErrorCode::kInternal) throw;
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const fuzz::MemoryFile file(data, size);
  const std::string_view input(reinterpret_cast<const char*>(data), size);
  unless_refused([&] { check_layout(GgufFile::open(file.path()), input); });
  unless_refused([&] { model::Checkpoint::open(file.path()); });
  return 0;
}
