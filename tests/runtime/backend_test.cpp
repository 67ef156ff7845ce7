// The registry of backends, what they need, and what is said where that does not fit.
#include "runtime/backend.h"

#include <gtest/gtest.h>

#include <functional>

#include "base/error.h"
#include "base/file.h"
#include "model/architecture.h"
#include "paths.h"
#include "runtime/native/kv_cache.h"
#include "runtime/tiny_engine.h"

namespace pajamas::runtime {
namespace {

model::ModelConfig config_of_7b() {
  return model::parse_config_json(
      read_text_file(source_dir() + "/models/configs/Qwen2.5-7B-Instruct.json"));
}

EngineOptions with(KvType type, std::uint64_t context) {
  EngineOptions options;
  options.kv_type = type;
  options.context = context;
  return options;
}

Error thrown_by(const std::function<void()>& call) {
  try {
    call();
  } catch (const Error& error) {
    return error;
  }
  ADD_FAILURE() << "nothing was thrown";
  return Error(ErrorCode::kUsage, "");
}

TEST(Backends, AreFoundByName) {
  for (const Backend* backend : backends()) {
    EXPECT_NE(backend_names().find(backend->name()), std::string::npos);
    EXPECT_EQ(usable_backend_names().find(backend->name()) != std::string::npos,
              backend->available());
    if (!backend->available()) continue;
    EXPECT_EQ(&backend_by_name(backend->name()), backend);
  }
  EXPECT_EQ(backend_by_name("cpu").name(), "cpu");
  EXPECT_TRUE(default_backend().available());
  const Error error = thrown_by([] { backend_by_name("gpu"); });
  EXPECT_EQ(error.code(), ErrorCode::kUsage);
  EXPECT_NE(error.hint().find("cpu"), std::string::npos) << error.hint();
}

// Nobody but the backend that the options name is asked, neither for memory nor for an engine.
class FakeBackend final : public Backend {
 public:
  std::string_view name() const noexcept override { return "fake"; }
  bool available() const noexcept override { return true; }
  std::string description() const override { return "nothing"; }
  MemoryNeeds needs(const model::ModelConfig&, const EngineOptions& options) const override {
    return {options.context * 10, 10, 100};
  }
  std::unique_ptr<Engine> open(model::Checkpoint, const EngineOptions&) const override {
    ++opened;
    return nullptr;
  }
  mutable int opened = 0;
};

TEST(Backends, TheChosenOneDecides) {
  const FakeBackend fake;
  EngineOptions options = with(KvType::kF32, 50);
  options.backend = &fake;
  const model::ModelConfig config = config_of_7b();
  EXPECT_EQ(memory_needs(config, options).total(), 600u);
  EXPECT_EQ(memory_needs(config, options, 7).keys_values, 70u);
  EXPECT_EQ(longest_context(config, options, 100 + 2560), 256u);
  EXPECT_EQ(longest_context(config, options, 100 + 2559), 0u);
  const auto open = [&] { open_engine(model::Checkpoint::open(kTinyModel), options); };
  options.memory_budget = 600;
  open();
  EXPECT_EQ(fake.opened, 1);
  options.memory_budget = 599;
  EXPECT_EQ(thrown_by(open).code(), ErrorCode::kOutOfMemory);
  EXPECT_EQ(fake.opened, 1);
}

TEST(CpuBackend, NeedsItsKeysAndValuesAndItsWork) {
  const model::ModelConfig config = config_of_7b();
  const MemoryNeeds needs = memory_needs(config, with(KvType::kF16, 4096));
  // 28 layers, keys and values of 4 heads of 128, two bytes each.
  EXPECT_EQ(needs.per_position, 28u * 2 * 4 * 128 * 2);
  EXPECT_EQ(needs.keys_values, 4096 * needs.per_position);
  EXPECT_GT(needs.work, config.vocab * sizeof(float));
  EXPECT_EQ(memory_needs(config, with(KvType::kQ4_0, 8)).work, needs.work);
}

TEST(CpuBackend, OpensWhatTheOptionsSay) {
  EngineOptions options = with(KvType::kQ8_0, 64);
  options.pool = std::make_shared<TaskPool>(1);
  const auto run = [](Engine& engine) {
    const BatchRow row{engine.create_session(), 0, 5, true};
    std::vector<float> logits(engine.config().vocab);
    forward(engine, {&row, 1}, logits, StopFlag{});
    return logits;
  };
  const auto engine = open_engine(model::Checkpoint::open(kTinyModel), options);
  EXPECT_EQ(engine->backend(), "cpu");
  const std::vector<float> narrow = run(*engine);
  options.kv_type = KvType::kF32;
  const auto exact = open_engine(model::Checkpoint::open(kTinyModel), options);
  EXPECT_NE(run(*exact), narrow);
  TinyEngine tiny;
  EXPECT_EQ(run(*exact), run(tiny.engine));
}

TEST(LongestContext, IsTheLastThatFits) {
  const model::ModelConfig config = config_of_7b();
  for (const std::uint64_t limit : {1'000'000'000ull, 3'900'000'000ull, 50'000'000'000ull}) {
    for (const KvType type : {KvType::kF32, KvType::kQ4_0}) {
      const EngineOptions options = with(type, 0);
      const std::uint64_t longest = longest_context(config, options, limit);
      EXPECT_GT(longest, 0u);
      EXPECT_EQ(longest % 256, 0u);
      EXPECT_LE(memory_needs(config, options, longest).total(), limit);
      EXPECT_GT(memory_needs(config, options, longest + 256).total(), limit);
    }
  }
  EXPECT_EQ(longest_context(config, {}, 1000), 0u);
}

TEST(WaysToFit, NamesWhatFits) {
  const model::ModelConfig config = config_of_7b();
  const std::uint64_t f16 = memory_needs(config, with(KvType::kF16, 32768)).total();
  const std::string both = ways_to_fit_context(config, with(KvType::kF32, 32768), f16);
  EXPECT_EQ(both.rfind("try --kv-cache f16 (", 0), 0u) << both;
  EXPECT_NE(both.find(" or --ctx "), std::string::npos) << both;
  const std::string narrower = ways_to_fit_context(config, with(KvType::kF32, 32768), f16 - 1);
  EXPECT_EQ(narrower.rfind("try --kv-cache q8_0 (", 0), 0u) << narrower;
  // The narrowest already: only the context is left.
  const std::string shorter =
      ways_to_fit_context(config, with(KvType::kQ3_0, 1u << 24), 8'000'000'000);
  EXPECT_EQ(shorter.rfind("try --ctx ", 0), 0u) << shorter;
  EXPECT_EQ(ways_to_fit_context(config, with(KvType::kF32, 32768), 1000),
            "close other programs, or use a smaller model");
}

}  // namespace
}  // namespace pajamas::runtime
