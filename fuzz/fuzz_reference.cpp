// Any bytes as a kept reference, of either form: an Error, or figures that are numbers.
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <vector>

#include "base/error.h"
#include "eval/reference_file.h"
#include "memory_file.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace pajamas;
  try {
    const fuzz::MemoryFile bytes(data, size);
    if (!eval::is_reference_file(bytes.path())) return 0;
    const eval::ReferenceFile file = eval::ReferenceFile::open(bytes.path());
    const eval::ReferenceHeader& header = file.header();
    if (header.vocab > 1 << 16) return 0;
    std::vector<float> logits(header.vocab);
    for (std::size_t i = 0; i < logits.size(); ++i) logits[i] = static_cast<float>(i % 7);
    const std::uint64_t positions = header.chunks() * header.scored();
    for (std::uint64_t i = 0; i < positions && i < 16; ++i) {
      const eval::PositionScore score = file.score(i, logits, header.tokens.front());
      if (!std::isfinite(score.kl) || !std::isfinite(score.reference_nll)) std::abort();
    }
  } catch (const Error& error) {
    if (error.code() == ErrorCode::kInternal) throw;
  }
  return 0;
}
