// Repeated measurements, and what is told of them.
#pragma once

#include <span>

namespace pajamas::bench {

// Of several samples: the middle one (of an even number the mean of the two in the middle), the
// least and the greatest.
struct Spread {
  double median = 0;
  double low = 0;
  double high = 0;
};

// At least one sample.
Spread spread_of(std::span<const double> samples);

// `amount` a second for each of so many `seconds`: the spread of the rates.
Spread rates_of(double amount, std::span<const double> seconds);

}  // namespace pajamas::bench
