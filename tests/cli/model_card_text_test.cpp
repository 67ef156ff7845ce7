#include "cli/model_card_text.h"

#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "io/yaml.h"

namespace pajamas::cli {
namespace {

CardFacts facts_of_two() {
  CardFacts facts{.title = "m",
                  .base_model = "x/base",
                  .repository = {},
                  .quantized_by = "me",
                  .version = "1",
                  .source = {},
                  .models = {}};
  facts.source.license = "other";
  facts.source.license_name = "no: it's \"mine\"";
  facts.source.languages = {"en", "no"};
  MeasuredFigures figures;
  figures.model = "a.gguf";
  figures.perplexity = 12.5;
  figures.text = "/home/me/private.txt";
  figures.context = 512;
  figures.tokens = 765;
  figures.kl_mean = .0125;
  figures.reference = "/home/me/base";
  facts.models.push_back({"a|b.gguf", "GGUF", "Q4_K_M", 2'700'000, 4.5, 1, figures});
  facts.models.push_back({"mlx model", "MLX", "4bit", 2'500'000, 4.4, 3, {}});
  return facts;
}

TEST(ModelCardText, ReadsAsItWasMeant) {
  const std::string text = model_card_text(facts_of_two());
  const auto yaml = model::front_matter(text);
  ASSERT_TRUE(yaml);
  const model::ModelCard card = model::parse_model_card(*yaml);
  ASSERT_TRUE(card.base_models);
  EXPECT_EQ(card.base_models->front().id, "x/base");
  EXPECT_EQ(card.license, "other");
  EXPECT_EQ(card.license_name, "no: it's \"mine\"");
  EXPECT_EQ(card.languages, (std::vector<std::string>{"en", "no"}));
  const std::vector<std::string> tags{"gguf", "mlx", "quantized", "llama-pajamas",
                                      "text-generation"};
  EXPECT_EQ(card.tags, tags);
}

TEST(ModelCardText, HasNoFigureThatWasNotMeasured) {
  CardFacts facts = facts_of_two();
  const std::string text = model_card_text(facts);
  EXPECT_NE(text.find("| a\\|b.gguf | GGUF | Q4_K_M | 2.7 MB | 4.500 | 12.5000 | 0.01250 |"),
            std::string::npos)
      << text;
  EXPECT_NE(text.find("| mlx model (3 files) | MLX | 4bit | 2.5 MB | 4.400 | not measured | "
                      "not measured |"),
            std::string::npos)
      << text;
  EXPECT_EQ(text.find("MMLU"), std::string::npos);
  EXPECT_EQ(text.find("same top"), std::string::npos);
  EXPECT_EQ(missing_of(facts).size(), 2u);  // of the second model, and MMLU
  facts.models.front().figures.reset();
  EXPECT_NE(model_card_text(facts).find("Quality was not measured."), std::string::npos);
  EXPECT_EQ(model_card_text(facts).find("perplexity"), std::string::npos);
}

// A figure without its origin is no figure.
TEST(ModelCardText, SaysWhereEachFigureComesFrom) {
  CardFacts facts = facts_of_two();
  MeasuredFigures& first = *facts.models.front().figures;
  EXPECT_NE(model_card_text(facts).find("(765 scored); measured for this card."),
            std::string::npos);
  EXPECT_EQ(model_card_text(facts).find("## Speed"), std::string::npos);
  first.quality_file = "/home/me/reports/q4.json";
  first.mmlu = MeasuredAccuracy{.5, .4, .6, 40};
  first.mmlu_file = "/home/me/mmlu.json";
  first.rates = {{.context = 512,
                  .prompt = 210.4,
                  .generation = 12.5,
                  .bytes_per_token = 0,
                  .resident_memory_bytes = 0},
                 {.context = 8192,
                  .prompt = {},
                  .generation = {},
                  .bytes_per_token = 0,
                  .resident_memory_bytes = 0}};
  first.processor = "A|B 9000";
  first.backend = "cpu";
  first.rates_file = "/home/me/speed.json";
  const std::string text = model_card_text(facts);
  for (const char* part :
       {"(765 scored); from q4.json.", "interval of 95 %; from mmlu.json.",
        "| a\\|b.gguf | 512 | 210 | 12.5 |", "| a\\|b.gguf | 8,192 | not measured | not measured |",
        "KV cache, on A\\|B 9000, backend cpu; from speed.json."}) {
    EXPECT_NE(text.find(part), std::string::npos) << part << "\n" << text;
  }
  EXPECT_EQ(text.find("/home"), std::string::npos);
  EXPECT_EQ(text.find("| mlx model |"), std::string::npos);  // it has no speed
}

TEST(ModelCardText, TellsNothingOfTheMachine) {
  EXPECT_EQ(model_card_text(facts_of_two()).find("/home"), std::string::npos);
}

TEST(ModelCardText, CommandsCanBeCopied) {
  CardFacts facts = facts_of_two();
  EXPECT_NE(model_card_text(facts).find("llama-cli -m 'a|b.gguf' -p"), std::string::npos);
  EXPECT_NE(model_card_text(facts).find("mlx_lm.generate --model 'mlx model' --prompt"),
            std::string::npos);
  facts.repository = "me/m";
  facts.models.front().path = "a.gguf";
  const std::string text = model_card_text(facts);
  EXPECT_NE(text.find("llama-pajamas run me/m:a.gguf --prompt"), std::string::npos);
  EXPECT_NE(text.find("llama-cli -hf me/m -hff a.gguf -p"), std::string::npos);
}

TEST(ModelCardText, YamlTextIsOneText) {
  for (const char* text : {"plain", "x/y-1.5", "no", "1.5", "", "a: b", "- a", "\"q\"", "ü", "a#b",
                           "null", "Yes", "~", "back\\slash", "two\nlines"}) {
    const auto value = io::parse_yaml("key: " + yaml_text(text) + "\n");
    EXPECT_EQ(value["key"], text) << yaml_text(text);
    EXPECT_TRUE(value["key"].is_string());
  }
  EXPECT_EQ(yaml_text("apache-2.0"), "apache-2.0");
  EXPECT_EQ(yaml_text("no"), "\"no\"");
}

}  // namespace
}  // namespace pajamas::cli
