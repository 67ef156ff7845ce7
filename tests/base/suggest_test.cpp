#include "base/suggest.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <array>
#include <fstream>

namespace pajamas {
namespace {

using namespace std::string_view_literals;

TEST(EditDistance, CountsEditsAndSwaps) {
  EXPECT_EQ(edit_distance("", ""), 0u);
  EXPECT_EQ(edit_distance("", "abc"), 3u);
  EXPECT_EQ(edit_distance("abc", ""), 3u);
  EXPECT_EQ(edit_distance("kitten", "sitting"), 3u);
  EXPECT_EQ(edit_distance("quantize", "quantise"), 1u);
  EXPECT_EQ(edit_distance("run", "rnu"), 1u);          // a swap is one edit
  EXPECT_EQ(edit_distance("inspect", "isnpetc"), 2u);  // two of them
  EXPECT_EQ(edit_distance("Q4_K_M", "q4_k_m"), 0u);    // case is no edit
  EXPECT_EQ(edit_distance("ab", "ba"), edit_distance("ba", "ab"));
}

constexpr std::array kCommands{"quantize"sv, "plan"sv, "run"sv, "validate"sv, "inspect"sv};

TEST(ClosestName, FindsWhatWasMeant) {
  EXPECT_EQ(closest_name("quantise", kCommands), "quantize");
  EXPECT_EQ(closest_name("VALDIATE", kCommands), "validate");
  EXPECT_EQ(closest_name("rnu", kCommands), "run");
  EXPECT_EQ(closest_name("quant", kCommands), "quantize");  // begun
  constexpr std::array methods{"Q4_K_M"sv, "Q4_K_S"sv, "Q4_0"sv, "Q8_0"sv};
  EXPECT_EQ(closest_name("Q4_KM", methods), "Q4_K_M");
  EXPECT_EQ(closest_name("q80", methods), "Q8_0");
}

TEST(ClosestName, SaysNothingWithoutResemblance) {
  EXPECT_EQ(closest_name("zebra", kCommands), std::nullopt);
  EXPECT_EQ(closest_name("", kCommands), std::nullopt);
  EXPECT_EQ(closest_name("quantize", {}), std::nullopt);
  EXPECT_EQ(closest_name(std::string(100'000, 'q'), kCommands), std::nullopt);
  constexpr std::array letters{"a"sv};
  EXPECT_EQ(closest_name("b", letters), std::nullopt);  // all of it would be replaced
  constexpr std::array two{"context"sv, "continue"sv};
  EXPECT_EQ(closest_name("co", two), std::nullopt);  // both begin so
}

TEST(DidYouMean, IsTheStartOfAHint) {
  EXPECT_EQ(did_you_mean("plam", kCommands), "did you mean plan? ");
  EXPECT_EQ(did_you_mean("zebra", kCommands), "");
}

TEST(ClosestSibling, LooksBesideThePath) {
  const auto folder =
      std::filesystem::temp_directory_path() / ("suggest-" + std::to_string(::getpid()));
  std::filesystem::create_directories(folder / "Qwen2.5-7B-Instruct");
  std::ofstream(folder / "model-q4_k_m.gguf") << "x";
  EXPECT_EQ(closest_sibling(folder / "model-q4_km.gguf"), folder / "model-q4_k_m.gguf");
  EXPECT_EQ(closest_sibling(folder / "Qwen2.5-7B-Instuct/"), folder / "Qwen2.5-7B-Instruct");
  EXPECT_EQ(closest_sibling(folder / "elsewhere"), std::nullopt);
  EXPECT_EQ(closest_sibling(folder / "no-folder" / "model"), std::nullopt);
  EXPECT_EQ(closest_sibling(""), std::nullopt);
  std::filesystem::remove_all(folder);
}

}  // namespace
}  // namespace pajamas
