#include "eval/kept_distribution.h"

#include <algorithm>
#include <cmath>
#include <numeric>
#include <vector>

#include "base/bytes.h"
#include "base/error.h"
#include "base/splitmix.h"

namespace pajamas::eval {
namespace {

constexpr std::uint64_t kFixedBytes = 2 * sizeof(float);  // ln p(next), mass of the tail
constexpr double kNoTail = 1e-30;                         // less than this counts as nothing
constexpr double kMostLogRatio = 200;
constexpr float kCodedRange = 16;  // nats below the likeliest token
constexpr float kMostCode = 65535;
constexpr std::uint64_t kCodesAt = 2 * sizeof(float);

[[noreturn]] void bad_kept(const char* what) {
  throw Error(ErrorCode::kCorruptFile, std::string("a kept distribution has ") + what);
}

void store_id(std::byte* to, std::uint32_t id, std::uint64_t bytes) {
  std::memcpy(to, &id, bytes);  // little-endian
}

std::uint32_t load_id(const std::byte* from, std::uint64_t bytes) {
  std::uint32_t id = 0;
  std::memcpy(&id, from, bytes);
  return id;
}

// In [0, 1), well mixed.
double fraction(std::uint64_t draw) { return unit_interval(split_mix(draw + kSplitMixStep)); }

// The likeliest first, equal ones by their ids: an order without ties, so that what is kept does
// not depend on how a library sorts.
struct Likelier {
  std::span<const float> logits;
  bool operator()(std::uint32_t a, std::uint32_t b) const {
    return logits[a] != logits[b] ? logits[a] > logits[b] : a < b;
  }
};

std::vector<std::uint32_t> likeliest(std::span<const float> logits, std::size_t count) {
  std::vector<std::uint32_t> ids(logits.size());
  std::iota(ids.begin(), ids.end(), 0u);
  const auto end = ids.begin() + static_cast<std::ptrdiff_t>(count);
  if (count < ids.size()) std::nth_element(ids.begin(), end, ids.end(), Likelier{logits});
  std::sort(ids.begin(), end, Likelier{logits});
  ids.resize(count);
  return ids;
}

// Tokens and their log-probabilities, one array behind the other.
struct Entries {
  std::span<const std::byte> bytes;
  std::uint64_t count;
  std::uint64_t id_bytes;

  std::uint32_t id(std::uint64_t i) const { return load_id(bytes.data() + i * id_bytes, id_bytes); }
  double log_p(std::uint64_t i) const {
    const auto value = load_le<float>(bytes.data() + count * id_bytes + i * sizeof(float));
    if (!std::isfinite(value) || value > 1e-3f) bad_kept("a log-probability that is none");
    return static_cast<double>(value);
  }
};

class EntryWriter {
 public:
  EntryWriter(std::byte* at, std::uint64_t count, std::uint64_t id_bytes)
      : at_(at), count_(count), id_bytes_(id_bytes) {}
  void add(std::uint32_t id, double log_p) {
    PJ_CHECK(used_ < count_);
    store_id(at_ + used_ * id_bytes_, id, id_bytes_);
    store_le(at_ + count_ * id_bytes_ + used_ * sizeof(float), static_cast<float>(log_p));
    ++used_;
  }
  std::uint64_t used() const { return used_; }

 private:
  std::byte* at_;
  std::uint64_t count_;
  std::uint64_t id_bytes_;
  std::uint64_t used_ = 0;
};

double tail_mass(std::span<const float> logits, double total, const Likelier& order,
                 std::uint32_t last) {
  double mass = 0;
  for (std::uint32_t i = 0; i < logits.size(); ++i) {
    if (order(last, i)) mass += std::exp(static_cast<double>(logits[i]) - total);
  }
  return mass;
}

}  // namespace

CompactShape CompactShape::of(std::uint32_t vocab) {
  CompactShape shape{vocab, 0, 0};
  constexpr std::uint64_t kLeast = 8;
  const double room = 0.0098 * sizeof(float) * vocab - 2 * sizeof(std::int32_t) - kFixedBytes;
  const double entries = room / static_cast<double>(shape.id_bytes() + sizeof(float));
  const auto count = std::max(static_cast<std::uint64_t>(std::max(entries, 0.0)), kLeast);
  shape.samples = static_cast<std::uint32_t>(count < vocab ? count / 4 : 0);
  shape.top = static_cast<std::uint32_t>(std::min<std::uint64_t>(count - shape.samples, vocab));
  return shape;
}

std::uint64_t CompactShape::id_bytes() const noexcept {
  if (vocab <= 1u << 16) return 2;
  return vocab <= 1u << 24 ? 3 : 4;
}

std::uint64_t CompactShape::bytes() const noexcept {
  return kFixedBytes + (std::uint64_t{top} + samples) * (id_bytes() + sizeof(float));
}

void keep_compact(const CompactShape& shape, std::span<const float> logits, std::int32_t next,
                  std::uint64_t draw, std::span<std::byte> out) {
  PJ_CHECK(logits.size() == shape.vocab && out.size() == shape.bytes());
  std::ranges::fill(out, std::byte{0});
  const double total = log_total(logits);
  const auto log_p = [&](std::size_t i) { return static_cast<double>(logits[i]) - total; };
  const std::vector<std::uint32_t> top = likeliest(logits, shape.top);
  const Likelier order{logits};
  const double tail = tail_mass(logits, total, order, top.back());
  store_le(out.data(), static_cast<float>(log_p(static_cast<std::size_t>(next))));
  store_le(out.data() + sizeof(float), static_cast<float>(tail > kNoTail ? tail : 0));
  const std::uint64_t id_bytes = shape.id_bytes();
  std::byte* at = out.data() + kFixedBytes;
  EntryWriter head(at, shape.top, id_bytes);
  for (const std::uint32_t id : top) head.add(id, log_p(id));
  if (shape.samples == 0 || tail <= kNoTail) return;
  at += shape.top * (id_bytes + sizeof(float));
  EntryWriter samples(at, shape.samples, id_bytes);
  // At equal distances along the tail's mass, in the order of ids.
  const double step = tail / shape.samples;
  const double shift = fraction(draw);
  double mass = 0;
  std::uint32_t last = 0;
  for (std::uint32_t i = 0; i < logits.size(); ++i) {
    if (!order(top.back(), i)) continue;
    const double p = std::exp(log_p(i));
    mass += p;
    if (p > 0) last = i;
    while (samples.used() < shape.samples &&
           (static_cast<double>(samples.used()) + shift) * step < mass) {
      samples.add(i, log_p(i));
    }
  }
  while (samples.used() < shape.samples) samples.add(last, log_p(last));  // lost to rounding
}

PositionScore score_compact(const CompactShape& shape, std::span<const std::byte> kept,
                            std::span<const float> logits, std::int32_t next) {
  PJ_CHECK(logits.size() == shape.vocab && kept.size() == shape.bytes() && shape.top > 0);
  const double total = log_total(logits);
  const auto log_q = [&](std::uint32_t id) {
    if (id >= logits.size()) bad_kept("a token beyond the vocabulary");
    return static_cast<double>(logits[id]) - total;
  };
  PositionScore score;
  score.nll = -log_q(static_cast<std::uint32_t>(next));
  const auto next_log_p = load_le<float>(kept.data());
  const auto tail = static_cast<double>(load_le<float>(kept.data() + sizeof(float)));
  if (!std::isfinite(next_log_p) || next_log_p > 1e-3f || !(tail >= 0 && tail < 1.001)) {
    bad_kept("a probability that is none");
  }
  score.reference_nll = -static_cast<double>(next_log_p);
  const std::uint64_t id_bytes = shape.id_bytes();
  const Entries head{kept.subspan(kFixedBytes), shape.top, id_bytes};
  double covered = 0;
  for (std::uint64_t i = 0; i < shape.top; ++i) {
    const double log_p = head.log_p(i);
    const double other = log_q(head.id(i));
    score.kl += std::exp(log_p) * (log_p - other);
    covered += std::exp(other);
  }
  score.same_top = top_of(logits) == head.id(0);
  if (tail <= 0 || shape.top >= shape.vocab) return score;
  const double tail_q = std::max(1 - covered, kNoTail);
  score.kl += tail * std::log(tail / tail_q);
  if (shape.samples == 0) return score;
  const Entries samples{kept.subspan(kFixedBytes + shape.top * (id_bytes + sizeof(float))),
                        shape.samples, id_bytes};
  double sum = 0;
  double squares = 0;
  for (std::uint64_t i = 0; i < shape.samples; ++i) {
    // A token that was drawn by its probability is never so far off; a damaged file may be.
    const double log_r = std::min(
        log_q(samples.id(i)) - std::log(tail_q) - samples.log_p(i) + std::log(tail), kMostLogRatio);
    const double term = std::exp(log_r) - 1 - log_r;
    sum += term;
    squares += term * term;
  }
  const auto count = static_cast<double>(shape.samples);
  const double mean = sum / count;
  score.kl += tail * mean;
  if (shape.samples > 1) {
    const double variance = std::max(squares / count - mean * mean, 0.0);
    score.kl_variance = tail * tail * variance / (count - 1);
  }
  return score;
}

std::uint64_t coded_bytes(std::uint32_t vocab) noexcept {
  const std::uint64_t even = (std::uint64_t{vocab} + 1) / 2 * 2;
  return kCodesAt + even * sizeof(std::uint16_t);
}

void keep_coded(std::span<const float> logits, std::span<std::byte> out) {
  PJ_CHECK(out.size() == coded_bytes(static_cast<std::uint32_t>(logits.size())));
  std::ranges::fill(out, std::byte{0});
  const double total = log_total(logits);
  const auto [least, most] = std::ranges::minmax(logits);
  const float floor = std::max(least, most - kCodedRange);
  const float scale = (most - floor) / kMostCode;
  store_le(out.data(), scale);
  store_le(out.data() + sizeof(float), static_cast<float>(static_cast<double>(floor) - total));
  if (scale <= 0) return;
  for (std::size_t i = 0; i < logits.size(); ++i) {
    const float code = std::clamp((logits[i] - floor) / scale, 0.0f, kMostCode);
    store_le(out.data() + kCodesAt + i * sizeof(std::uint16_t),
             static_cast<std::uint16_t>(std::lrint(code)));
  }
}

PositionScore score_coded(std::span<const std::byte> kept, std::span<const float> logits,
                          std::int32_t next) {
  PJ_CHECK(kept.size() == coded_bytes(static_cast<std::uint32_t>(logits.size())));
  const auto scale = static_cast<double>(load_le<float>(kept.data()));
  const auto least = static_cast<double>(load_le<float>(kept.data() + sizeof(float)));
  if (!std::isfinite(scale) || scale < 0 || !std::isfinite(least) || scale * 65535 + least > 1e-2) {
    bad_kept("a scale that gives no probabilities");
  }
  const auto code = [&](std::size_t i) {
    return load_le<std::uint16_t>(kept.data() + kCodesAt + i * sizeof(std::uint16_t));
  };
  const double total = log_total(logits);
  PositionScore score;
  const auto at = static_cast<std::size_t>(next);
  score.nll = total - static_cast<double>(logits[at]);
  score.reference_nll = -(scale * code(at) + least);
  std::uint16_t best = 0;
  std::uint32_t top = 0;
  for (std::size_t i = 0; i < logits.size(); ++i) {
    const std::uint16_t value = code(i);
    if (value > best) {
      best = value;
      top = static_cast<std::uint32_t>(i);
    }
    const double log_p = scale * value + least;
    if (log_p <= -static_cast<double>(kCodedRange)) continue;
    score.kl += std::exp(log_p) * (log_p - static_cast<double>(logits[i]) + total);
  }
  score.same_top = top == top_of(logits);
  return score;
}

}  // namespace pajamas::eval
