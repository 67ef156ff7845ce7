#include "report/sections.h"

#include <gtest/gtest.h>

#include <algorithm>

namespace pajamas::report {
namespace {

const Figure& figure_called(const std::vector<Section>& sections, std::string_view title) {
  for (const Section& section : sections) {
    for (const Figure& figure : section.figures) {
      if (figure.title == title) return figure;
    }
  }
  ADD_FAILURE() << "no figure " << title;
  static const Figure kNone;
  return kNone;
}

std::vector<std::string> texts(const std::vector<Cell>& row) {
  std::vector<std::string> out;
  for (const Cell& cell : row) out.push_back(cell.text);
  return out;
}

TEST(Numbers, AreShortAndSayTheirUnit) {
  EXPECT_EQ(number_cell(0.0052139, Unit::kNumber).text, "0.005214");
  EXPECT_EQ(number_cell(-12345.6, Unit::kNumber).text, "-12,346");
  EXPECT_EQ(number_cell(4314944, Unit::kBytes).text, "4.3 MB");
  EXPECT_EQ(number_cell(0.2894, Unit::kShare).text, "28.9 %");
  EXPECT_EQ(number_cell(0.04682, Unit::kSeconds).text, "0.0468 s");
  EXPECT_EQ(number_cell(1234567, Unit::kCount).text, "1,234,567");
  EXPECT_EQ(number_cell(std::nullopt).text, "-");
  EXPECT_EQ(number_cell(std::numeric_limits<double>::infinity()).text, "-");
  EXPECT_FALSE(number_cell(std::nan("")).value);
}

TEST(Tables, HaveARowForEachNameAndAColumnForEachSeries) {
  Figure figure{
      .title = "t", .mark = Mark::kLine, .x = {"context", Unit::kCount, false, {"0", "8"}}};
  figure.series = {{"a", {{0, 1.5, 1, 2}, {1, std::nullopt}}}, {"b", {{1, 3}}}};
  const Table table = table_of(figure);
  EXPECT_EQ(table.columns, (std::vector<std::string>{"context", "a", "b"}));
  ASSERT_EQ(table.rows.size(), 2u);
  EXPECT_EQ(texts(table.rows[0]), (std::vector<std::string>{"0", "1.5", "-"}));
  EXPECT_EQ(table.rows[0][1].note, "1 to 2");
  EXPECT_EQ(texts(table.rows[1]), (std::vector<std::string>{"8", "-", "3"}));
}

TEST(Figures, WithoutAPointAreLeftOut) {
  Section section;
  add_figure(section, {.series = {{"a", {{0, std::nullopt}}}, {"b"}}});
  add_figure(section, {.series = {{"a", {{0, std::nan("")}}}}});
  EXPECT_TRUE(section.figures.empty());
  add_figure(section, {.series = {{"a"}, {"b", {{0, 0.0}}}}});
  EXPECT_EQ(section.figures.size(), 1u);
}

TEST(Comparison, ComparesWithTheReference) {
  const ordered_json document = {
      {"models",
       {{{"path", "x/model"}, {"size_bytes", 100}, {"perplexity", 10.0}, {"kl_mean", nullptr}},
        {{"path", "y/model/"},
         {"size_bytes", 50},
         {"perplexity", 11.0},
         {"kl_mean", 0.5},
         {"kl_stderr", 0.125},
         {"kl_from", "x/model"},
         {"reference_perplexity", 10.0},
         {"loss_percent_stderr", 5.0}}}},
      {"verdicts",
       {{{"metric", "quality"},
         {"winner", "x/model"},
         {"ratio", 1.1},
         {"low", 1.05},
         {"high", 1.2}},
        {{"metric", "size"}, {"winner", nullptr}, {"ratio", 2}, {"low", 2}, {"high", 2}}}}};
  const std::vector<Section> sections = sections_of(document);
  const Figure& figure = figure_called(sections, "Perplexity against file size");
  ASSERT_TRUE(figure.level);
  EXPECT_EQ(figure.level->y, 10.0);
  EXPECT_EQ(figure.level->name, "model (reference)");
  ASSERT_EQ(figure.series.size(), 2u);
  EXPECT_EQ(figure.series[0].name, "1 model");
  EXPECT_FALSE(figure.series[0].points[0].low);
  EXPECT_EQ(figure.series[1].name, "2 model");
  EXPECT_EQ(figure.series[1].points[0].x, 50);
  EXPECT_DOUBLE_EQ(*figure.series[1].points[0].low, 10.5);
  EXPECT_DOUBLE_EQ(*figure.series[1].points[0].high, 11.5);
  const Figure& divergence = figure_called(sections, "KL divergence against file size");
  EXPECT_EQ(divergence.series.size(), 2u);  // colours stay with their models
  EXPECT_TRUE(divergence.series[0].points.empty());
  EXPECT_EQ(divergence.series[1].points[0].low, 0.375);
  const auto verdicts = std::ranges::find(sections, "Verdicts", &Section::title);
  ASSERT_NE(verdicts, sections.end());
  EXPECT_EQ(texts(verdicts->table.rows[0]),
            (std::vector<std::string>{"quality (perplexity)", "1 model", "1.1", "1.05", "1.2"}));
  EXPECT_EQ(verdicts->table.rows[1][1].text, "no difference beyond noise");
}

TEST(Speed, PutsEachContextOfAnyModelInItsPlace) {
  const ordered_json a = {{{"context", 0}, {"prompt_tokens_per_second", 5}},
                          {{"context", 64}, {"prompt_tokens_per_second", 4}}};
  const ordered_json b = {{{"context", 64}, {"prompt_tokens_per_second", 3}}};
  Section section;
  add_speed_figures(section, {{"a", &a}, {"b", &b}});
  ASSERT_EQ(section.figures.size(), 1u);
  EXPECT_EQ(section.figures[0].x.names, (std::vector<std::string>{"0", "64"}));
  EXPECT_EQ(section.figures[0].series[1].points[0].x, 1);
  EXPECT_EQ(section.figures[0].series[1].points[0].y, 3.0);
}

TEST(Types, AreAMapOfTheModel) {
  const auto tensor = [](const char* type, const char* role, ordered_json layer, int bytes) {
    return ordered_json{{"type", type},
                        {"role", role},
                        {"layer", std::move(layer)},
                        {"shape", {2, 4}},
                        {"bytes", bytes}};
  };
  const ordered_json document = {
      {"outputs",
       {{{"format", "gguf"},
         {"method", "Q4_K_M"},
         {"file_bytes", 999},
         {"tensors",
          {tensor("Q6_K", "token_embd", nullptr, 7), tensor("Q6_K", "attn_v", 0, 7),
           tensor("Q4_K", "attn_v", 1, 5), tensor("Q4_K", "attn_v", 2, 5),
           tensor("Q6_K", "attn_v", 4, 7), tensor("F32", "attn_norm", 3, 32)}}}}}};
  const std::vector<Section> sections = sections_of(document);
  const Figure& map = figure_called(sections, "Types of gguf Q4_K_M");
  EXPECT_EQ(map.x.names, (std::vector<std::string>{"–", "0", "1", "2", "3", "4"}));
  EXPECT_EQ(map.y.names, (std::vector<std::string>{"token_embd", "attn_v", "attn_norm"}));
  ASSERT_EQ(map.series.size(), 3u);  // by bits a weight
  EXPECT_EQ(map.series[0].name, "Q4_K");
  EXPECT_EQ(map.series[2].name, "F32");
  EXPECT_EQ(map.series[0].points.size(), 2u);
  EXPECT_EQ(map.series[0].points[1].x, 3);  // layer 2
  EXPECT_EQ(map.series[0].points[1].y, 1);
  ASSERT_TRUE(map.table);
  const auto& rows = map.table->rows;
  ASSERT_EQ(rows.size(), 4u);
  EXPECT_EQ(texts(rows[0]), (std::vector<std::string>{"token_embd", "Q6_K", "outside of layers"}));
  EXPECT_EQ(texts(rows[1]), (std::vector<std::string>{"attn_v", "Q4_K", "1–2"}));
  EXPECT_EQ(texts(rows[2]), (std::vector<std::string>{"attn_v", "Q6_K", "0, 4"}));
  const Figure& bytes = figure_called(sections, "Bytes of gguf Q4_K_M");
  EXPECT_EQ(bytes.series[0].points[0].y, 10.0);
  EXPECT_EQ(bytes.table->rows[0][1].text, "5");  // bits a weight of Q4_K here
}

TEST(Validation, ShowsWhatWasMeasuredAndNothingElse) {
  const ordered_json document = {
      {"model", "m"},
      {"perplexity", 33.0},
      {"perplexity_stderr", 2.5},
      {"positions", {{{"first", 1}, {"last", 8}, {"perplexity", 40.0}, {"kl_mean", 0.25}}}},
      {"kl_percentiles", {{"0", 0.0}, {"50", 0.1}}},
      {"layers", {{{"layer", 0}, {"error", 0.05}}}}};
  const std::vector<Section> sections = sections_of(document);
  const Figure& kl = figure_called(sections, "KL divergence by position");
  EXPECT_EQ(kl.x.names, (std::vector<std::string>{"1–8"}));
  EXPECT_EQ(kl.series[0].points[0].y, 0.25);
  // On a logarithmic axis there is no zero.
  const Figure& shares = figure_called(sections, "KL divergence by percentile");
  EXPECT_FALSE(shares.series[0].points[0].y);
  EXPECT_EQ(shares.series[0].points[1].y, 0.1);
  EXPECT_EQ(figure_called(sections, "Error by layer").series[0].points[0].y, 0.05);
  for (const Section& section : sections) {
    EXPECT_NE(section.title, "MMLU");
    EXPECT_NE(section.title, "HumanEval");
    for (const Figure& figure : section.figures) {
      EXPECT_NE(figure.title, "Agreement of the routers");
    }
  }
}

TEST(Questions, HaveIntervalsAndTheReference) {
  const ordered_json stem = {
      {"accuracy", 0.5}, {"interval", {0.25, 0.75}}, {"reference_accuracy", 0.625}};
  ordered_json mmlu = stem;
  mmlu["questions"] = 8;
  mmlu["categories"] = {{"stem", stem}};
  const std::vector<Section> sections =
      sections_of({{"mmlu", mmlu}, {"humaneval", {{"pass_at_1", 0.75}, {"problems", 4}}}});
  const Figure& figure = figure_called(sections, "MMLU by category");
  EXPECT_EQ(figure.x.names, (std::vector<std::string>{"all", "stem"}));
  EXPECT_EQ(figure.series[0].points[1].low, 0.25);
  EXPECT_EQ(figure.series[1].points[1].y, 0.625);
  EXPECT_EQ(figure_called(sections, "HumanEval, pass@k").series[0].points[0].y, 0.75);
}

TEST(Paths, AreNamedByTheirLastPart) {
  EXPECT_EQ(short_path("a/b.gguf"), "b.gguf");
  EXPECT_EQ(short_path("a/b/"), "b");
  EXPECT_EQ(short_path("/"), "/");
  EXPECT_EQ(short_path(""), "");
}

}  // namespace
}  // namespace pajamas::report
