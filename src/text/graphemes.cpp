#include "text/graphemes.h"

#include <utf8proc.h>

#include <algorithm>

#include "text/utf8.h"

namespace pajamas::text {
namespace {

constexpr std::uint32_t kJoiner = 0x200D;
constexpr std::uint32_t kEmojiPresentation = 0xFE0F;
// Emoji are added every year, and each terminal has the widths of some year.
constexpr std::uint32_t kFirstPictograph = 0x1F000, kLastPictograph = 0x1FFFF;
constexpr std::uint32_t kFirstFlagLetter = 0x1F1E6, kLastFlagLetter = 0x1F1FF;

utf8proc_int32_t as_code_point(std::uint32_t value) { return static_cast<utf8proc_int32_t>(value); }

// The last offset up to `at` where a cluster begins whatever stands before: two code points tell,
// but for pairs of flag letters (which do not break) and what follows a joiner.
std::size_t safe_boundary(std::string_view text, std::size_t at) {
  while (at < text.size() && at > 0) {
    const std::size_t before = previous_code_point(text, at);
    const std::uint32_t left = decode_code_point(text, before).value;
    const std::uint32_t right = decode_code_point(text, at).value;
    if (left != kJoiner && utf8proc_grapheme_break(as_code_point(left), as_code_point(right)))
      break;
    at = before;
  }
  return at;
}

bool is_certain(std::uint32_t value) {
  if (value >= kFirstPictograph && value <= kLastPictograph) return false;
  switch (utf8proc_category(as_code_point(value))) {
    case UTF8PROC_CATEGORY_CN:  // unassigned
    case UTF8PROC_CATEGORY_CO:  // private use
    case UTF8PROC_CATEGORY_CF:  // joiners, directions and the like
    case UTF8PROC_CATEGORY_MC:
    case UTF8PROC_CATEGORY_ZL:
    case UTF8PROC_CATEGORY_ZP:
      return false;
    default:
      return true;
  }
}

}  // namespace

std::size_t next_grapheme(std::string_view valid, std::size_t at) noexcept {
  DecodedCodePoint point = decode_code_point(valid, at);
  utf8proc_int32_t state = 0;
  while (point.end < valid.size()) {
    const DecodedCodePoint next = decode_code_point(valid, point.end);
    if (utf8proc_grapheme_break_stateful(as_code_point(point.value), as_code_point(next.value),
                                         &state) != 0) {
      break;
    }
    point = next;
  }
  return point.end;
}

std::size_t previous_grapheme(std::string_view valid, std::size_t at) noexcept {
  std::size_t begin = safe_boundary(valid, previous_code_point(valid, at));
  for (;;) {
    const std::size_t end = next_grapheme(valid, begin);
    if (end >= at) return begin;
    begin = end;
  }
}

std::size_t grapheme_boundary(std::string_view valid, std::size_t at) noexcept {
  std::size_t end = at;
  while (end > 0 && end < valid.size() && (static_cast<unsigned char>(valid[end]) & 0xC0) == 0x80) {
    --end;
  }
  end = safe_boundary(valid, end);
  while (end < at) end = next_grapheme(valid, end);
  return end;
}

GraphemeColumns grapheme_columns(std::string_view cluster) noexcept {
  GraphemeColumns columns;
  std::size_t letters_of_flags = 0;
  for (std::size_t at = 0; at < cluster.size();) {
    const auto [value, end] = decode_code_point(cluster, at);
    const auto width = static_cast<std::size_t>(utf8proc_charwidth(as_code_point(value)));
    const bool mark = at > 0 && utf8proc_category(as_code_point(value)) == UTF8PROC_CATEGORY_MN;
    if (value == kEmojiPresentation) {
      columns = {2, false};
    } else if (!mark) {
      // What is joined to a base without being a mark: jamo, spacing marks, further emoji.
      columns.certain = columns.certain && at == 0 && width > 0 && is_certain(value);
      columns.count = std::max(columns.count, width);
    }
    if (value >= kFirstFlagLetter && value <= kLastFlagLetter) ++letters_of_flags;
    at = end;
  }
  if (letters_of_flags == 2) columns.count = 2;
  return columns;
}

bool is_word_grapheme(std::string_view cluster) noexcept {
  if (cluster.empty()) return false;
  const std::uint32_t first = decode_code_point(cluster, 0).value;
  if (first == '_') return true;
  const utf8proc_category_t category = utf8proc_category(as_code_point(first));
  return category >= UTF8PROC_CATEGORY_LU && category <= UTF8PROC_CATEGORY_NO;
}

}  // namespace pajamas::text
