#include "cli/used_matrix.h"

#include <fmt/format.h>

#include <algorithm>
#include <memory>
#include <nlohmann/json.hpp>
#include <utility>

#include "base/error.h"
#include "base/readable.h"
#include "base/system.h"
#include "calibrate/collect.h"
#include "cli/imatrix_options.h"
#include "cli/load_model.h"
#include "cli/shell_words.h"
#include "cli/text_option.h"
#include "runtime/loaded_model.h"

namespace pajamas::cli {
namespace {

// What a file says of a matrix that no file holds.
constexpr std::string_view kMeasured = "measured by llama-pajamas quantize";

quantize::ImportanceOrigin origin_of(const io::Imatrix& matrix, std::string file) {
  return {std::move(file), matrix.datasets.empty() ? "" : matrix.datasets.front(),
          matrix.entries.size(), matrix.chunks};
}

void tell_recipes(const quantize::ImportanceOrigin& origin,
                  std::vector<quantize::Recipe>& recipes) {
  for (quantize::Recipe& recipe : recipes) recipe.importance = origin;
}

// It writes token by token, so that all of its weights are read for each.
void require_room(const model::Checkpoint& checkpoint) {
  if (fits_memory(checkpoint)) return;
  throw Error(ErrorCode::kOutOfMemory,
              fmt::format("the model is to write text, its weights take {} and {} of memory are "
                          "free",
                          readable_bytes(weights_bytes(checkpoint)),
                          readable_bytes(available_memory_bytes())),
              "measure a matrix on a text (`llama-pajamas imatrix MODEL --text FILE --output "
              "matrix.gguf`) and give it with --imatrix")
      .at("--expert-balanced");
}

// Of the first output that needs a matrix and has none.
std::optional<Error> missing_matrix(const quantize::Plan& plan,
                                    const std::vector<quantize::Recipe>& recipes,
                                    const std::string& model) {
  for (std::size_t i = 0; i < recipes.size(); ++i) {
    if (recipes[i].importance) continue;
    const quantize::PlannedTensor* tensor = quantize::first_needing_importance(plan.outputs[i]);
    if (tensor == nullptr) continue;
    Error error(ErrorCode::kUsage,
                fmt::format("{} is to be {}, which needs an importance matrix", tensor->name,
                            tensor->encoding.name()),
                fmt::format("make one with `{}`, then add --imatrix matrix.gguf",
                            shell_command({"llama-pajamas", "imatrix", path_argument(model),
                                           "--text", "FILE", "--output", "matrix.gguf"})));
    return std::move(error).at(fmt::format("--method {}", recipes[i].method));
  }
  return std::nullopt;
}

}  // namespace

void require_matrix(const quantize::Plan& plan, const std::vector<quantize::Recipe>& recipes,
                    const std::string& model) {
  if (const auto error = missing_matrix(plan, recipes, model)) throw Error(*error);
}

void tell_missing_matrix(const quantize::Plan& plan, const std::vector<quantize::Recipe>& recipes,
                         const std::string& model, Progress& progress) {
  const auto error = missing_matrix(plan, recipes, model);
  if (error)
    progress.note(fmt::format("{}: quantize will refuse this: {}; {}", error->place(),
                              error->problem(), error->hint()));
}

std::optional<io::Imatrix> given_matrix(const QuantizeOptions& options) {
  if (options.imatrix.empty()) return std::nullopt;
  return with_context("--imatrix", [&] { return io::read_imatrix(options.imatrix); });
}

UsedMatrix use_matrix(const io::Imatrix& matrix, const std::string& file,
                      const model::ModelConfig& config, std::vector<quantize::Recipe>& recipes) {
  return with_context(printable(file, 300), [&] {
    UsedMatrix used{origin_of(matrix, file), quantize::MeasuredImportance(matrix, config)};
    tell_recipes(used.origin, recipes);
    return used;
  });
}

bool expects_own_matrix(const QuantizeOptions& options, const model::ModelConfig& config,
                        std::vector<quantize::Recipe>& recipes) {
  if (!options.expert_balanced || !options.imatrix.empty() || config.experts == 0) return false;
  io::Imatrix matrix = calibrate::empty_matrix(config, false);
  matrix.datasets.emplace_back(kOwnText);
  matrix.chunks = 1;  // so that the key is there, with the size that it will have
  tell_recipes(origin_of(matrix, std::string(kMeasured)), recipes);
  return true;
}

UsedMatrix own_matrix(const std::string& path, const QuantizeOptions& options,
                      const kernels::KernelTable& kernels, Context& context,
                      std::vector<quantize::Recipe>& recipes) {
  ImatrixFlags flags;
  flags.balance = true;
  model::Checkpoint checkpoint = model::Checkpoint::open(path);
  require_room(checkpoint);
  runtime::EngineOptions engine;
  engine.pool = std::make_shared<const TaskPool>(options.threads);
  engine.kernels = &kernels;
  engine.context = std::min<std::uint64_t>(static_cast<std::uint64_t>(flags.context),
                                           checkpoint.config().context_length);
  flags.context = static_cast<std::int64_t>(engine.context);
  const calibrate::CollectOptions collecting =
      collect_options(flags, options.output, checkpoint, engine, *context.progress);
  const model::ModelConfig config = checkpoint.config();
  model::TextAssets assets = load_text(checkpoint, options.pre_tokenizer, *context.progress);
  const runtime::LoadedModel model(std::move(checkpoint), engine, std::move(assets));
  calibrate::Collected result = model.naming_bad_weights([&] {
    return calibrate::collect(model.engine(), model.text(), {}, collecting, *context.progress,
                              context.stop);
  });
  tell_coverage(result, flags, *context.progress);
  result.matrix.datasets.emplace_back(kOwnText);
  return use_matrix(result.matrix, std::string(kMeasured), config, recipes);
}

void tell_matrix(const UsedMatrix& matrix, Progress& progress) {
  const quantize::ImportanceOrigin& origin = matrix.origin;
  progress.note(fmt::format(
      "importance matrix: {} entries{}{}", origin.entries,
      origin.chunks > 0 ? fmt::format(", {} chunks", with_thousands(origin.chunks)) : "",
      origin.dataset.empty() ? "" : fmt::format(" of {}", printable(origin.dataset, 100))));
  for (const std::string& note : matrix.importance.notes()) progress.note(note);
}

nlohmann::ordered_json to_json(const UsedMatrix& matrix) {
  nlohmann::ordered_json leaning = nlohmann::ordered_json::array();
  for (const quantize::LeaningExperts& layer : matrix.importance.leaning()) {
    nlohmann::ordered_json experts = nlohmann::ordered_json::array();
    for (const auto& [expert, tokens] : layer.experts) {
      experts.push_back({{"expert", expert}, {"tokens", tokens}});
    }
    leaning.push_back({{"layer", layer.layer}, {"experts", std::move(experts)}});
  }
  return {{"file", matrix.origin.file},
          {"dataset", matrix.origin.dataset},
          {"entries", matrix.origin.entries},
          {"chunks", matrix.origin.chunks},
          {"unmatched", matrix.importance.unmatched()},
          {"without", matrix.importance.without()},
          {"leaning", std::move(leaning)}};
}

}  // namespace pajamas::cli
