// Any bytes as a config.json: either an Error, or a model whose tensors can all be counted.
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <string_view>

#include "base/bytes.h"
#include "base/error.h"
#include "model/architecture.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace pajamas;
  try {
    const auto config = model::parse_config_json({reinterpret_cast<const char*>(data), size});
    if (config.architecture == nullptr || config.layers == 0 || config.heads == 0) std::abort();
    if (config.layers > 200) return 0;  // possible, but slow to list
    std::uint64_t parameters = 0;
    for (const model::TensorSpec& tensor : model::tensors_of(config)) {
      if (tensor.shape.elements() == 0) std::abort();
      parameters = checked_add(parameters, tensor.shape.elements());
    }
    if (parameters != model::parameter_count(config)) std::abort();
  } catch (const Error& error) {
    if (error.code() == ErrorCode::kInternal) throw;
  }
  return 0;
}
