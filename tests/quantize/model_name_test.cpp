#include "quantize/model_name.h"

#include <gtest/gtest.h>

namespace pajamas::quantize {
namespace {

struct Case {
  const char* folder;
  std::uint64_t parameters;
  ModelName expected;
  const char* label;
};

// Expected values: gguf 0.19, Metadata.get_model_id_components, id_to_title and size_label.
const Case kCases[] = {
    {"Qwen2.5-7B-Instruct",
     7615616512,
     {"Qwen2.5 7B Instruct", "Qwen2.5", "Instruct", "", "7B"},
     "7.6B"},
    {"Mistral-7B-Instruct-v0.3",
     7248023552,
     {"Mistral 7B Instruct v0.3", "Mistral", "Instruct", "v0.3", "7B"},
     "7.2B"},
    {"tiny-qwen2", 4198656, {"Tiny Qwen2", "", "", "", ""}, "4.2M"},
    {"Llama-3.2-3B", 3212749824, {"Llama 3.2 3B", "Llama-3.2", "", "", "3B"}, "3.2B"},
    {"Phi-3-mini-128k-instruct",
     3821079552,
     {"Phi 3 Mini 128k Instruct", "Phi-3", "128k-instruct", "", "mini"},
     "3.8B"},
    {"bloom-7b1", 7069016064, {"Bloom 7b1", "bloom", "", "", "7.1B"}, "7.1B"},
    {"my model", 1000, {"my model", "", "", "", ""}, "1.0K"},
    {"DeepSeek-R1-Distill-Qwen-7B",
     7615616512,
     {"DeepSeek R1 Distill Qwen 7B", "DeepSeek-R1-Distill-Qwen", "", "", "7B"},
     "7.6B"},
    {"Qwen2.5-0.5B", 494032768, {"Qwen2.5 0.5B", "Qwen2.5", "", "", "0.5B"}, "494M"},
};

TEST(ModelName, ReadsAsTheConverterDoes) {
  for (const Case& c : kCases) {
    const ModelName name = parse_model_name(c.folder, c.parameters);
    EXPECT_EQ(name.title, c.expected.title) << c.folder;
    EXPECT_EQ(name.basename, c.expected.basename) << c.folder;
    EXPECT_EQ(name.finetune, c.expected.finetune) << c.folder;
    EXPECT_EQ(name.version, c.expected.version) << c.folder;
    EXPECT_EQ(name.size_label, c.expected.size_label) << c.folder;
    EXPECT_EQ(size_label(c.parameters), c.label) << c.folder;
  }
}

}  // namespace
}  // namespace pajamas::quantize
