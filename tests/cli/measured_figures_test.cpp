#include "cli/measured_figures.h"

#include <gtest/gtest.h>

#include <nlohmann/json.hpp>
#include <utility>

#include "base/error.h"

namespace pajamas::cli {
namespace {

using nlohmann::json;

const json kValidated = {{"model", "out/m.gguf"}, {"text", "embedded"},
                         {"context", 512},        {"chunks", 3},
                         {"perplexity", 12.5},    {"perplexity_stderr", .5},
                         {"tokens", 765},         {"reference", "x/orig"},
                         {"loss_percent", 1.25},  {"reference_perplexity", 12.3},
                         {"kl_mean", .01},        {"kl_stderr", .001}};

TEST(MeasuredFigures, OfEachCommand) {
  const auto validated = figures_of(kValidated);
  ASSERT_EQ(validated.size(), 1u);
  EXPECT_EQ(validated[0].perplexity, 12.5);
  EXPECT_EQ(validated[0].kl_mean, .01);
  EXPECT_EQ(validated[0].context, 512u);
  EXPECT_EQ(validated[0].reference, "x/orig");
  EXPECT_FALSE(validated[0].mmlu || validated[0].kl_p99);

  const auto answered = figures_of({{"model", "m.gguf"},
                                    {"mmlu",
                                     {{"accuracy", .5},
                                      {"questions", 40},
                                      {"interval", {.35, .65}},
                                      {"reference_accuracy", .55}}}});
  EXPECT_EQ(answered[0].mmlu->accuracy, .5);
  EXPECT_EQ(answered[0].mmlu->low, .35);
  EXPECT_EQ(answered[0].mmlu->questions, 40u);
  EXPECT_EQ(answered[0].reference_mmlu, .55);

  const json results = json::array({{{"context", 512},
                                     {"generation_tokens_per_second", 6.5},
                                     {"prompt_tokens_per_second", nullptr},
                                     {"bytes_per_token", 99}}});
  const auto timed = figures_of({{"model", "m.gguf"},
                                 {"backend", "cpu"},
                                 {"machine", {{"processor", "P"}}},
                                 {"results", results}});
  EXPECT_EQ(timed[0].rates[0].generation, 6.5);
  EXPECT_FALSE(timed[0].rates[0].prompt);
  EXPECT_EQ(timed[0].processor, "P");

  const auto compared = figures_of(
      {{"models",
        {{{"path", "a"}, {"perplexity", 2.0}, {"kl_mean", nullptr}, {"results", json::array()}},
         {{"path", "b"}, {"perplexity", 3.0}, {"kl_mean", .5}, {"kl_from", "a"}}}}});
  ASSERT_EQ(compared.size(), 2u);
  EXPECT_FALSE(compared[0].kl_mean);
  EXPECT_EQ(compared[1].kl_mean, .5);
  EXPECT_EQ(compared[1].reference, "a");
}

TEST(MeasuredFigures, WhatIsNoReportIsRefused) {
  const json wrong[] = {json::array(),
                        {{"perplexity", 3.0}},
                        {{"model", "m"}},
                        {{"model", "m"}, {"perplexity", "12"}},
                        {{"model", "m"}, {"perplexity", nullptr}},
                        {{"model", "m"}, {"perplexity", 1.0}, {"context", -1}},
                        {{"model", "m"}, {"results", 5}},
                        {{"model", "m"}, {"results", {5}}},
                        {{"models", 5}},
                        {{"models", {5}}},
                        {{"model", "m"}, {"mmlu", 5}},
                        {{"model", "m"}, {"mmlu", {{"accuracy", .5}, {"interval", {1}}}}}};
  for (const json& report : wrong) {
    try {
      (void)figures_of(report);
      ADD_FAILURE() << report;
    } catch (const Error& error) {
      EXPECT_EQ(error.code(), ErrorCode::kCorruptFile) << report;
    }
  }
}

TEST(MeasuredFigures, OfOneModelTogether) {
  EXPECT_TRUE(is_of("out/m.gguf", "/abs/m.gguf", "m.gguf"));
  EXPECT_TRUE(is_of("out/mlx/", "out/mlx", "out/mlx"));
  EXPECT_FALSE(is_of("out/m-q8.gguf", "out/m.gguf", "out/m.gguf"));

  json speed = {{"model", "other/m.gguf"},
                {"backend", "cpu"},
                {"results", {{{"context", 0}, {"generation_tokens_per_second", 7.0}}}}};
  json again = kValidated;
  again["perplexity"] = 11.0;
  again.erase("kl_mean");
  again.erase("kl_stderr");
  std::vector<MeasuredFigures> all;
  const std::pair<json, const char*> reports[] = {
      {kValidated, "a.json"}, {speed, "b.json"}, {again, "c.json"}};
  for (const auto& [report, file] : reports) {
    for (auto& figures : figures_of(report, file)) all.push_back(figures);
  }
  const auto found = figures_for(all, "m.gguf", "m.gguf");
  ASSERT_TRUE(found);
  EXPECT_EQ(found->perplexity, 11.0);
  // A KL of an earlier run does not stand beside the perplexity of a later one.
  EXPECT_FALSE(found->kl_mean);
  ASSERT_EQ(found->rates.size(), 1u);
  EXPECT_EQ(found->backend, "cpu");
  EXPECT_EQ(found->quality_file, "c.json");
  EXPECT_EQ(found->rates_file, "b.json");
  EXPECT_FALSE(figures_for(all, "other.gguf", "other.gguf"));
}

}  // namespace
}  // namespace pajamas::cli
