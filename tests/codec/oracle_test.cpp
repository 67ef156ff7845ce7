// How near the encoders come to the smallest error there is. data/oracle_errors.txt holds what the
// oracle finds for 1,000 blocks a type, oracle_errors_held_out.txt for as many that no setting was
// chosen on, of MLX; it takes minutes, so a test checks a few of them anew:
//   test_codec --gtest_also_run_disabled_tests --gtest_filter='*WriteTheErrors*'
#include "codec/oracle.h"

#include <fmt/format.h>
#include <gtest/gtest.h>

#include <fstream>
#include <map>

#include "paths.h"

namespace pajamas::codec {
namespace {

constexpr int kBlocks = 1000;
constexpr int kFirstHeldOut = 10000;
// Of the squared weights: what a scale's own rounding to F16 costs, and a little.
constexpr double kExact = 1e-7;
const std::string kFile = source_dir() + "/tests/codec/data/oracle_errors.txt";
const std::string kHeldOutFile = source_dir() + "/tests/codec/data/oracle_errors_held_out.txt";

std::vector<Encoding> oracle_encodings() {
  std::vector<Encoding> all;
  for (const DType dtype :
       {DType::kQ4_0,  DType::kQ4_1,   DType::kQ5_0,    DType::kQ5_1,  DType::kQ8_0,
        DType::kQ2_K,  DType::kQ3_K,   DType::kQ4_K,    DType::kQ5_K,  DType::kQ6_K,
        DType::kMXFP4, DType::kIQ4_NL, DType::kIQ4_XS,  DType::kIQ3_S, DType::kIQ3_XXS,
        DType::kIQ2_S, DType::kIQ2_XS, DType::kIQ2_XXS, DType::kIQ1_M, DType::kIQ1_S,
        DType::kTQ1_0, DType::kTQ2_0}) {
    all.push_back({dtype});
  }
  for (const int bits : {2, 3, 4, 5, 6, 8}) all.push_back(Encoding::affine(bits, 64, DType::kBF16));
  all.push_back(Encoding::nvfp4());
  return all;
}

// By how much the fast encoder's error may exceed the oracle's on average (root mean square); the
// reasons are in docs/encoders.md.
double allowed_excess(const Encoding& encoding) {
  if (encoding.is_affine()) return 0.005;
  switch (encoding.dtype) {
    case DType::kQ5_0:
    case DType::kQ5_1:
      return 0.0025;
    case DType::kQ4_1:
    case DType::kQ2_K:
    case DType::kQ4_K:
      return 0.0035;
    default:
      return 0.005;
  }
}

double energy(const test::OracleBlock& block) {
  double sum = 0;
  for (std::size_t i = 0; i < block.weights.size(); ++i) {
    sum += double{block.importance[i]} * block.weights[i] * block.weights[i];
  }
  return sum;
}

double fast_error(const Encoding& encoding, const test::OracleBlock& block) {
  const Grid grid = grid_of(encoding);
  FittedBlock fitted;
  fitted.scales[0] = fitted.mins[0] = 1;
  fit(encoding, block.weights, block.importance, {&fitted, 1});
  round(encoding, block.weights, block.importance, {&fitted, 1});
  double sum = 0;
  for (int i = 0; i < grid.block; ++i) {
    const int group = i / grid.group;
    const auto at = static_cast<std::size_t>(i);
    const double x = double{fitted.step(group)} * fitted.codes[i] +
                     (grid.has_offset() ? double{fitted.offset(group)} : 0.0);
    sum += block.importance[at] * (x - block.weights[at]) * (x - block.weights[at]);
  }
  return sum;
}

double oracle_error(const Encoding& encoding, const test::OracleBlock& block) {
  return test::Oracle(grid_of(encoding), block.weights, block.importance).smallest_error();
}

std::map<std::string, std::vector<double>> read_errors(const std::string& file = kFile) {
  std::map<std::string, std::vector<double>> errors;
  std::ifstream in(file);
  std::string name;
  double error = 0;
  while (in >> name) {
    for (int i = 0; i < kBlocks && in >> error; ++i) errors[name].push_back(error);
  }
  return errors;
}

// Blocks first, first + 1, ... beside what the oracle found for them.
void expect_near(const Encoding& encoding, int first, const std::vector<double>& best) {
  ASSERT_EQ(best.size(), std::size_t{kBlocks}) << encoding.name();
  double ours = 0, theirs = 0;  // relative errors
  int counted = 0;
  for (int i = 0; i < kBlocks; ++i) {
    const test::OracleBlock block = test::oracle_block(first + i, grid_of(encoding).block);
    const double fast = fast_error(encoding, block), whole = energy(block);
    const double least = std::min(fast, best[static_cast<std::size_t>(i)]);
    if (least <= kExact * whole) {
      EXPECT_LE(fast, 2e-5 * whole) << encoding.name() << " block " << first + i;
      continue;
    }
    ours += std::sqrt(fast / whole);
    theirs += std::sqrt(least / whole);
    ++counted;
  }
  const double excess = ours / theirs - 1;
  fmt::print("{:<10} {:6.2f} % above the oracle, {} blocks from {} on\n", encoding.name(),
             100 * excess, counted, first);
  EXPECT_GT(counted, kBlocks * 9 / 10) << encoding.name();
  EXPECT_LE(excess, allowed_excess(encoding)) << encoding.name();
}

TEST(Oracle, EncodersComeNear) {
  const auto best = read_errors(), held_out = read_errors(kHeldOutFile);
  for (const Encoding& encoding : oracle_encodings()) {
    expect_near(encoding, 0, best.at(encoding.name()));
    if (encoding.is_affine()) expect_near(encoding, kFirstHeldOut, held_out.at(encoding.name()));
  }
}

TEST(Oracle, FindsWhatIsStored) {
  const auto best = read_errors();
  for (const Encoding& encoding : oracle_encodings()) {
    for (const int i : {0, 5, 8, 99}) {
      const test::OracleBlock block = test::oracle_block(i, grid_of(encoding).block);
      const double expected = best.at(encoding.name()).at(static_cast<std::size_t>(i));
      EXPECT_NEAR(oracle_error(encoding, block), expected, 1e-3 * expected)
          << encoding.name() << " block " << i;
    }
  }
}

void write_errors(std::ostream& out, const Encoding& encoding, int first) {
  out << encoding.name();
  for (int i = 0; i < kBlocks; ++i) {
    const test::OracleBlock block = test::oracle_block(first + i, grid_of(encoding).block);
    out << fmt::format(" {:.5g}", oracle_error(encoding, block));
  }
  out << std::endl;
}

TEST(Oracle, DISABLED_WriteTheErrors) {
  std::ofstream out(kFile), held_out(kHeldOutFile);
  for (const Encoding& encoding : oracle_encodings()) {
    write_errors(out, encoding, 0);
    if (encoding.is_affine()) write_errors(held_out, encoding, kFirstHeldOut);
  }
}

}  // namespace
}  // namespace pajamas::codec
