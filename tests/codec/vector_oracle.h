// The smallest weighted error that a block of vectors can be stored with. Under a step s the error
// of a vector with entry e is sum w x^2 + s (s b - 2 a), with a = sum w x e and b = sum w e^2; the
// lower envelope of these lines over all entries says which one is best under any step. So every
// d that can be stored (around the right size), every scale under it and every entry is tried.
#pragma once

#include <algorithm>
#include <array>
#include <cmath>
#include <span>
#include <vector>

#include "codec/fitted.h"
#include "tensor/convert.h"

namespace pajamas::test {

// The best of many lines s b - 2 a for any s above 0.
class Envelope {
 public:
  struct Line {
    double a, b;
  };
  explicit Envelope(std::vector<Line> lines) {
    std::ranges::sort(lines, [](const Line& x, const Line& y) {
      return x.b != y.b ? x.b > y.b : x.a < y.a;  // of equal slopes the best one comes last
    });
    for (const Line& line : lines) {
      if (!kept_.empty() && kept_.back().b == line.b) pop();
      while (!kept_.empty() && meet(kept_.back(), line) <= from_.back()) pop();
      from_.push_back(kept_.empty() ? 0 : meet(kept_.back(), line));
      kept_.push_back(line);
    }
  }
  // Half of nothing: s (s b - 2 a).
  double error_at(double s) const {
    const auto at = std::ranges::upper_bound(from_, s) - from_.begin() - 1;
    const Line& line = kept_[static_cast<std::size_t>(std::max<std::ptrdiff_t>(at, 0))];
    return s * (s * line.b - 2 * line.a);
  }

 private:
  // From which s on the second, of smaller slope, is below the first.
  static double meet(const Line& first, const Line& second) {
    return std::max(0.0, 2 * (first.a - second.a) / (first.b - second.b));
  }
  void pop() {
    kept_.pop_back();
    from_.pop_back();
  }
  std::vector<Line> kept_;
  std::vector<double> from_;  // where each begins to be the best
};

class VectorOracle {
 public:
  VectorOracle(const codec::Grid& grid, std::span<const float> weights,
               std::span<const float> importance)
      : grid_(grid), x_(weights), w_(importance) {
    for (int v = 0; v < grid_.block / grid_.book.columns; ++v) add_vector(v);
  }

  double smallest_error() const {
    double zero = 0, top = 0;
    for (std::size_t i = 0; i < x_.size(); ++i) zero += double{w_[i]} * x_[i] * x_[i];
    for (int g = 0; g < grid_.groups(); ++g) top = std::max(top, ideal_step(g));
    const double first = top / grid_.max_scale / grid_.unit;  // of what is stored as F16
    double best = 0, best_half = 0;
    const auto consider = [&](double half) {
      const double error = block_error(half * grid_.unit);
      if (error < best) best_half = half;
      best = std::min(best, error);
    };
    constexpr int kSkip = 3;
    double half = stored(std::max(0.7 * first, 0x1p-24));
    for (; half < 2.2 * first + 0x1p-22; half = stored(half + kSkip * spacing(half))) {
      consider(half);
    }
    const double middle = best_half;
    for (int i = 1 - kSkip; i < kSkip && middle > 0; ++i) {
      const double near = stored(middle + i * spacing(middle));
      if (near > 0) consider(near);
    }
    return zero + best;
  }

 private:
  static double stored(double value) {
    return f16_to_float(float_to_f16(static_cast<float>(std::min(value, 65504.0))));
  }
  static double spacing(double half) {
    return std::max(std::ldexp(1.0, std::ilogb(half) - 10), 0x1p-24);
  }

  bool shifts() const { return grid_.book.signs == codec::Signs::kOfLevels; }
  bool pairs() const { return grid_.book.signs == codec::Signs::kEven && grid_.book.columns == 4; }
  int variants() const { return shifts() || pairs() ? 2 : 1; }

  bool is_odd(int first, int columns) const {
    int minuses = 0;
    for (int i = first; i < first + columns; ++i) minuses += x_[static_cast<std::size_t>(i)] < 0;
    return minuses % 2 != 0;
  }

  void add_vector(int v) {
    const codec::CodeBook& book = grid_.book;
    const int first = v * book.columns;
    for (int variant = 0; variant < variants(); ++variant) {
      const double shift = !shifts() ? 0 : variant == 0 ? 1 : -1;
      const bool wrong = book.signs == codec::Signs::kEven &&
                         (book.columns == 8 ? is_odd(first, 8) : variant == 1);
      std::vector<Envelope::Line> lines;
      for (std::size_t e = 0; e < book.entries.size(); ++e) {
        Envelope::Line line{0, 0};
        double least = INFINITY;
        for (int k = 0; k < book.columns; ++k) {
          const auto i = static_cast<std::size_t>(first + k);
          const double x = shifts() ? x_[i] : std::abs(double{x_[i]}),
                       code = book.level(e, k) + shift;
          line.a += w_[i] * x * code;
          line.b += w_[i] * code * code;
          least = std::min(least, w_[i] * x * code);
        }
        if (wrong) line.a -= 2 * least;
        lines.push_back(line);
      }
      vectors_.emplace_back(std::move(lines));
    }
  }

  double error_of(int vector, int variant, double s) const {
    return vectors_[static_cast<std::size_t>(vector * variants() + variant)].error_at(s);
  }

  // Less sum w x^2, as all errors here.
  double group_error(int g, double s) const {
    const int count = grid_.group / grid_.book.columns, first = g * count;
    double sums[2] = {0, 0}, each = 0;
    for (int v = first; v < first + count; ++v) {
      for (int variant = 0; variant < variants(); ++variant) {
        sums[variant] += error_of(v, variant, s);
      }
      if (variants() == 2) each += std::min(error_of(v, 0, s), error_of(v, 1, s));
      if (pairs() && v % 2 == 1 && is_odd((v - 1) * 4, 8)) {
        sums[0] += std::min(error_of(v - 1, 1, s) - error_of(v - 1, 0, s),
                            error_of(v, 1, s) - error_of(v, 0, s));
      }
    }
    if (!shifts()) return sums[0];
    return grid_.book.shifted == 8 ? each : std::min(sums[0], sums[1]);
  }

  double ideal_step(int g) const {
    double most = 0;
    for (int i = g * grid_.group; i < (g + 1) * grid_.group; ++i) {
      most = std::max(most, std::abs(double{x_[static_cast<std::size_t>(i)]}));
    }
    double best = 0, best_step = 0;
    const double least = shifts() ? grid_.max_code - 2 : grid_.book.levels.front();
    for (double s = 1.02 * most / least; s > 0.05 * most / grid_.max_code; s *= 0.99) {
      const double error = group_error(g, s);
      if (error < best) best_step = s;
      best = std::min(best, error);
    }
    return best_step;
  }

  double block_error(double d) const {
    double sum = 0;
    for (int g = 0; g < grid_.groups(); ++g) {
      double best = INFINITY;
      for (int scale = 1; scale <= grid_.max_scale; scale += 2) {
        best = std::min(best, group_error(g, d * scale));
      }
      sum += best;
    }
    return sum;
  }

  codec::Grid grid_;
  std::span<const float> x_, w_;
  std::vector<Envelope> vectors_;
};

// Codes -1, 0 and 1: the largest weights get one, however many; the best number of them is found by
// trying all.
inline double smallest_ternary_error(std::span<const float> x, std::span<const float> w) {
  std::vector<std::size_t> order(x.size());
  for (std::size_t i = 0; i < order.size(); ++i) order[i] = i;
  std::ranges::sort(order,
                    [&](std::size_t a, std::size_t b) { return std::abs(x[a]) > std::abs(x[b]); });
  double zero = 0, wx = 0, sum_w = 0, gain = 0, d = 0;
  for (const std::size_t i : order) {
    zero += double{w[i]} * x[i] * x[i];
    wx += double{w[i]} * std::abs(double{x[i]});
    sum_w += w[i];
    if (wx * wx / sum_w > gain) d = wx / sum_w;
    gain = std::max(gain, wx * wx / sum_w);
  }
  // d is stored as F16; under each of the nearest two every weight takes its nearest code.
  double best = zero;
  const std::uint16_t near = float_to_f16(static_cast<float>(std::min(d, 65504.0)));
  for (int away = -1; away <= 1; ++away) {
    if (near + away < 0) continue;
    const double half = f16_to_float(static_cast<std::uint16_t>(near + away));
    double error = 0;
    for (std::size_t i = 0; i < x.size(); ++i) {
      const double magnitude = std::abs(double{x[i]}), code = magnitude > half / 2 ? 1 : 0;
      error += w[i] * (magnitude - code * half) * (magnitude - code * half);
    }
    best = std::min(best, error);
  }
  return best;
}

}  // namespace pajamas::test
