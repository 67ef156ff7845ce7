// Figures of models that were measured before: what `validate`, `benchmark` and `compare` printed
// with --json.
#pragma once

#include <cstdint>
#include <nlohmann/json_fwd.hpp>
#include <optional>
#include <string>
#include <vector>

namespace pajamas::cli {

// A share with Wilson's interval.
struct MeasuredAccuracy {
  double accuracy = 0, low = 0, high = 0;
  std::uint64_t questions = 0;
};

// Tokens a second at one depth of the cache.
struct MeasuredRates {
  std::uint64_t context = 0;
  std::optional<double> prompt, generation;
  std::uint64_t bytes_per_token = 0;        // 0: not told
  std::uint64_t resident_memory_bytes = 0;  // 0: not told
};

// What is absent was not measured.
struct MeasuredFigures {
  std::string model;  // as it was named when it was measured
  // On a text.
  std::optional<double> perplexity, perplexity_stderr;
  std::string text;  // "embedded", or a file
  std::uint64_t context = 0, tokens = 0;
  // Against a reference.
  std::string reference;
  std::optional<double> reference_perplexity, loss_percent, kl_mean, kl_stderr, kl_p99, top1;
  std::string quality_file;  // the report that told this; empty: none did
  std::optional<MeasuredAccuracy> mmlu;
  std::optional<double> reference_mmlu;
  std::string mmlu_file;
  // Speed, and where.
  std::vector<MeasuredRates> rates;
  std::string processor, backend;
  std::string rates_file;

  bool has_quality() const noexcept { return perplexity || mmlu; }
};

// Of a report, which came from `file`; one of `compare` has several models. Throws
// Error{kCorruptFile} for what is no report of these commands.
std::vector<MeasuredFigures> figures_of(const nlohmann::json& report, const std::string& file = {});

// --measured FILE, one or several: all that they hold. Throws as read_json_file, naming the file.
std::vector<MeasuredFigures> read_measured(const std::vector<std::string>& files);

// Whether figures for the model called `named` are those of the model at `path`, which the user
// calls `given`: by the whole name, or by its last part.
bool is_of(const std::string& named, const std::string& path, const std::string& given);

// What is told of one model in two runs: figures that were measured together stay together, and of
// those that both have the newer ones count.
MeasuredFigures together(MeasuredFigures all, const MeasuredFigures& newer);

// All that is told of this model, together: what comes later in `all` counts. Empty where nothing
// is.
std::optional<MeasuredFigures> figures_for(const std::vector<MeasuredFigures>& all,
                                           const std::string& path, const std::string& given);

}  // namespace pajamas::cli
