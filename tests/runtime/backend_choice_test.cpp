// What --backend auto chooses, on this machine and on those that it is not.
#include "runtime/backend_choice.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "model/checkpoint.h"
#include "runtime/backend.h"
#include "runtime/tiny_engine.h"

namespace pajamas::runtime {
namespace {

using model::Container;
using Obstacles = std::map<std::string, std::string, std::less<>>;

// Of the backends but the processor's: those that are named have an obstacle, "" for none; the
// others are not in the program.
struct Asked {
  BackendChoice choice;
  std::vector<std::string> names;  // of whom it was asked
};
Asked choose(bool apple, Container container, const Obstacles& obstacles) {
  Asked asked;
  asked.choice =
      choose_backend({apple, container, [&](std::string_view name) -> std::optional<std::string> {
                        asked.names.emplace_back(name);
                        const auto found = obstacles.find(name);
                        if (found == obstacles.end()) return "not in this program";
                        if (found->second.empty()) return std::nullopt;
                        return found->second;
                      }});
  return asked;
}

TEST(AnyBackend, IsMlxForItsDirectoriesOnAppleSilicon) {
  for (const bool gpu : {false, true}) {
    Obstacles all{{"mlx", ""}};
    if (gpu) all["cuda"] = "";
    const auto [choice, names] = choose(true, Container::kMlx, all);
    EXPECT_EQ(choice.name, "mlx");
    EXPECT_EQ(choice.why, "an MLX directory on Apple silicon");
    EXPECT_TRUE(choice.notable);
  }
}

TEST(AnyBackend, IsTheProcessorForOtherFormatsThere) {
  for (const Container container : {Container::kGguf, Container::kHuggingFace}) {
    const auto [choice, names] = choose(true, container, {{"mlx", ""}});
    EXPECT_EQ(choice.name, "cpu");
    EXPECT_FALSE(choice.notable);
    EXPECT_EQ(std::ranges::count(names, "mlx"), 0) << "it would be loaded for nothing";
  }
}

TEST(AnyBackend, SaysWhyMlxIsNotTaken) {
  const auto [choice, names] = choose(true, Container::kMlx, {{"mlx", "there is no plug-in"}});
  EXPECT_EQ(choice.name, "cpu");
  EXPECT_EQ(choice.why, "mlx cannot run it: there is no plug-in");
  EXPECT_TRUE(choice.notable);
}

TEST(AnyBackend, IsNeverMlxElsewhere) {
  for (const Container container : {Container::kGguf, Container::kMlx, Container::kHuggingFace}) {
    const auto [choice, names] = choose(false, container, {{"mlx", ""}});
    EXPECT_EQ(choice.name, "cpu");
    EXPECT_EQ(choice.notable, container == Container::kMlx) << choice.why;
    EXPECT_EQ(std::ranges::count(names, "mlx"), 0);
  }
}

TEST(AnyBackend, IsTheGpuWhereOneIs) {
  for (const bool apple : {false, true}) {
    for (const Container container : {Container::kGguf, Container::kMlx, Container::kHuggingFace}) {
      const auto [choice, names] = choose(apple, container, {{"mlx", "no plug-in"}, {"cuda", ""}});
      EXPECT_EQ(choice.name, "cuda");
      EXPECT_TRUE(choice.notable);
      const auto without = choose(apple, container, {{"mlx", "no plug-in"}, {"cuda", "no driver"}});
      EXPECT_EQ(without.choice.name, "cpu");
    }
  }
}

TEST(AnyBackend, IsSettledOnceForAModel) {
  EngineOptions options;
  EXPECT_FALSE(settle_backend(Container::kGguf, options)) << "the user has chosen";
  options.any_backend = true;
  options.backend = nullptr;
  const auto choice = settle_backend(Container::kGguf, options);
  ASSERT_TRUE(choice);
  ASSERT_NE(options.backend, nullptr);
  EXPECT_EQ(options.backend->name(), choice->name);
  EXPECT_FALSE(options.any_backend);
  EXPECT_FALSE(settle_backend(Container::kGguf, options));
}

TEST(AnyBackend, OpensAModel) {
  EngineOptions options;
  options.any_backend = true;
  options.backend = nullptr;
  options.context = 64;
  options.pool = std::make_shared<TaskPool>(1);
  EXPECT_EQ(open_engine(model::Checkpoint::open(kTinyModel), options)->backend(), "cpu");
}

}  // namespace
}  // namespace pajamas::runtime
