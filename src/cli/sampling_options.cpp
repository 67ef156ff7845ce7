#include "cli/sampling_options.h"

namespace pajamas::cli {
namespace {

template <class Number>
void override_with(Number& value, const std::optional<Number>& flag) {
  if (flag) value = *flag;
}

}  // namespace

void add_sampling_options(const Command& command, SamplingFlags& flags) {
  const auto add = [&](const char* name, auto& value, const char* what, const char* type = "X") {
    command.add_option(name, value, what).type_name(type);
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
                                        runtime::SamplerOptions standard) {
  override_with(standard.temperature, flags.temperature);
  override_with(standard.top_k, flags.top_k);
  override_with(standard.top_p, flags.top_p);
  override_with(standard.min_p, flags.min_p);
  override_with(standard.repeat_penalty, flags.repeat_penalty);
  standard.seed = flags.seed;
  runtime::check(standard);
  return standard;
}

}  // namespace pajamas::cli
