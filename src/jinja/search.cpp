#include "jinja/search.h"

#include <algorithm>
#include <cstring>

namespace pajamas::jinja {
namespace {

constexpr std::size_t kPiece = 1024;  // bytes that are paid for at a time
constexpr std::size_t kBytesWalked = 8;

}  // namespace

// Most texts are found at one of the first places where their first byte stands. Once that does not
// hold, by the bytes that were compared in vain, Knuth, Morris and Pratt's way goes on.
std::size_t Search::first(std::string_view text, std::size_t from) {
  const std::size_t size = wanted_.size();
  if (size > text.size() - from) return kNone;
  if (size == 0) return from;
  const std::size_t end = text.size() - size + 1;  // of the places
  std::size_t vain = 0;
  for (std::size_t pos = from; pos < end;) {
    const std::size_t piece = std::min(end - pos, kPiece);
    const auto* found = static_cast<const char*>(std::memchr(text.data() + pos, wanted_[0], piece));
    const std::size_t next = found ? static_cast<std::size_t>(found - text.data()) : pos + piece;
    charge_bytes(next - pos, kBytesSearched);
    pos = next;
    if (!found) continue;
    const std::size_t same = common(text.substr(pos));
    if (same == size) return pos;
    vain += same;
    if (vain > 64 + (pos - from)) {
      const std::size_t walked = walk<false>(text.substr(pos));
      return walked == kNone ? kNone : pos + walked;
    }
    ++pos;
  }
  return kNone;
}

// How many bytes of `wanted_` a text that is at least as long begins with.
std::size_t Search::common(std::string_view text) const {
  std::size_t same = 0;
  while (same < wanted_.size()) {
    const std::size_t piece = std::min(wanted_.size() - same, kPiece);
    const auto begin = wanted_.begin() + static_cast<std::ptrdiff_t>(same);
    const auto end = begin + static_cast<std::ptrdiff_t>(piece);
    const auto found = std::mismatch(begin, end, text.begin() + static_cast<std::ptrdiff_t>(same));
    same = static_cast<std::size_t>(found.first - wanted_.begin());
    charge_bytes(static_cast<std::size_t>(found.first - begin), kBytesSearched);
    if (found.first != end) break;
  }
  return same;
}

std::size_t Search::last(std::string_view text) {
  if (wanted_.size() > text.size()) return kNone;
  if (wanted_.empty()) return text.size();
  const std::size_t from_end = walk<true>(text);
  return from_end == kNone ? kNone : text.size() - wanted_.size() - from_end;
}

// The first place, counted from the end where both texts are read backwards.
template <bool Backwards>
std::size_t Search::walk(std::string_view text) {
  const auto at = [](std::string_view of, std::size_t i) {
    return Backwards ? of[of.size() - 1 - i] : of[i];
  };
  const std::size_t size = wanted_.size();
  if (borders_.empty() || backwards_ != Backwards) {
    charge_bytes(size, kBytesWalked);
    backwards_ = Backwards;
    borders_.assign(size, 0);
    for (std::size_t i = 1, same = 0; i < size; ++i) {
      while (same > 0 && at(wanted_, i) != at(wanted_, same)) same = borders_[same - 1];
      if (at(wanted_, i) == at(wanted_, same)) ++same;
      borders_[i] = static_cast<std::uint32_t>(same);
    }
  }
  for (std::size_t i = 0, same = 0; i < text.size(); ++i) {
    if (i % kPiece == 0) charge_bytes(std::min(text.size() - i, kPiece), kBytesWalked);
    const char c = at(text, i);
    while (same > 0 && c != at(wanted_, same)) same = borders_[same - 1];
    if (c == at(wanted_, same)) ++same;
    if (same == size) return i + 1 - size;
  }
  return kNone;
}

}  // namespace pajamas::jinja
