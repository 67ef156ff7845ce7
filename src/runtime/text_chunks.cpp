#include "runtime/text_chunks.h"

#include "base/error.h"

namespace pajamas::runtime {

std::vector<Chunk> cut_chunks(std::span<const std::int32_t> tokens, std::uint32_t context,
                              std::optional<std::int32_t> bos) {
  PJ_CHECK(context > 0);
  std::vector<Chunk> chunks;
  for (; tokens.size() >= context; tokens = tokens.subspan(context)) {
    Chunk& chunk = chunks.emplace_back(tokens.begin(), tokens.begin() + context);
    if (bos) chunk.front() = *bos;
  }
  return chunks;
}

std::vector<std::vector<BatchRow>> batches_of(std::span<const Chunk> chunks, std::size_t most) {
  std::vector<std::vector<BatchRow>> batches;
  for (std::size_t i = 0; i < chunks.size(); ++i) {
    for (std::size_t p = 0; p < chunks[i].size(); ++p) {
      if (batches.empty() || batches.back().size() == most) batches.emplace_back();
      batches.back().push_back(
          {static_cast<SessionId>(i), static_cast<std::uint32_t>(p), chunks[i][p], false});
    }
  }
  return batches;
}

}  // namespace pajamas::runtime
