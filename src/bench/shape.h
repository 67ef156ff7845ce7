// A model of a published shape without its checkpoint: what `quantize` would write of it, with
// random weights.
#pragma once

#include <cstdint>
#include <filesystem>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "base/parallel.h"
#include "base/progress.h"
#include "quantize/plan_input.h"
#include "runtime/backend.h"
#include "weights/generated.h"

namespace pajamas::bench {

struct ShapedModel {
  std::string name;    // of the shape
  std::string format;  // "gguf", "mlx"
  std::string method;  // canonical
  model::ModelConfig config;
  std::vector<weights::GeneratedTensor> tensors;
  std::uint64_t bytes = 0;            // that the tensors take
  std::uint64_t bytes_per_token = 0;  // of them, that one token reads
};

// `method`: any of a format that can be run. Throws Error{kUsage} for an unknown one, and as
// make_plan does.
ShapedModel shape_model(const quantize::PlanInput& input, std::string_view method);

// Makes its weights: in memory where they fit beside what running takes, else in a file of `folder`
// without a name. Throws Error{kNoSpace} where neither has room, and as the backend's open_store.
struct OpenedShape {
  std::unique_ptr<runtime::Engine> engine;
  bool in_file = false;
  double open_seconds = 0;  // without making the weights
};
OpenedShape open_shape(const ShapedModel& shape, const runtime::EngineOptions& options,
                       const std::filesystem::path& folder, Progress& progress,
                       const StopFlag& stop);

}  // namespace pajamas::bench
