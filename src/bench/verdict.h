// Which of several models is better at something, and whether that is more than noise.
#pragma once

#include <cstddef>
#include <optional>
#include <span>
#include <string>
#include <vector>

namespace pajamas::bench {

enum class Better { kMore, kLess };

// The best against the second best.
struct Verdict {
  std::string metric;
  std::size_t best = 0, second = 0;  // numbers of the models
  bool beyond_noise = false;         // otherwise there is no winner
  double ratio = 1;                  // how many times better the best is
  double low = 1, high = 1;          // its 95 % interval; equal to it where nothing is noisy
};

// Figures that are what they are, such as sizes. At least two, all above 0.
Verdict judge_exact(std::string metric, Better better, std::span<const double> figures);

// Samples of each model, [model][round], all above 0: those of one round were taken together, so
// that they are compared in pairs. At least two models and two rounds. The interval is Student's,
// of the mean logarithm of the ratio.
Verdict judge_rounds(std::string metric, Better better,
                     std::span<const std::vector<double>> samples);

// Logarithms with their standard errors, each against one of the models (which has 0 and 0). The
// errors of two others are taken to be independent, which is more than they are.
struct LogFigure {
  double value = 0;
  double error = 0;
};
Verdict judge_logs(std::string metric, Better better, std::span<const LogFigure> figures);

// "2.1x faster (2.0..2.2)", "no difference beyond noise (1.02, 0.99..1.05)". `word`: "faster".
std::string verdict_text(const Verdict& verdict, const std::string& word);

}  // namespace pajamas::bench
