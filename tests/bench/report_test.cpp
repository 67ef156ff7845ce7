#include "bench/report.h"

#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

namespace pajamas::bench {
namespace {

using nlohmann::ordered_json;

runtime::EngineOptions options_of() {
  runtime::EngineOptions options;
  options.pool = std::make_shared<const TaskPool>(2);
  options.kv_type = runtime::KvType::kQ8_0;
  return options;
}

SpeedReport report_of() {
  SpeedReport report;
  report.model = "a, \"b\"";
  report.backend = "cpu";
  report.load_seconds = 1.5;
  report.peak_memory_bytes = 77;
  report.bytes_per_second = 1000;
  report.question.contexts = {8, 16};
  report.memory = {{1, 0}, {2.5, 66}};
  DepthResult& first = report.results.emplace_back();
  first.context = 8;
  first.repeats = 3;
  first.prompt_rate = Spread{2, 1, 3};
  first.generation_rate = Spread{5, 4, 6};
  first.first_token_seconds = Spread{8, 7, 9};
  first.weight_bytes = 90;
  first.cache_bytes_read = 10;
  report.results.emplace_back().context = 16;
  return report;
}

TEST(SpeedReportJson, HasTheKeysThatWerePromised) {
  SpeedReport report = report_of();
  const ordered_json json = to_json(report, options_of(), {{"processor", "x"}});
  std::vector<std::string> keys;
  for (const auto& [key, value] : json.items()) keys.push_back(key);
  EXPECT_EQ(keys,
            (std::vector<std::string>{"model", "backend", "machine", "results", "load_seconds",
                                      "peak_memory_bytes", "memory_over_time"}));
  EXPECT_EQ(json["memory_over_time"][1], (ordered_json{{"seconds", 2.5}, {"resident_bytes", 66}}));
  EXPECT_TRUE(json["memory_over_time"][0]["resident_bytes"].is_null());
  const ordered_json& row = json["results"][0];
  EXPECT_EQ(row["context"], 8);
  EXPECT_EQ(row["prompt_tokens_per_second"], 2.0);
  EXPECT_EQ(row["generation_tokens_per_second"], 5.0);
  EXPECT_EQ(row["generation_tokens_per_second_min"], 4.0);
  EXPECT_EQ(row["generation_tokens_per_second_max"], 6.0);
  EXPECT_EQ(row["first_token_seconds"], 8.0);
  EXPECT_EQ(row["bytes_per_token"], 100);
  EXPECT_EQ(row["memory_bandwidth_share"], 0.5);
  EXPECT_EQ(row["kv_cache"], "q8_0");
  EXPECT_TRUE(json["results"][1]["generation_tokens_per_second"].is_null());
  report.partial = true;
  EXPECT_EQ(to_json(report, options_of(), {})["partial"], true);
}

TEST(SpeedReportCsv, IsALineOfNamesAndOneAContext) {
  const std::string text = to_csv(report_of(), options_of());
  EXPECT_TRUE(text.starts_with("model,backend,context,prompt_tokens_per_second,")) << text;
  EXPECT_NE(text.find("\r\n\"a, \"\"b\"\"\",cpu,8,2.0,1.0,3.0,5.0,"), std::string::npos) << text;
  EXPECT_EQ(std::ranges::count(text, '\n'), 3);
  SpeedReport empty = report_of();
  empty.results.clear();
  EXPECT_EQ(std::ranges::count(to_csv(empty, options_of()), '\n'), 1);
}

TEST(Machine, TellsWhereItWas) {
  const ordered_json machine = machine_json(options_of(), 0, -1, "1.2");
  EXPECT_EQ(machine["threads"], 2);
  EXPECT_TRUE(machine["memory_read_bytes_per_second"].is_null());
  EXPECT_TRUE(machine["load_average"].is_null());
  EXPECT_EQ(machine["version"], "1.2");
  EXPECT_EQ(machine["date"].get<std::string>().size(), 20u);
}

}  // namespace
}  // namespace pajamas::bench
