// A model that is ready to run, of each container.
#include "runtime/loaded_model.h"

#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>

#include "base/append_file.h"
#include "base/error.h"
#include "model/conversation.h"
#include "paths.h"
#include "runtime/generate.h"

namespace pajamas::runtime {
namespace {

namespace fs = std::filesystem;

EngineOptions options_with(std::uint64_t context) {
  EngineOptions options;
  options.pool = std::make_shared<TaskPool>(2);
  options.context = context;
  return options;
}

std::string path_of(const char* name) { return source_dir() + "/models/" + name; }

TEST(LoadedModel, AnswersAsItIs) {
  for (const char* name : {"tiny-qwen2", "tiny-qwen3-moe", "tiny-gpt-oss"}) {
    const LoadedModel model = LoadedModel::open(path_of(name), options_with(256));
    EXPECT_EQ(model.context(), 256u);
    EXPECT_FALSE(model.text().chat().empty());
    EXPECT_FALSE(model.text().stop().empty());
    EXPECT_GE(model.text().tokenizer().vocab_size(), model.config().vocab);
    EXPECT_EQ(model.memory_needs().keys_values,
              memory_needs(model.config(), options_with(256)).keys_values);
    model::Conversation conversation(model.text(), {});
    conversation.ask("Who?");
    Sampler sampler(model.sampling());
    const GenerateResult result =
        generate(model.engine(), sampler, conversation.tokens(), {{3, model.context(), {}}},
                 StopFlag{}, nullptr, [](std::int32_t) {});
    EXPECT_EQ(result.generated_tokens, 3u) << name;
  }
}

TEST(LoadedModel, PlansForAContextWhereNobodySaysOne) {
  const LoadedModel model = LoadedModel::open(path_of("tiny-qwen2"), options_with(0));
  EXPECT_EQ(model.context(), default_context(model.config()));
  EXPECT_GT(model.context(), 0u);
}

TEST(LoadedModel, MoreMemoryThanTheBudgetIsRefused) {
  EngineOptions options = options_with(4096);
  options.memory_budget = 1000;
  try {
    (void)LoadedModel::open(path_of("tiny-qwen2"), options);
    FAIL();
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), ErrorCode::kOutOfMemory);
  }
}

TEST(LoadedModel, SamplesAsTheMakersRecommend) {
  TemporaryFolder folder;
  const fs::path copy = folder.path() / "model";
  fs::copy(path_of("tiny-qwen2"), copy);
  const auto sampling_of = [&](const std::string& json) {
    std::ofstream(copy / "generation_config.json") << json;
    return recommended_sampling(model::Checkpoint::open(copy));
  };
  const SamplerOptions said = sampling_of(R"({"temperature": 0.25, "top_k": 7, "top_p": 0.5})");
  EXPECT_EQ(said.temperature, 0.25);
  EXPECT_EQ(said.top_k, 7);
  EXPECT_EQ(said.top_p, 0.5);
  EXPECT_EQ(said.min_p, SamplerOptions{}.min_p);
  // What no sampler can do is passed over, and the rest counts.
  const SamplerOptions odd = sampling_of(R"({"temperature": -3, "top_k": 7})");
  EXPECT_EQ(odd.temperature, SamplerOptions{}.temperature);
  EXPECT_EQ(odd.top_k, 7);
}

}  // namespace
}  // namespace pajamas::runtime
