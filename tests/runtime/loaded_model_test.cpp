// A model that is ready to run, of each container.
#include "runtime/loaded_model.h"

#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <functional>
#include <string>

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

// A copy of tiny-qwen2 of which weight 5 in row 3 of a layer's q has the bits of a BF16 NaN.
fs::path damaged_copy(const fs::path& folder) {
  const fs::path copy = folder / "damaged";
  fs::copy(path_of("tiny-qwen2"), copy);
  const model::Checkpoint sound = model::Checkpoint::open(copy);
  const model::StoredTensor& q = sound.get({model::Role::kAttnQ, 1});
  const model::PlaneLocation& place = q.parts[0][0];
  std::fstream file(sound.files()[place.file].path(),
                    std::ios::in | std::ios::out | std::ios::binary);
  file.seekp(static_cast<std::streamoff>(place.offset + 3 * place.row_step + 5 * 2));
  file.write("\xC0\x7F", 2);
  return copy;
}

std::string error_of(const std::function<void()>& fn) {
  try {
    fn();
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), ErrorCode::kCorruptFile);
    return error.what();
  }
  return "no error";
}

// Whoever loads a model is told which weight is at fault, from the files that were opened: their
// names may mean others, or nothing, by then.
TEST(LoadedModel, NamesTheWeightThatIsNoNumber) {
  TemporaryFolder folder;
  const fs::path copy = damaged_copy(folder.path());
  const LoadedModel damaged = LoadedModel::open(copy, options_with(64));
  const LoadedModel sound = LoadedModel::open(path_of("tiny-qwen2"), options_with(64));
  fs::remove_all(copy);
  const auto answer = [&](const LoadedModel& model) {
    Sampler sampler(model.sampling());
    (void)generate(model.engine(), sampler, model.text().encode("Who?"), {{1, model.context(), {}}},
                   StopFlag{}, nullptr, [](std::int32_t) {});
  };
  const std::string found = error_of([&] { damaged.naming_bad_weights([&] { answer(damaged); }); });
  EXPECT_NE(found.find("weight 5 of row 3 is nan"), std::string::npos) << found;
  EXPECT_NE(found.find("model.layers.1.self_attn.q_proj.weight"), std::string::npos) << found;
  EXPECT_NE(found.find((copy / "model.safetensors").native()), std::string::npos) << found;
  // Of several it is the one at fault, not the first.
  const LoadedModel* const both[] = {&sound, &damaged};
  EXPECT_EQ(error_of([&] { naming_bad_weights(both, [&] { answer(damaged); }); }), found);
  // Where all weights are numbers, the error stays what it was, and tells the model.
  const std::string other = error_of([&] {
    sound.naming_bad_weights([] { throw Error(ErrorCode::kCorruptFile, "something else"); });
  });
  EXPECT_NE(other.find("something else"), std::string::npos) << other;
  EXPECT_NE(other.find(path_of("tiny-qwen2")), std::string::npos) << other;
}

}  // namespace
}  // namespace pajamas::runtime
