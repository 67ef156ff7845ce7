// The arguments that `quantize` and `plan` share.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "cli/command.h"
#include "cli/command_line.h"
#include "quantize/plan_input.h"
#include "quantize/size_target.h"

namespace pajamas::cli {

struct QuantizeOptions {
  std::string model;
  bool no_download = false;
  std::string pre_tokenizer;
  std::string config;   // plan only
  std::string formats;  // empty: gguf, or those of the preset
  std::string methods;
  std::string preset;
  std::string recipe;
  std::string output;
  std::string output_name;  // a pattern; empty: names of our own
  std::string split_size;
  std::string target_size;
  std::optional<double> target_bpw;
  std::optional<int> group_size;  // 64
  bool mixed_precision = false;
  std::optional<int> embedding_bits;
  std::optional<int> output_bits;
  std::vector<std::string> tensor_types;
  bool allow_requantize = false;
  bool no_fallback = false;
  bool architecture_aware = false;
  bool preserve_attention_patterns = false;
  bool expert_balanced = false;
  std::string imatrix;
  bool all = false;  // of the plan: every tensor
  int threads = 1;
};

void add_quantize_options(const Command& command, QuantizeOptions& options);

// One recipe an output, those of a format side by side, and the notes to tell. With --preset there
// is none until the model is known. Throws Error{kUsage}, naming the option.
struct Recipes {
  std::vector<quantize::Recipe> recipes;
  std::vector<std::string> notes;
};
Recipes recipes_of(const QuantizeOptions& options);

// Those of --preset, where it is given.
void add_preset_recipes(const QuantizeOptions& options, const quantize::PlanInput& input,
                        Recipes& recipes);

// What --target-size or --target-bpw says in place of --method; nothing where neither is given.
std::optional<quantize::SizeTarget> size_target(const QuantizeOptions& options);

// Outputs get the names that --output-name gives for the model, where it is used.
void name_outputs(const QuantizeOptions& options, const quantize::PlanInput& input,
                  std::vector<quantize::Recipe>& recipes);

}  // namespace pajamas::cli
