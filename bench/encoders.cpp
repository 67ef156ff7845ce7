// Speed of one core, and error beside the stock quantizers, of every encoder:
//   build/release/bench/encoders [--kernels NAME] [TYPE...]
// The stock errors are those that tests/codec/data/make_peers.py measured on the same weights.
#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <cmath>
#include <fstream>
#include <map>
#include <string>
#include <tuple>
#include <utility>
#include <vector>

#include "codec/sample_weights.h"
#include "kernels/table.h"
#include "paths.h"

namespace {

using namespace pajamas;

constexpr const char* kKinds[] = {"gauss", "heavy", "outlier"};
using StockErrors = std::map<std::tuple<std::string, int, int, std::string>, double>;

StockErrors read_stock_errors() {
  std::ifstream in(source_dir() + "/tests/codec/data/stock_rmse.txt");
  StockErrors errors;
  std::string type, kind;
  int bits = 0, group = 0;
  double error = 0;
  while (in >> type >> bits >> group >> kind >> error) errors[{type, bits, group, kind}] = error;
  return errors;
}

double relative_error(const std::vector<float>& weights, const std::vector<float>& out) {
  double error = 0, total = 0;
  for (std::size_t i = 0; i < weights.size(); ++i) {
    error += (double{out[i]} - weights[i]) * (double{out[i]} - weights[i]);
    total += double{weights[i]} * weights[i];
  }
  return 100 * std::sqrt(error / total);
}

// Best of five, in millions of weights a second.
template <class Action>
double speed(std::size_t weights, const Action& action) {
  double best = 0;
  for (int i = 0; i < 5; ++i) {
    const auto start = std::chrono::steady_clock::now();
    action();
    const std::chrono::duration<double> time = std::chrono::steady_clock::now() - start;
    best = std::max(best, static_cast<double>(weights) / time.count() / 1e6);
  }
  return best;
}

void report(const kernels::KernelTable& table, const Encoding& encoding, const StockErrors& stock) {
  std::string errors;
  double encode_speed = 0, decode_speed = 0;
  for (const char* kind : kKinds) {
    const std::vector<float> weights = test::sample_weights(kind);
    test::Stored stored(encoding, test::kSampleRows, test::kSampleCols);
    std::vector<float> out(weights.size());
    encode_speed =
        std::max(encode_speed, speed(weights.size(), [&] {
                   table.encode_rows(encoding, weights, {}, test::kSampleCols, stored.planes());
                 }));
    decode_speed = std::max(decode_speed, speed(weights.size(), [&] {
                              table.decode_rows(encoding, std::as_const(stored).planes(),
                                                test::kSampleCols, out);
                            }));
    const double ours = relative_error(weights, out);
    const bool small = std::ranges::count(kSmallFloats, encoding) != 0;
    const bool sized = small || encoding.is_affine();
    const std::string type(small ? encoding.name() : std::string(info(encoding.dtype).name));
    const double theirs =
        stock.at({type, sized ? encoding.bits : 0, sized ? encoding.group_size : 0, kind});
    errors += fmt::format("  {:8.4f} {:8.4f} {:6.3f}", theirs, ours, ours / theirs);
  }
  fmt::print("{:<16} {:8.2f} {:8.0f}{}\n", test::full_name(encoding), encode_speed, decode_speed,
             errors);
}

}  // namespace

int main(int argc, char** argv) {
  std::vector<std::string> wanted(argv + 1, argv + argc);
  const kernels::KernelTable* table = &kernels::best_kernels();
  if (wanted.size() >= 2 && wanted[0] == "--kernels") {
    table = &kernels::kernels_by_name(wanted[1]);
    wanted.erase(wanted.begin(), wanted.begin() + 2);
  }
  fmt::print("kernels: {}, one thread; error in % of the weights, stock / ours / ratio\n",
             table->name);
  fmt::print("{:<16} {:>8} {:>8}", "type", "enc M/s", "dec M/s");
  for (const char* kind : kKinds) fmt::print("  {:^24}", kind);
  fmt::print("\n");
  const StockErrors stock = read_stock_errors();
  for (const Encoding& encoding : test::block_encodings()) {
    const std::string name = test::full_name(encoding);
    bool selected = wanted.empty();
    for (const std::string& prefix : wanted) selected |= name.starts_with(prefix);
    if (selected) report(*table, encoding, stock);
  }
}
