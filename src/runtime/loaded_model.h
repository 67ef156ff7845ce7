// A model that is ready to run: what a program needs of it, be it a command, a test or a server.
#pragma once

#include <cstdint>
#include <filesystem>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "base/error.h"
#include "model/checkpoint.h"
#include "model/text_model.h"
#include "runtime/backend.h"
#include "runtime/sampler.h"

namespace pajamas::runtime {

// Of the makers' recommendations those that make sense, over our own defaults.
SamplerOptions recommended_sampling(const model::Checkpoint& checkpoint);

// Stays where it is: sessions and conversations refer to its parts. What it gives out as const may
// be shared by threads; the engine is for one at a time.
class LoadedModel {
 public:
  // Of a checkpoint that is open and what was read of its text: nothing is opened twice. An
  // `options.context` of 0 becomes default_context. Throws as open_engine and TextModel do.
  LoadedModel(model::Checkpoint checkpoint, EngineOptions options, model::TextAssets text);
  // Of a path. Throws as Checkpoint::open and load_text_assets do, too.
  static LoadedModel open(const std::filesystem::path& path, EngineOptions options,
                          const model::TextOptions& text = {});
  LoadedModel(const LoadedModel&) = delete;
  LoadedModel& operator=(const LoadedModel&) = delete;

  // The files, which the engine has open too.
  const model::Checkpoint& checkpoint() const noexcept { return checkpoint_; }
  Engine& engine() const noexcept { return *engine_; }
  const model::ModelConfig& config() const noexcept { return engine_->config(); }
  // How the engine was opened.
  const EngineOptions& options() const noexcept { return options_; }
  // Positions that a session is to have room for.
  std::uint64_t context() const noexcept { return options_.context; }
  MemoryNeeds memory_needs() const { return runtime::memory_needs(config(), options_); }
  const model::TextModel& text() const noexcept { return text_; }
  // As the makers recommend, else ours.
  const SamplerOptions& sampling() const noexcept { return sampling_; }
  // What the user should know of how files and text were read.
  std::vector<std::string> notes() const;
  // Runs `fn`, as the function of the same name below does.
  template <class Fn>
  decltype(auto) naming_bad_weights(Fn&& fn) const;

 private:
  model::Checkpoint checkpoint_;
  EngineOptions options_;
  SamplerOptions sampling_;
  model::TextModel text_;
  std::unique_ptr<Engine> engine_;
};

// Looks through the weights of models that computed something that is not finite and throws the
// Error{kCorruptFile} that names file, tensor and row, if one of them is not; reads all of them.
void throw_bad_weight(std::span<const LoadedModel* const> models);

// Runs `fn`, which runs these models. Where it finds a model corrupt, the weights are searched for
// the reason as above; where they are sound, its error is told to be of the first model.
template <class Fn>
decltype(auto) naming_bad_weights(std::span<const LoadedModel* const> models, Fn&& fn) {
  try {
    return fn();
  } catch (Error& error) {
    if (error.code() != ErrorCode::kCorruptFile) throw;
    throw_bad_weight(models);
    error.at(printable(models.front()->checkpoint().path().native(), 300));
    throw;
  }
}

template <class Fn>
decltype(auto) LoadedModel::naming_bad_weights(Fn&& fn) const {
  const LoadedModel* const self = this;
  return runtime::naming_bad_weights({&self, 1}, fn);
}

}  // namespace pajamas::runtime
