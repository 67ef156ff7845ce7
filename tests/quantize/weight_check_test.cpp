// What is said of weights that are too small for what they become.
#include "quantize/weight_check.h"

#include <gtest/gtest.h>

#include <vector>

#include "paths.h"
#include "quantize/plan_input.h"

namespace pajamas::quantize {
namespace {

// The notes about one output where all weights of one tensor are of this size.
std::vector<std::string> notes_of(Format format, const char* method, float size) {
  std::optional<model::Checkpoint> checkpoint;
  const PlanInput input = load_plan_input(source_dir() + "/models/tiny-qwen2", &checkpoint);
  Recipe recipe;
  recipe.format = format;
  recipe.method = method;
  recipe.output = "nowhere";
  const Plan plan = make_plan(input, {recipe}, 1);
  WeightCheck check(plan, *checkpoint);
  const model::StoredTensor& tensor = checkpoint->get({model::Role::kFfnDown, 1});
  std::vector<float> row(tensor.shape.cols(), size);
  row[3] = -size / 2;
  check.look(tensor, 0, row, 1);
  row.assign(row.size(), 0);
  check.look(tensor, 1, row, 1);
  return check.vanished();
}

TEST(WeightCheck, TellsWhatBecomesZeroInThisOutput) {
  struct Case {
    Format format;
    const char* method;
    float most;  // that is stored as 0
    const char* by;
  };
  for (const Case& c : {Case{Format::kGguf, "Q8_0", 0x1p-25f, "F16 has only 0"},
                        Case{Format::kMlx, "nvfp4", 0x1p-11f, "nvfp4 has only 0"}}) {
    const auto lost = notes_of(c.format, c.method, c.most);
    ASSERT_EQ(lost.size(), 1u) << c.method;
    EXPECT_NE(lost[0].find(c.by), std::string::npos) << lost[0];
    EXPECT_NE(lost[0].find("down"), std::string::npos) << lost[0];
    EXPECT_TRUE(notes_of(c.format, c.method, c.most * 1.01f).empty()) << c.method;
    EXPECT_TRUE(notes_of(c.format, c.method, 0).empty()) << c.method;
  }
  EXPECT_TRUE(notes_of(Format::kMlx, "mxfp8", 0x1p-25f).empty());
  EXPECT_TRUE(notes_of(Format::kMlx, "4bit", 0x1p-25f).empty());
}

}  // namespace
}  // namespace pajamas::quantize
