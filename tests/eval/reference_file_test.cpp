#include "eval/reference_file.h"

#include <gtest/gtest.h>

#include <cmath>
#include <filesystem>
#include <fstream>
#include <numeric>
#include <random>
#include <string>
#include <vector>

#include "base/append_file.h"
#include "base/error.h"
#include "eval/gate.h"
#include "eval/summary.h"

namespace pajamas::eval {
namespace {

constexpr std::uint32_t kVocab = 3000;

// Logits of a model and of one that differs from it by noise; the tail has much of the mass.
struct Pair {
  explicit Pair(std::uint32_t seed, std::uint32_t vocab = kVocab) : p(vocab), q(vocab) {
    std::mt19937 bits(seed);
    std::normal_distribution<float> normal;
    for (std::uint32_t i = 0; i < vocab; ++i) {
      p[i] = 2.5f * normal(bits);
      q[i] = p[i] + 0.3f * normal(bits);
    }
  }
  std::vector<float> p, q;
};

PositionScore through_compact(const Pair& pair, std::uint64_t draw) {
  const CompactShape shape = CompactShape::of(static_cast<std::uint32_t>(pair.p.size()));
  std::vector<std::byte> kept(shape.bytes());
  keep_compact(shape, pair.p, 17, draw, kept);
  return score_compact(shape, kept, pair.q, 17);
}

TEST(CompactShape, IsUnderAPercentOfTheLogitsWithTheTokens) {
  for (const std::uint32_t vocab : {1700u, 2048u, 32000u, 65536u, 65537u, 151936u, 201088u}) {
    const CompactShape shape = CompactShape::of(vocab);
    EXPECT_LT(static_cast<double>(shape.bytes() + 8), 0.01 * 4 * vocab) << vocab;
    EXPECT_GT(static_cast<double>(shape.bytes() + 8), 0.008 * 4 * vocab) << vocab;
  }
  EXPECT_EQ(CompactShape::of(5).top, 5u);
}

// The mean over many positions is that of the whole distributions, within the error that it states.
TEST(Compact, TheMeanIsUnbiasedAndItsErrorIsTheStatedOne) {
  double exact = 0, estimate = 0, variance = 0;
  constexpr int kPositions = 120;
  for (int i = 0; i < kPositions; ++i) {
    const Pair pair(static_cast<std::uint32_t>(i));
    const PositionScore whole = score_position(pair.q, pair.p, 17);
    const PositionScore kept = through_compact(pair, static_cast<std::uint64_t>(i));
    EXPECT_NEAR(kept.nll, whole.nll, 1e-12);
    EXPECT_NEAR(kept.reference_nll, whole.reference_nll, 1e-5);
    EXPECT_EQ(kept.same_top, whole.same_top);
    exact += whole.kl;
    estimate += kept.kl;
    variance += kept.kl_variance;
  }
  const double error = std::sqrt(variance);
  EXPECT_LT(std::abs(estimate - exact), 3 * error);
  EXPECT_LT(3 * error, 0.2 * exact);  // and it says something
}

// Drawn anew and anew, one position's estimate scatters around the exact value as it says.
TEST(Compact, EachPositionScattersAsItSays) {
  const Pair pair(1);
  const double exact = score_position(pair.q, pair.p, 17).kl;
  double sum = 0, squares = 0, variance = 0;
  constexpr int kDraws = 150;
  for (std::uint64_t draw = 0; draw < kDraws; ++draw) {
    const PositionScore kept = through_compact(pair, draw);
    sum += kept.kl - exact;
    squares += (kept.kl - exact) * (kept.kl - exact);
    variance += kept.kl_variance;
  }
  EXPECT_LT(std::abs(sum / kDraws), 4 * std::sqrt(squares) / kDraws);
  EXPECT_GT(variance, 0.4 * squares);
  EXPECT_LT(variance, 2.5 * squares);
}

TEST(Compact, AModelAgainstItselfIsNothing) {
  Pair pair(3);
  pair.q = pair.p;
  EXPECT_NEAR(through_compact(pair, 0).kl, 0, 1e-6);
  EXPECT_TRUE(through_compact(pair, 0).same_top);
}

TEST(Compact, AVocabularyThatIsKeptWholeIsExact) {
  const Pair pair(4, 20);
  const CompactShape shape{20, 20, 0};
  std::vector<std::byte> kept(shape.bytes());
  keep_compact(shape, pair.p, 3, 0, kept);
  EXPECT_NEAR(score_compact(shape, kept, pair.q, 3).kl, score_position(pair.q, pair.p, 3).kl, 1e-6);
}

TEST(Coded, IsTheDivergenceWithinTheCodes) {
  for (const std::uint32_t vocab : {3000u, 2999u}) {
    const Pair pair(5, vocab);
    std::vector<std::byte> kept(coded_bytes(vocab));
    EXPECT_EQ(kept.size(), 8u + 6000);
    keep_coded(pair.p, kept);
    const PositionScore whole = score_position(pair.q, pair.p, 17);
    const PositionScore coded = score_coded(kept, pair.q, 17);
    EXPECT_NEAR(coded.kl, whole.kl, 2e-4);
    EXPECT_NEAR(coded.reference_nll, whole.reference_nll, 2e-4);
    EXPECT_EQ(coded.same_top, whole.same_top);
  }
}

class ReferenceFiles : public testing::TestWithParam<ReferenceForm> {
 protected:
  std::string path(const char* name) const { return (folder_.path() / name).string(); }
  void write(const std::string& to) const {
    ReferenceHeader header;
    header.form = GetParam();
    header.context = 8;
    header.vocab = kVocab;
    header.fingerprint = 99;
    header.tokens.resize(16);
    std::iota(header.tokens.begin(), header.tokens.end(), 5);
    ReferenceWriter writer(to, header, {});
    for (const std::uint64_t i : {5u, 0u, 1u, 4u, 2u, 3u}) {  // in any order
      writer.put(i, Pair(static_cast<std::uint32_t>(i)).p, 17);
    }
    writer.commit();
  }
  static ErrorCode code_of(const std::string& file) {
    try {
      ReferenceFile::open(file);
    } catch (const Error& error) {
      return error.code();
    }
    return ErrorCode::kCount;
  }

 private:
  TemporaryFolder folder_;
};

TEST_P(ReferenceFiles, GiveBackWhatWasWritten) {
  write(path("a"));
  EXPECT_TRUE(is_reference_file(path("a")));
  const ReferenceFile file = ReferenceFile::open(path("a"));
  EXPECT_EQ(file.header().form, GetParam());
  EXPECT_EQ(file.header().context, 8u);
  EXPECT_EQ(file.header().vocab, kVocab);
  EXPECT_EQ(file.header().chunks(), 2u);
  EXPECT_EQ(file.header().tokens[15], 20);
  for (std::uint64_t i = 0; i < 6; ++i) {
    const Pair pair(static_cast<std::uint32_t>(i));
    EXPECT_NEAR(file.score(i, pair.q, 17).reference_nll,
                score_position(pair.q, pair.p, 17).reference_nll, 2e-4)
        << i;
  }
}

TEST_P(ReferenceFiles, ThatAreCutAreRefusedWhereverTheyAreCut) {
  write(path("a"));
  const auto size = std::filesystem::file_size(path("a"));
  for (const std::uintmax_t length : {size - 1, size / 2, std::uintmax_t{60}, std::uintmax_t{9}}) {
    std::filesystem::copy_file(path("a"), path("b"),
                               std::filesystem::copy_options::overwrite_existing);
    std::filesystem::resize_file(path("b"), length);
    EXPECT_EQ(code_of(path("b")), ErrorCode::kCorruptFile) << length;
  }
  std::filesystem::resize_file(path("a"), size + 4);
  EXPECT_EQ(code_of(path("a")), ErrorCode::kCorruptFile);
}

TEST_P(ReferenceFiles, WhoseNumbersAreNoneAreRefused) {
  write(path("a"));
  {
    std::fstream file(path("a"), std::ios::in | std::ios::out | std::ios::binary);
    const float nan = NAN;
    file.seekp(-static_cast<std::streamoff>(GetParam() == ReferenceForm::kCompact
                                                ? CompactShape::of(kVocab).bytes()
                                                : coded_bytes(kVocab)),
               std::ios::end);
    file.write(reinterpret_cast<const char*>(&nan), sizeof nan);
  }
  const ReferenceFile file = ReferenceFile::open(path("a"));
  EXPECT_NO_THROW(file.score(4, Pair(4).q, 17));
  EXPECT_THROW(file.score(5, Pair(5).q, 17), Error);
}

INSTANTIATE_TEST_SUITE_P(Forms, ReferenceFiles,
                         testing::Values(ReferenceForm::kCompact, ReferenceForm::kCoded));

TEST(Summary, ThePairedErrorIsThatOfTheDifferences) {
  // Both vary much, their difference hardly.
  std::vector<PositionScore> positions;
  for (int i = 0; i < 40; ++i) {
    const double base = i % 2 == 0 ? 1 : 9;
    positions.push_back({base + (i % 4 < 2 ? 0.01 : 0.03), base, 0.001 * i, 0, i % 4 != 0});
  }
  const Score score = summarize(positions, 2, 20, true);
  const Comparison& c = score.comparison.value();
  EXPECT_NEAR(c.loss_percent, (std::exp(0.02) - 1) * 100, 1e-9);
  EXPECT_NEAR(c.loss_stderr, std::exp(0.02) * 0.01 / std::sqrt(39) * 100, 1e-9);
  EXPECT_TRUE(c.loss_counts);
  EXPECT_EQ(c.top1, 0.75);
  EXPECT_NEAR(c.kl_shares[5], 0.0195, 1e-12);
  EXPECT_EQ(c.kl_shares.front(), 0);
  EXPECT_NEAR(c.kl_shares.back(), 0.039, 1e-12);
  ASSERT_EQ(score.bands.size(), kBands);
  EXPECT_EQ(score.bands.front().first, 20u);
  EXPECT_EQ(score.bands.back().last, 39u);
  EXPECT_NEAR(score.bands[0].kl_mean, 0.0105, 1e-12);  // positions 0, 1 and 20, 21
  for (PositionScore& position : positions) position.nll = position.reference_nll;
  EXPECT_FALSE(summarize(positions, 2, 20, true).comparison->loss_counts);
}

TEST(Gate, HoldsFiguresToTheirLimits) {
  GateFigures figures;
  figures.text.kl = 0.02;
  figures.text.loss = 5.5;
  figures.text.top1 = 0.96;
  figures.chat.kl = 0.03;
  figures.chat.loss = 7.5;
  const auto broken = [&](const char* text) {
    return broken_rules(parse_gate(text), figures).size();
  };
  EXPECT_EQ(broken("kl<=0.02, loss < 6%,top1>95%"), 0u);
  EXPECT_EQ(broken("kl<0.02,loss<5%,top1>0.97"), 3u);
  EXPECT_EQ(broken("kl<0.021,perplexity<30"), 1u);  // not known
  EXPECT_EQ(broken("chat_kl<0.04,chat_loss<8%,kl<0.021"), 0u);
  EXPECT_EQ(
      broken_rules(parse_gate("chat_kl<0.021,chat_loss<=6%,loss<6%,chat_top1>1%"), figures),
      (std::vector<std::string>{"chat_kl is 0.03, not < 0.021", "chat_loss is 7.5 %, not <= 6 %",
                                "chat_top1 is not known, not > 1 %"}));
  figures.text.kl = NAN;
  EXPECT_EQ(broken("kl<1"), 1u);
  EXPECT_EQ(broken("kl>0"), 1u);
}

TEST(Gate, WhatSaysNothingIsRefused) {
  for (const char* text :
       {"", "kl", "kl<", "kl<x", "kl<0.02,", "<0.02", "0.02", "speed>3", "kl=0.02", "kl<2%",
        "chat_mmlu>50%", "chat_<1", "loss<0.05", "top1>150%", "kl<1e999"}) {
    try {
      parse_gate(text);
      ADD_FAILURE() << text;
    } catch (const Error& error) {
      EXPECT_EQ(error.code(), ErrorCode::kUsage) << text;
    }
  }
}

}  // namespace
}  // namespace pajamas::eval
