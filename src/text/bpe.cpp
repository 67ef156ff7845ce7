#include "text/bpe.h"

#include <algorithm>
#include <array>
#include <bit>
#include <limits>
#include <queue>

namespace pajamas::text {
namespace {

// Up to this length looking at all pairs again beats keeping them in order.
constexpr std::size_t kShortWord = 48;
constexpr std::uint32_t kNoRank = std::numeric_limits<std::uint32_t>::max();

void merge_short(const MergeTable& merges, std::span<const std::int32_t> word,
                 std::vector<std::int32_t>& out) {
  struct Symbol {
    std::int32_t token;
    MergeTable::Result next;  // what this symbol and its right neighbour give
  };
  std::array<Symbol, kShortWord> symbols;
  std::size_t count = word.size();
  const auto look = [&](std::size_t i) {
    const MergeTable::Result* found =
        i + 1 < count ? merges.find(symbols[i].token, symbols[i + 1].token) : nullptr;
    symbols[i].next = found ? *found : MergeTable::Result{kNoRank, 0};
  };
  for (std::size_t i = 0; i < count; ++i) symbols[i].token = word[i];
  for (std::size_t i = 0; i < count; ++i) look(i);
  while (true) {
    std::size_t best = 0;
    for (std::size_t i = 1; i < count; ++i) {
      if (symbols[i].next.rank < symbols[best].next.rank) best = i;
    }
    if (symbols[best].next.rank == kNoRank) break;
    symbols[best].token = symbols[best].next.token;
    std::copy(symbols.begin() + static_cast<std::ptrdiff_t>(best) + 2,
              symbols.begin() + static_cast<std::ptrdiff_t>(count),
              symbols.begin() + static_cast<std::ptrdiff_t>(best) + 1);
    --count;
    look(best);
    if (best > 0) look(best - 1);
  }
  for (std::size_t i = 0; i < count; ++i) out.push_back(symbols[i].token);
}

// A linked list of symbols and a heap of the pairs that may merge; pairs whose symbols have
// changed since stay in the heap and are known by their tokens.
class LongWord {
 public:
  LongWord(const MergeTable& merges, std::span<const std::int32_t> word) : merges_(merges) {
    symbols_.reserve(word.size());
    for (std::size_t i = 0; i < word.size(); ++i) {
      symbols_.push_back({word[i], static_cast<std::ptrdiff_t>(i) - 1,
                          i + 1 < word.size() ? static_cast<std::ptrdiff_t>(i) + 1 : kEnd});
    }
    for (std::size_t i = 0; i + 1 < word.size(); ++i) offer(static_cast<std::ptrdiff_t>(i));
  }

  void run(std::vector<std::int32_t>& out) {
    while (!heap_.empty()) {
      const Candidate top = heap_.top();
      heap_.pop();
      apply(top);
    }
    for (std::ptrdiff_t i = 0; i != kEnd; i = at(i).next) out.push_back(at(i).token);
  }

 private:
  static constexpr std::ptrdiff_t kEnd = -1;
  static constexpr std::int32_t kGone = -1;
  struct Symbol {
    std::int32_t token;
    std::ptrdiff_t previous;
    std::ptrdiff_t next;
  };
  struct Candidate {
    std::uint32_t rank;
    std::ptrdiff_t at;
    std::int32_t left, right, merged;
    bool operator<(const Candidate& other) const {  // std::priority_queue gives the largest first
      return rank != other.rank ? rank > other.rank : at > other.at;
    }
  };

  Symbol& at(std::ptrdiff_t i) { return symbols_[static_cast<std::size_t>(i)]; }

  void offer(std::ptrdiff_t i) {
    if (i == kEnd || at(i).next == kEnd) return;
    const std::int32_t left = at(i).token;
    const std::int32_t right = at(at(i).next).token;
    if (const auto* found = merges_.find(left, right)) {
      heap_.push({found->rank, i, left, right, found->token});
    }
  }

  void apply(const Candidate& candidate) {
    Symbol& left = at(candidate.at);
    if (left.token != candidate.left || left.next == kEnd) return;
    Symbol& right = at(left.next);
    if (right.token != candidate.right) return;
    left.token = candidate.merged;
    right.token = kGone;
    left.next = right.next;
    if (left.next != kEnd) at(left.next).previous = candidate.at;
    offer(left.previous);
    offer(candidate.at);
  }

  const MergeTable& merges_;
  std::vector<Symbol> symbols_;
  std::priority_queue<Candidate> heap_;
};

}  // namespace

MergeTable::MergeTable(std::size_t merges)
    : slots_(std::bit_ceil(2 * merges + 2)), mask_(slots_.size() - 1) {}

void MergeTable::insert(std::int32_t left, std::int32_t right, Result result) {
  const std::uint64_t key = key_of(left, right);
  std::size_t i = slot_of(key);
  while (slots_[i].key != kEmpty && slots_[i].key != key) i = (i + 1) & mask_;
  slots_[i] = {key, result};
}

void merge_word(const MergeTable& merges, std::span<const std::int32_t> word,
                std::vector<std::int32_t>& out) {
  if (word.empty()) return;
  if (word.size() <= kShortWord) {
    merge_short(merges, word, out);
  } else {
    LongWord(merges, word).run(out);
  }
}

}  // namespace pajamas::text
