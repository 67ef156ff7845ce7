#include "cli/sampling_defaults.h"

#include <filesystem>
#include <nlohmann/json.hpp>

#include "base/error.h"
#include "model/json_file.h"
#include "model/sampling.h"

namespace pajamas::cli {
namespace {

// What the makers say, in the file that belongs to the container.
model::Sampling recommended(const model::Checkpoint& checkpoint) {
  if (checkpoint.gguf() != nullptr) return model::read_sampling(*checkpoint.gguf());
  const auto path = checkpoint.path() / "generation_config.json";
  if (!std::filesystem::is_regular_file(path)) return {};
  return model::read_sampling(model::read_json_file(path));
}

// `options` with one field set, unless that makes no sense.
template <class Number>
void recommend(runtime::SamplerOptions& options, Number runtime::SamplerOptions::*field,
               std::optional<double> value) {
  if (!value) return;
  runtime::SamplerOptions changed = options;
  changed.*field = static_cast<Number>(*value);
  try {
    runtime::check(changed);
    options = changed;
  } catch (const Error&) {
    // The makers' file says something that no sampler can do; our default stands.
  }
}

template <class Number>
void override_with(Number& value, const std::optional<Number>& flag) {
  if (flag) value = *flag;
}

}  // namespace

void add_sampling_options(CLI::App& command, SamplingFlags& flags) {
  const auto add = [&](const char* name, auto& value, const char* what, const char* type = "X") {
    command.add_option(name, value, what)->type_name(type);
  };
  add("--temperature,--temp", flags.temperature,
      "0: always the likeliest token (default: the setting temperature, else the model's own, else "
      "0.8)");
  add("--top-k", flags.top_k, "Keep the K likeliest; 0: all (default: the model's, else 40)", "N");
  add("--top-p", flags.top_p, "Keep this share of likelihood (default: the model's, else 0.95)");
  add("--min-p", flags.min_p, "Drop below this share of the likeliest (default: 0.05)");
  add("--repeat-penalty", flags.repeat_penalty,
      "Over the last 64 tokens, or as many as the model says; 1: none (default: the model's, else "
      "1)");
  add("--seed", flags.seed, "The same seed gives the same text (default: 0)", "N");
}

runtime::SamplerOptions sampler_options(const SamplingFlags& flags,
                                        const model::Checkpoint& checkpoint) {
  using Options = runtime::SamplerOptions;
  Options options;
  const model::Sampling found = recommended(checkpoint);
  recommend(options, &Options::temperature, found.temperature);
  recommend(options, &Options::top_k, found.top_k);
  recommend(options, &Options::top_p, found.top_p);
  recommend(options, &Options::min_p, found.min_p);
  recommend(options, &Options::repeat_penalty, found.repeat_penalty);
  recommend(options, &Options::penalty_last_n, found.penalty_last_n);
  override_with(options.temperature, flags.temperature);
  override_with(options.top_k, flags.top_k);
  override_with(options.top_p, flags.top_p);
  override_with(options.min_p, flags.min_p);
  override_with(options.repeat_penalty, flags.repeat_penalty);
  options.seed = flags.seed;
  runtime::check(options);
  return options;
}

}  // namespace pajamas::cli
