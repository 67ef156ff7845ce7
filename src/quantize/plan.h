// What will be written, to the byte, before anything is: the plan is printed by `plan` and
// `--dry-run`, and `execute` does what it says and nothing else.
#pragma once

#include <array>
#include <cstdint>
#include <filesystem>
#include <memory>
#include <nlohmann/json_fwd.hpp>
#include <optional>
#include <string>
#include <vector>

#include "model/checkpoint.h"
#include "quantize/recipe.h"

namespace pajamas::quantize {

struct PlannedPlane {
  std::size_t file = 0;      // index into PlannedOutput::files
  std::uint64_t offset = 0;  // from the start of that file
};

// Rows of q and k lie half a head apart from those they turn with, or beside them.
enum class RowOrder : std::uint8_t { kSame, kInterleave, kSeparate };

struct PlannedTensor {
  model::TensorSpec spec = {};
  std::string name;  // in the output's format
  Encoding encoding;
  std::string reason;
  std::uint64_t bytes = 0;
  std::array<PlannedPlane, Encoding::kMaxPlanes> planes;
  bool repacked = false;  // the stored numbers are taken over bit for bit
  RowOrder row_order = RowOrder::kSame;
  std::uint64_t head_dim = 0;  // where rows change their order
  std::string content;         // of a tensor that no checkpoint holds; else empty

  // Rows of a plane that come before those of row `row`, the first of its matrix or the first of
  // some that share one: no matrix of a stack shares a row with the next.
  std::uint64_t rows_before(std::size_t plane, std::uint64_t row) const;
  // Where a row of the source goes.
  std::uint64_t target_row(std::uint64_t row) const noexcept;
};

// A file that holds tensors.
struct PlannedFile {
  std::string name;    // inside the output; empty where the output is this one file
  std::string header;  // the bytes before the first tensor
  std::uint64_t bytes = 0;
};

// A file whose content is known already: configuration, tokenizer, index.
struct SmallFile {
  std::string name;
  std::string content;
};

struct PlannedOutput {
  Format format = Format::kGguf;
  std::string method;
  std::filesystem::path path;
  std::vector<PlannedTensor> tensors;
  std::vector<PlannedFile> files;
  std::vector<SmallFile> small_files;
  std::uint64_t tensor_bytes = 0;
  std::uint64_t file_bytes = 0;  // all files of the output
  double bits_per_weight = 0;    // tensor_bytes over the model's parameters
};

struct Plan {
  std::vector<PlannedOutput> outputs;
  std::vector<std::string> notes;       // what the user should know: translations, gaps
  std::uint64_t peak_memory_bytes = 0;  // anonymous memory that executing it takes, at most
};

struct PlanInput;  // quantize/plan_input.h

// The first tensor of an output that needs an importance matrix (recipe.h), or nullptr; what is
// taken over bit for bit needs none.
const PlannedTensor* first_needing_importance(const PlannedOutput& output) noexcept;

Plan make_plan(const PlanInput& input, const std::vector<Recipe>& recipes, int threads);

// The report of `plan --json`.
nlohmann::ordered_json to_json(const Plan& plan);

}  // namespace pajamas::quantize
