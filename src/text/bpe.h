// Byte pair encoding of one word: of all neighbours that may merge, those of the lowest rank do,
// from left to right, until none is left.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <vector>

namespace pajamas::text {

// From a pair of token ids to the rank of their merge and the token it gives.
class MergeTable {
 public:
  struct Result {
    std::uint32_t rank;
    std::int32_t token;
  };

  explicit MergeTable(std::size_t merges);

  // A pair that is there already gets the new rank.
  void insert(std::int32_t left, std::int32_t right, Result result);
  // Null where the pair does not merge.
  const Result* find(std::int32_t left, std::int32_t right) const noexcept {
    const std::uint64_t key = key_of(left, right);
    for (std::size_t i = slot_of(key);; i = (i + 1) & mask_) {
      if (slots_[i].key == key) return &slots_[i].result;
      if (slots_[i].key == kEmpty) return nullptr;
    }
  }

 private:
  static constexpr std::uint64_t kEmpty = ~std::uint64_t{0};  // ids are never negative
  struct Slot {
    std::uint64_t key = kEmpty;
    Result result{};
  };

  static std::uint64_t key_of(std::int32_t left, std::int32_t right) noexcept {
    return static_cast<std::uint64_t>(static_cast<std::uint32_t>(left)) << 32 |
           static_cast<std::uint32_t>(right);
  }
  std::size_t slot_of(std::uint64_t key) const noexcept {
    key *= 0x9E3779B97F4A7C15U;  // 2^64 / golden ratio
    return static_cast<std::size_t>(key >> 32) & mask_;
  }

  std::vector<Slot> slots_;
  std::size_t mask_;
};

// Appends the tokens of a word, given as the tokens of its bytes. Time is n log n.
void merge_word(const MergeTable& merges, std::span<const std::int32_t> word,
                std::vector<std::int32_t>& out);

}  // namespace pajamas::text
