// The importance matrix that `quantize` and `plan` work with: one that was given, or one that is
// measured first.
#pragma once

#include <nlohmann/json_fwd.hpp>
#include <optional>
#include <string>
#include <vector>

#include "cli/command.h"
#include "cli/quantize_options.h"
#include "io/imatrix.h"
#include "kernels/table.h"
#include "quantize/measured_importance.h"
#include "quantize/plan.h"
#include "quantize/recipe.h"

namespace pajamas::cli {

struct UsedMatrix {
  quantize::ImportanceOrigin origin;
  quantize::MeasuredImportance importance;
};

// What --imatrix names; nothing where it is not given. Throws as io::read_imatrix does.
std::optional<io::Imatrix> given_matrix(const QuantizeOptions& options);

// Of a model, told to the recipes. Throws as MeasuredImportance does, naming the file.
UsedMatrix use_matrix(const io::Imatrix& matrix, const std::string& file,
                      const model::ModelConfig& config, std::vector<quantize::Recipe>& recipes);

// Whether a matrix is to be measured first: --expert-balanced of a model with experts, and none
// given. The recipes are then told what is known of it.
bool expects_own_matrix(const QuantizeOptions& options, const model::ModelConfig& config,
                        std::vector<quantize::Recipe>& recipes);

// Measures it on text that the model writes, until every expert has seen enough. Throws
// Error{kOutOfMemory} for a model that does not fit the memory, what calibrate::collect throws.
UsedMatrix own_matrix(const std::string& model, const QuantizeOptions& options,
                      const kernels::KernelTable& kernels, Context& context,
                      std::vector<quantize::Recipe>& recipes);

// Throws Error{kUsage} where an output has types that need a matrix and there is none, naming the
// command that makes one. `plan` and --dry-run only say so, with `tell_missing_matrix`.
void require_matrix(const quantize::Plan& plan, const std::vector<quantize::Recipe>& recipes,
                    const std::string& model);
void tell_missing_matrix(const quantize::Plan& plan, const std::vector<quantize::Recipe>& recipes,
                         const std::string& model, Progress& progress);

// What of it was used, and what of the model it says nothing of.
void tell_matrix(const UsedMatrix& matrix, Progress& progress);
// Of `--json`.
nlohmann::ordered_json to_json(const UsedMatrix& matrix);

}  // namespace pajamas::cli
