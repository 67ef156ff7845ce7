// A slow search for the smallest weighted error that a block can be stored with. For formats with
// one scale a block it tries (nearly) every storable scale, or every power of two; for super-blocks
// a fine grid of d and m, and under each of them every scale of every group that is near its ideal
// one.
#pragma once

#include <algorithm>
#include <cmath>
#include <span>
#include <vector>

#include "codec/fitted.h"
#include "codec/sample_weights.h"
#include "codec/vector_oracle.h"
#include "tensor/convert.h"

namespace pajamas::test {

class Oracle {
 public:
  Oracle(const codec::Grid& grid, std::span<const float> weights, std::span<const float> importance)
      : grid_(grid), x_(weights), w_(importance) {}

  double smallest_error() {
    if (grid_.book.is_vectors()) return VectorOracle(grid_, x_, w_).smallest_error();
    if (grid_.max_code == 1) return smallest_ternary_error(x_, w_);
    if (grid_.scale_type == DType::kF8E8M0) return power_of_two();
    if (grid_.scale_type == DType::kF8E4M3) return e4m3();
    if (grid_.groups() == 1) return grid_.has_offset() ? affine() : symmetric();
    return super_block();
  }

  // Of the columns of one group, with the nearest codes.
  double error_at(int group, double step, double offset) const {
    const double inverse = step == 0 ? 0 : 1 / step;
    const int first = group * grid_.group;
    double sum = 0;
    for (int i = first; i < first + grid_.group; ++i) {
      const double q = nearest((at(x_, i) - offset) * inverse);
      const double error = at(x_, i) - (step * q + offset);  // in this order: weights may be tiny
      sum += at(w_, i) * error * error;
    }
    return sum;
  }

 private:
  static double at(std::span<const float> values, int i) {
    return values[static_cast<std::size_t>(i)];
  }
  double nearest(double ratio) const {
    if (!grid_.book.empty()) {
      double best = grid_.book.levels[0];
      for (const double code : grid_.book.levels) {
        if (std::abs(ratio - code) < std::abs(ratio - best)) best = code;
      }
      return best;
    }
    const double q = std::min(std::max(ratio, double(grid_.min_code)), double(grid_.max_code));
    return (q + 0x1.8p52) - 0x1.8p52;
  }

  double stored(double value) const {
    const auto v = static_cast<float>(std::min(std::max(value, -3e38), 3e38));
    if (grid_.scale_type == DType::kF32) return v;
    if (grid_.scale_type == DType::kBF16) return bf16_to_float(float_to_bf16(v));
    return f16_to_float(float_to_f16(std::min(std::max(v, -65504.0f), 65504.0f)));
  }
  // The distance to the next storable value, at least.
  double spacing(double value) const {
    if (value == 0) return grid_.scale_type == DType::kBF16 ? 0x1p-133 : 0x1p-24;
    if (grid_.scale_type == DType::kBF16)
      return std::max(std::ldexp(1.0, std::ilogb(value) - 7), 0x1p-133);
    return std::max(std::ldexp(1.0, std::ilogb(value) - 10), 0x1p-24);
  }

  // Every exponent under which all codes are finite.
  double power_of_two() const {
    double best = INFINITY;
    for (int e = -128; e <= 124; ++e) best = std::min(best, error_at(0, std::ldexp(1.0, e), 0));
    return best;
  }

  // Every number that is a scale.
  double e4m3() const {
    double best = INFINITY;
    for (std::uint8_t scale = 0; scale < 127; ++scale) {
      best = std::min(best, error_at(0, double{e4m3_to_float(scale)} * grid_.unit, 0));
    }
    return best;
  }

  double symmetric() const {
    double best = error_at(0, 0, 0), most = 0;
    for (const float x : x_) most = std::max(most, std::abs(double{x}));
    if (most == 0) return best;
    const double top = stored(1.6 * most / -grid_.min_code + spacing(0));
    for (double d = top; d > 0.4 * top / 1.6; d = stored(d - spacing(d))) {
      best = std::min({best, error_at(0, d, 0), error_at(0, -d, 0)});
    }
    return best;
  }

  // The offset that suits a step best under the codes that a first offset gives.
  double refitted(int group, double step, double offset) const {
    const double inverse = step == 0 ? 0 : 1 / step;
    const int first = group * grid_.group;
    double sum = 0, total = 0;
    for (int i = first; i < first + grid_.group; ++i) {
      const double q = nearest((at(x_, i) - offset) * inverse);
      sum += at(w_, i) * (at(x_, i) - step * q);
      total += at(w_, i);
    }
    return sum / total;
  }

  double best_for_step(double step, double low, double high) const {
    const double other = high - step * grid_.max_code;
    const double from = std::min(low, other) - step / 2, to = std::max(low, other) + step / 2;
    const int starts = 8 + static_cast<int>(std::min(40.0, 4 * (to - from) / step));
    double best = INFINITY;
    for (int i = 0; i <= starts; ++i) {
      const double offset = stored(refitted(0, step, from + (to - from) * i / starts));
      best = std::min(best, error_at(0, step, offset));
    }
    return best;
  }

  double affine() const {
    const auto [low, high] = std::minmax_element(x_.begin(), x_.end());
    double best = error_at(0, 0, stored(refitted(0, 0, 0)));
    const double range = double{*high} - *low;
    if (range == 0) return best;
    // Storable steps, a few skipped where they are dense; then those around the best.
    const double widest = 1.15 * range / grid_.max_code;
    const double top = stored(widest + spacing(widest));
    const int skip = grid_.scale_type == DType::kF16 ? 8 : 1;
    double best_step = 0;
    for (double d = top; d > 0.25 * widest; d = stored(d - skip * spacing(d))) {
      const double error = best_for_step(d, *low, *high);
      if (error < best) best_step = d;
      best = std::min(best, error);
    }
    for (int i = 1 - skip; i < skip && best_step > 0; ++i) {
      const double d = stored(best_step + i * spacing(best_step));
      best = std::min(best, d > 0 ? best_for_step(d, *low, *high) : best);
    }
    return best;
  }

  // The step (and offset) of a group on its own: the middle of what is tried for it.
  struct Ideal {
    double step = 0, offset = 0;
  };
  Ideal ideal_of(int group) const {
    double low = 0, high = 0;
    for (int i = group * grid_.group; i < (group + 1) * grid_.group; ++i) {
      low = std::min(low, at(x_, i));
      high = std::max(high, at(x_, i));
    }
    Ideal best;
    double least = INFINITY;
    const double most = std::max(high, -low);
    for (int i = 0; i < 60; ++i) {
      const double shrink = 1.1 - 0.01 * i;
      for (const double sign : {1.0, -1.0}) {
        const bool offset = grid_.has_offset();
        const double step =
            sign * shrink * (offset ? (high - low) / grid_.max_code : most / -grid_.min_code);
        if (offset && sign < 0) continue;
        const double m = offset ? std::min(0.0, refitted(group, step, low * shrink)) : 0.0;
        const double error = error_at(group, step, m);
        if (error < least) best = {step, m};
        least = std::min(least, error);
      }
    }
    return best;
  }

  // Every stored scale within a quarter of the ideal one, and under each the best minimums.
  double group_error(int group, const Ideal& ideal, double d, double m) const {
    double best = INFINITY;
    const double middle = d == 0 ? 0 : ideal.step / d;
    const double reach = std::max(2.0, std::abs(middle) / 4);
    const int from = std::max(grid_.min_scale, static_cast<int>(std::floor(middle - reach)));
    const int to = std::min(grid_.max_scale, static_cast<int>(std::ceil(middle + reach)));
    for (int scale = from; scale <= to; ++scale) {
      const double step = d * scale;
      if (!grid_.has_offset()) {
        best = std::min(best, error_at(group, step, 0));
        continue;
      }
      const double free = refitted(group, step, ideal.offset);
      const int code = m == 0 ? 0 : static_cast<int>(std::lround(std::max(0.0, free / m)));
      for (int min = std::max(0, code - 1); min <= std::min(grid_.max_min, code + 1); ++min) {
        best = std::min(best, error_at(group, step, m * min));
      }
    }
    return best;
  }

  double block_error(const std::vector<Ideal>& ideal, double d, double m, double enough) const {
    double sum = 0;
    for (int g = 0; g < grid_.groups() && sum < enough; ++g) {
      sum += group_error(g, ideal[static_cast<std::size_t>(g)], d, m);
    }
    return sum;
  }

  double super_block() const {
    std::vector<Ideal> ideal;
    double step = 0, offset = 0;
    for (int g = 0; g < grid_.groups(); ++g) {
      ideal.push_back(ideal_of(g));
      if (std::abs(ideal.back().step) > std::abs(step)) step = ideal.back().step;
      offset = std::min(offset, ideal.back().offset);
    }
    const bool two = grid_.has_offset();
    const double d0 = step / (two ? grid_.max_scale : grid_.min_scale);
    const double m0 = two ? offset / grid_.max_min : 0;
    double best = block_error(ideal, 0, 0, INFINITY), best_d = 0, best_m = 0;
    const auto consider = [&](double d, double m) {
      const double error = block_error(ideal, d, m, best);
      if (error < best) best_d = d, best_m = m;
      best = std::min(best, error);
    };
    for (int i = -8; i <= 8; ++i) {
      for (int j = two ? -4 : 0; j <= (two ? 4 : 0); ++j) {
        consider(stored(d0 * (1 + 0.012 * i)), stored(m0 * (1 + 0.02 * j)));
      }
    }
    for (int round = 0; round < 2; ++round) {
      const double d = best_d, m = best_m;
      for (int i = -12; i <= 12; ++i) {
        if (d != 0) consider(stored(d + i * spacing(d)), m);
        if (m != 0 && i % 2 == 0) consider(best_d, stored(m + i * spacing(m)));
      }
    }
    return best;
  }

  codec::Grid grid_;
  std::span<const float> x_, w_;
};

// Blocks of all kinds: mostly random ones, some with heavy tails, some with one outlier, and a
// tenth that is zero, constant, denormal, tiny or sparse. Every other one has unequal importance.
struct OracleBlock {
  std::vector<float> weights, importance;
};
inline OracleBlock oracle_block(int index, int columns) {
  Uniform uniform(static_cast<std::uint64_t>(index) + 1000);
  const int kind = index % 10, special = index / 10 % 5;
  OracleBlock block;
  for (int i = 0; i < columns; ++i) {
    double w = 0;
    for (int k = 0; k < 12; ++k) w += uniform.next();
    w = (w - 6.0) * 0.03;
    const double u = uniform.next();
    if (kind >= 4 && kind < 7) w /= std::sqrt(0.05 + u);
    if (kind >= 7 && i % 32 == index % 32) w *= 12;
    if (kind == 9) {
      if (special == 0) w = 0;
      if (special == 1) w = 0.0371;
      if (special == 2) w *= 1e-38;
      if (special == 3) w *= 1e-5;
      if (special == 4 && u < 0.85) w = 0;
    }
    block.weights.push_back(static_cast<float>(w));
    block.importance.push_back(index % 2 ? static_cast<float>(std::exp(3 * uniform.next())) : 1.0f);
  }
  return block;
}

}  // namespace pajamas::test
