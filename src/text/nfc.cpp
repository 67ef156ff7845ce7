#include "text/nfc.h"

#include <utf8proc.h>

#include <algorithm>
#include <vector>

#include "base/error.h"
#include "text/code_points.h"
#include "text/utf8.h"

namespace pajamas::text {
namespace {

// Below this nothing can change: no marks, and every letter is composed already.
constexpr std::uint32_t kFirstThatMatters = 0x300;
constexpr std::uint32_t kMaxDecomposition = 8;

// utf8proc's own ordering of marks is quadratic, and a text may be nothing but marks.
void order_marks(std::vector<utf8proc_int32_t>& points) {
  const auto rank = [](utf8proc_int32_t c) { return utf8proc_get_property(c)->combining_class; };
  for (std::size_t i = 0; i < points.size(); ++i) {
    if (rank(points[i]) == 0) continue;
    std::size_t end = i + 1;
    while (end < points.size() && rank(points[end]) != 0) ++end;
    std::stable_sort(points.begin() + static_cast<std::ptrdiff_t>(i),
                     points.begin() + static_cast<std::ptrdiff_t>(end),
                     [&](auto a, auto b) { return rank(a) < rank(b); });
    i = end - 1;
  }
}

// Code points that all have a part in normalization, in every version since the reference's.
void append_normalized(std::string& out, std::string_view run) {
  std::vector<utf8proc_int32_t> points;
  points.reserve(run.size() / 2 + kMaxDecomposition);
  for (std::size_t at = 0; at < run.size();) {
    const auto [c, end] = decode_code_point(run, at);
    utf8proc_int32_t parts[kMaxDecomposition];
    int boundary = 0;
    const utf8proc_ssize_t count = utf8proc_decompose_char(
        static_cast<utf8proc_int32_t>(c), parts, kMaxDecomposition, UTF8PROC_DECOMPOSE, &boundary);
    PJ_CHECK(count > 0 && count <= static_cast<utf8proc_ssize_t>(kMaxDecomposition));
    points.insert(points.end(), parts, parts + count);
    at = end;
  }
  order_marks(points);
  const utf8proc_ssize_t length =
      utf8proc_normalize_utf32(points.data(), static_cast<utf8proc_ssize_t>(points.size()),
                               static_cast<utf8proc_option_t>(UTF8PROC_COMPOSE | UTF8PROC_STABLE));
  PJ_CHECK(length >= 0);
  points.resize(static_cast<std::size_t>(length));
  for (const utf8proc_int32_t c : points) append_utf8(out, static_cast<std::uint32_t>(c));
}

// Cuts a text into what can be copied and short runs to normalize.
class Normalizer {
 public:
  explicit Normalizer(std::string_view text) : text_(text) { out_.reserve(text.size()); }

  std::string run() {
    std::size_t previous = 0;
    for (std::size_t at = 0; at < text_.size();) {
      const auto [c, end] = decode_code_point(text_, at);
      const bool low = c < kFirstThatMatters;
      if (low || !contains(tables::kNfcActive, c)) {
        if (changing_) flush(at);
        // Nothing in front combines with these, but what follows a low one may.
        previous = low ? at : end;
      } else if (!changing_) {
        flush(previous);
        changing_ = true;
      }
      at = end;
    }
    flush(text_.size());
    return std::move(out_);
  }

 private:
  void flush(std::size_t end) {
    if (end <= start_) return;
    const std::string_view piece = text_.substr(start_, end - start_);
    if (changing_) {
      append_normalized(out_, piece);
    } else {
      out_ += piece;
    }
    start_ = end;
    changing_ = false;
  }

  std::string_view text_;
  std::string out_;
  std::size_t start_ = 0;  // where what is not yet written begins
  bool changing_ = false;  // whether it holds anything from U+0300 on
};

}  // namespace

std::string normalize_nfc(std::string_view text) { return Normalizer(text).run(); }

}  // namespace pajamas::text
