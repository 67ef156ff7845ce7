#include "bench/samples.h"

#include <algorithm>
#include <vector>

#include "base/error.h"

namespace pajamas::bench {

Spread spread_of(std::span<const double> samples) {
  PJ_CHECK(!samples.empty());
  std::vector<double> sorted(samples.begin(), samples.end());
  std::ranges::sort(sorted);
  const std::size_t middle = sorted.size() / 2;
  const double median =
      sorted.size() % 2 == 1 ? sorted[middle] : (sorted[middle - 1] + sorted[middle]) / 2;
  return {median, sorted.front(), sorted.back()};
}

Spread rates_of(double amount, std::span<const double> seconds) {
  std::vector<double> rates;
  // A clock may not have moved; the smallest step of one is far above this.
  for (const double each : seconds) rates.push_back(amount / std::max(each, 1e-9));
  return spread_of(rates);
}

}  // namespace pajamas::bench
