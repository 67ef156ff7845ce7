#include "bench/verdict.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <numeric>
#include <utility>

#include "base/error.h"

namespace pajamas::bench {
namespace {

// 97.5 % points of Student's distribution for 1, 2, ... degrees of freedom.
constexpr std::array kStudent{12.706, 4.303, 3.182, 2.776, 2.571, 2.447, 2.365, 2.306,
                              2.262,  2.228, 2.201, 2.179, 2.160, 2.145, 2.131, 2.120,
                              2.110,  2.101, 2.093, 2.086, 2.080, 2.074, 2.069, 2.064,
                              2.060,  2.056, 2.052, 2.048, 2.045, 2.042};
constexpr double kNormal = 1.96;

// The two best of the models by their logarithms.
std::pair<std::size_t, std::size_t> two_best(Better better, std::span<const double> logs) {
  PJ_CHECK(logs.size() >= 2);
  std::vector<std::size_t> order(logs.size());
  std::iota(order.begin(), order.end(), std::size_t{0});
  std::ranges::stable_sort(order, [&](std::size_t a, std::size_t b) {
    return better == Better::kMore ? logs[a] > logs[b] : logs[a] < logs[b];
  });
  return {order[0], order[1]};
}

Verdict verdict_of(std::string metric, std::pair<std::size_t, std::size_t> models, double log_ratio,
                   double half_width) {
  Verdict verdict;
  verdict.metric = std::move(metric);
  std::tie(verdict.best, verdict.second) = models;
  verdict.ratio = std::exp(log_ratio);
  verdict.low = std::exp(log_ratio - half_width);
  verdict.high = std::exp(log_ratio + half_width);
  verdict.beyond_noise = verdict.low > 1;
  return verdict;
}

}  // namespace

Verdict judge_exact(std::string metric, Better better, std::span<const double> figures) {
  std::vector<LogFigure> logs;
  for (const double figure : figures) logs.push_back({std::log(figure), 0});
  return judge_logs(std::move(metric), better, logs);
}

Verdict judge_logs(std::string metric, Better better, std::span<const LogFigure> figures) {
  std::vector<double> values;
  for (const LogFigure& figure : figures) values.push_back(figure.value);
  const auto models = two_best(better, values);
  const LogFigure& best = figures[models.first];
  const LogFigure& second = figures[models.second];
  return verdict_of(std::move(metric), models, std::abs(best.value - second.value),
                    kNormal * std::hypot(best.error, second.error));
}

Verdict judge_rounds(std::string metric, Better better,
                     std::span<const std::vector<double>> samples) {
  const std::size_t rounds = samples.front().size();
  PJ_CHECK(rounds >= 2);
  std::vector<double> means;
  for (const std::vector<double>& of_model : samples) {
    PJ_CHECK(of_model.size() == rounds);
    double sum = 0;
    for (const double sample : of_model) sum += std::log(sample);
    means.push_back(sum / static_cast<double>(rounds));
  }
  const auto models = two_best(better, means);
  const double sign = better == Better::kMore ? 1 : -1;
  const double mean = sign * (means[models.first] - means[models.second]);
  double squares = 0;
  for (std::size_t i = 0; i < rounds; ++i) {
    const double log_ratio = sign * std::log(samples[models.first][i] / samples[models.second][i]);
    squares += (log_ratio - mean) * (log_ratio - mean);
  }
  const auto count = static_cast<double>(rounds);
  const double error = std::sqrt(squares / (count - 1) / count);
  const double width = kStudent[std::min(rounds - 1, kStudent.size()) - 1] * error;
  return verdict_of(std::move(metric), models, mean, width);
}

std::string verdict_text(const Verdict& verdict, const std::string& word) {
  // Two decimals where one would hide the difference.
  const auto number = [](double ratio) {
    return ratio < 1.95 ? fmt::format("{:.3g}", ratio) : fmt::format("{:.1f}", ratio);
  };
  const bool exact = verdict.low == verdict.high;
  if (!verdict.beyond_noise) {
    if (exact) return "no difference";
    return fmt::format("no difference beyond noise ({}x, {}..{})", number(verdict.ratio),
                       number(verdict.low), number(verdict.high));
  }
  if (exact) return fmt::format("{}x {}", number(verdict.ratio), word);
  return fmt::format("{}x {} ({}..{})", number(verdict.ratio), word, number(verdict.low),
                     number(verdict.high));
}

}  // namespace pajamas::bench
