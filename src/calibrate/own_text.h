// Text that a model writes by itself, for calibration where no other text is left: what it sends
// to its experts is what it knows.
#pragma once

#include <cstdint>
#include <random>
#include <vector>

#include "base/progress.h"
#include "model/text_model.h"
#include "runtime/engine.h"
#include "runtime/text_chunks.h"

namespace pajamas::calibrate {

class OwnText {
 public:
  // The same text for the same seed and model. `side_by_side` chunks are written at a time: each
  // takes the keys and values of `context` positions.
  OwnText(runtime::Engine& engine, const model::TextModel& text, std::uint32_t context,
          std::size_t side_by_side, std::uint64_t seed);

  // So many more chunks. Each begins with a token that was drawn from the whole vocabulary, and so
  // does what follows an end of text: what is written differs from the start. Throws what the
  // engine throws, and Error{kInterrupted}.
  std::vector<runtime::Chunk> write(std::size_t count, Progress& progress, const StopFlag& stop);

 private:
  std::vector<runtime::Chunk> write_side_by_side(std::size_t count, Progress& progress,
                                                 const StopFlag& stop);
  std::int32_t any_token();

  runtime::Engine& engine_;
  const model::TextModel& text_;
  std::uint32_t context_;
  std::size_t side_by_side_;
  std::mt19937_64 random_;
};

}  // namespace pajamas::calibrate
