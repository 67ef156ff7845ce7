#include "model/sampling.h"

#include <gtest/gtest.h>

#include <limits>
#include <nlohmann/json.hpp>

namespace pajamas::model {
namespace {

using nlohmann::json;
using nlohmann::ordered_json;

const json kEverything = {{"do_sample", true},   {"temperature", 0.7}, {"top_k", 20},
                          {"top_p", 0.8},        {"min_p", 0.02},      {"repetition_penalty", 1.05},
                          {"penalty_last_n", 32}};

TEST(Sampling, GoesThroughGgufAndBack) {
  io::GgufMetadata metadata;
  write_sampling(read_sampling(kEverything), metadata);
  // The names and types of gguf-py's writer.
  EXPECT_EQ(*metadata.find_number("general.sampling.temp"), 0.7F);
  EXPECT_EQ(std::get<std::int32_t>(*metadata.find("general.sampling.top_k")), 20);
  EXPECT_EQ(std::get<float>(*metadata.find("general.sampling.penalty_repeat")), 1.05F);
  EXPECT_EQ(std::get<std::int32_t>(*metadata.find("general.sampling.penalty_last_n")), 32);
  ordered_json back;
  write_sampling(read_sampling(metadata), back);
  EXPECT_EQ(json(back), kEverything);
}

TEST(Sampling, DoSampleFalseIsGreedy) {
  json greedy = kEverything;
  greedy["do_sample"] = false;
  const Sampling sampling = read_sampling(greedy);
  EXPECT_EQ(sampling.temperature, 0.0);
  EXPECT_EQ(sampling.repeat_penalty, 1.05);
  io::GgufMetadata metadata;
  write_sampling(sampling, metadata);
  EXPECT_EQ(*metadata.find_number("general.sampling.temp"), 0);
  ordered_json back = ordered_json::object();
  write_sampling(read_sampling(metadata), back);
  EXPECT_EQ(back["do_sample"], false);
  EXPECT_FALSE(back.contains("temperature"));  // transformers refuses 0
  EXPECT_EQ(read_sampling(json(back)).temperature, 0.0);
}

TEST(Sampling, ConvertersNameOfThePenaltyIsReadToo) {
  EXPECT_EQ(read_sampling(json{{"penalty_repeat", 1.2}}).repeat_penalty, 1.2);
  EXPECT_EQ(
      read_sampling(json{{"penalty_repeat", 1.2}, {"repetition_penalty", 1.3}}).repeat_penalty,
      1.3);
}

TEST(Sampling, SaysNothingOfWhatMakesNoSense) {
  const double nan = std::numeric_limits<double>::quiet_NaN();
  const Sampling none = read_sampling(json{{"temperature", -1},
                                           {"top_k", 2.5},
                                           {"top_p", 0},
                                           {"min_p", nan},
                                           {"repetition_penalty", "1.1"},
                                           {"penalty_last_n", 1e300}});
  io::GgufMetadata metadata;
  write_sampling(none, metadata);
  EXPECT_TRUE(metadata.pairs().empty());
  ordered_json config = ordered_json::object();
  write_sampling(none, config);
  EXPECT_TRUE(config.empty());
  EXPECT_EQ(read_sampling(json{{"top_k", -1}}).top_k, 0.0);  // all, as other programs say it
  EXPECT_FALSE(read_sampling(json::array()).top_k);
}

TEST(Sampling, APenaltyAloneDoesNotAskForSampling) {
  ordered_json config = ordered_json::object();
  write_sampling(read_sampling(json{{"repetition_penalty", 1.1}}), config);
  EXPECT_EQ(json(config), (json{{"repetition_penalty", 1.1}}));
}

}  // namespace
}  // namespace pajamas::model
