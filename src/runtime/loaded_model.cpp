#include "runtime/loaded_model.h"

#include <utility>

#include "base/error.h"
#include "model/sampling.h"
#include "runtime/backend_choice.h"
#include "weights/finite.h"

namespace pajamas::runtime {
namespace {

// `options` with one field set, unless that makes no sense.
template <class Number>
void recommend(SamplerOptions& options, Number SamplerOptions::*field,
               std::optional<double> value) {
  if (!value) return;
  SamplerOptions changed = options;
  changed.*field = static_cast<Number>(*value);
  try {
    check(changed);
    options = changed;
  } catch (const Error&) {
    // The makers' file says something that no sampler can do; our default stands.
  }
}

EngineOptions settled(EngineOptions options, const model::Checkpoint& checkpoint) {
  if (options.context == 0) options.context = default_context(checkpoint.config());
  settle_backend(checkpoint.container(), options);
  return options;
}

}  // namespace

SamplerOptions recommended_sampling(const model::Checkpoint& checkpoint) {
  using Options = SamplerOptions;
  Options options;
  const model::Sampling found = model::read_sampling(checkpoint);
  recommend(options, &Options::temperature, found.temperature);
  recommend(options, &Options::top_k, found.top_k);
  recommend(options, &Options::top_p, found.top_p);
  recommend(options, &Options::min_p, found.min_p);
  recommend(options, &Options::repeat_penalty, found.repeat_penalty);
  recommend(options, &Options::penalty_last_n, found.penalty_last_n);
  return options;
}

LoadedModel::LoadedModel(model::Checkpoint checkpoint, EngineOptions options,
                         model::TextAssets text)
    : checkpoint_(std::move(checkpoint)),
      options_(settled(std::move(options), checkpoint_)),
      sampling_(recommended_sampling(checkpoint_)),
      text_(std::move(text), checkpoint_.config().vocab),
      engine_(open_engine(checkpoint_.share(), options_)) {}

LoadedModel LoadedModel::open(const std::filesystem::path& path, EngineOptions options,
                              const model::TextOptions& text) {
  model::Checkpoint checkpoint = model::Checkpoint::open(path);
  model::TextAssets assets = model::load_text_assets(checkpoint, text);
  return LoadedModel(std::move(checkpoint), std::move(options), std::move(assets));
}

std::vector<std::string> LoadedModel::notes() const {
  std::vector<std::string> notes = config().notes;
  notes.insert(notes.end(), text_.notes().begin(), text_.notes().end());
  return notes;
}

void throw_bad_weight(std::span<const LoadedModel* const> models) {
  for (const LoadedModel* model : models) {
    const EngineOptions& options = model->options();
    weights::require_finite(model->checkpoint(), *options.kernels, *options.pool);
  }
}

}  // namespace pajamas::runtime
