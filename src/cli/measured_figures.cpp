#include "cli/measured_figures.h"

#include <fmt/format.h>

#include <cmath>
#include <filesystem>
#include <nlohmann/json.hpp>

#include "base/error.h"
#include "model/json_file.h"

namespace pajamas::cli {
namespace {

using nlohmann::json;

[[noreturn]] void throw_no_report(const std::string& why) {
  throw Error(ErrorCode::kCorruptFile, why,
              "give what `validate`, `benchmark` or `compare` prints with --json");
}

// A key that may be absent or null; of what is there the type is asked for.
const json* present(const json& object, const char* key) {
  const auto found = object.find(key);
  return found == object.end() || found->is_null() ? nullptr : &*found;
}

std::optional<double> number_at(const json& object, const char* key) {
  const json* const value = present(object, key);
  if (value == nullptr) return std::nullopt;
  if (!value->is_number() || !std::isfinite(value->get<double>())) {
    throw_no_report(fmt::format("its {} is no number", key));
  }
  return value->get<double>();
}

std::uint64_t whole_at(const json& object, const char* key) {
  const json* const value = present(object, key);
  if (value == nullptr) return 0;
  const bool whole = value->is_number_integer() &&
                     (value->is_number_unsigned() || value->get<std::int64_t>() >= 0);
  if (!whole) throw_no_report(fmt::format("its {} is no whole number", key));
  return value->get<std::uint64_t>();
}

std::string string_at(const json& object, const char* key) {
  const json* const value = present(object, key);
  if (value == nullptr) return {};
  if (!value->is_string()) throw_no_report(fmt::format("its {} is no text", key));
  return value->get<std::string>();
}

std::optional<MeasuredAccuracy> accuracy_of(const json& object) {
  const auto accuracy = number_at(object, "accuracy");
  if (!accuracy) return std::nullopt;
  MeasuredAccuracy found{.accuracy = *accuracy, .low = *accuracy, .high = *accuracy};
  found.questions = whole_at(object, "questions");
  const json* const interval = present(object, "interval");
  if (interval != nullptr) {
    if (!interval->is_array() || interval->size() != 2 || !(*interval)[0].is_number() ||
        !(*interval)[1].is_number()) {
      throw_no_report("its interval is no pair of numbers");
    }
    found.low = (*interval)[0].get<double>();
    found.high = (*interval)[1].get<double>();
  }
  return found;
}

void take_rates(const json& report, MeasuredFigures& figures) {
  const json* const results = present(report, "results");
  if (results == nullptr) return;
  if (!results->is_array()) throw_no_report("its results are no list");
  for (const json& result : *results) {
    if (!result.is_object()) throw_no_report("its results are no list of objects");
    figures.rates.push_back({.context = whole_at(result, "context"),
                             .prompt = number_at(result, "prompt_tokens_per_second"),
                             .generation = number_at(result, "generation_tokens_per_second"),
                             .bytes_per_token = whole_at(result, "bytes_per_token"),
                             .resident_memory_bytes = whole_at(result, "resident_memory_bytes")});
  }
  figures.backend = string_at(report, "backend");
  const json* const machine = present(report, "machine");
  if (machine != nullptr && machine->is_object()) {
    figures.processor = string_at(*machine, "processor");
  }
}

// One model's part of any of the reports.
MeasuredFigures figures_of_model(const json& report, std::string name, const std::string& file) {
  MeasuredFigures figures;
  figures.model = std::move(name);
  figures.quality_file = figures.mmlu_file = figures.rates_file = file;
  figures.perplexity = number_at(report, "perplexity");
  figures.perplexity_stderr = number_at(report, "perplexity_stderr");
  if (figures.perplexity) {
    figures.text = string_at(report, "text");
    figures.context = whole_at(report, "context");
    figures.tokens = whole_at(report, "tokens");
  }
  figures.reference = string_at(report, present(report, "kl_from") ? "kl_from" : "reference");
  figures.reference_perplexity = number_at(report, "reference_perplexity");
  figures.loss_percent = number_at(report, "loss_percent");
  figures.kl_mean = number_at(report, "kl_mean");
  figures.kl_stderr = number_at(report, "kl_stderr");
  figures.kl_p99 = number_at(report, "kl_p99");
  figures.top1 = number_at(report, "top1");
  if (const json* const mmlu = present(report, "mmlu")) {
    if (!mmlu->is_object()) throw_no_report("its mmlu is no object");
    figures.mmlu = accuracy_of(*mmlu);
    figures.reference_mmlu = number_at(*mmlu, "reference_accuracy");
  }
  take_rates(report, figures);
  return figures;
}

template <class T>
void take_over(std::optional<T>& old, const std::optional<T>& newer) {
  if (newer) old = newer;
}

std::string name_at_end(const std::string& name) {
  const std::filesystem::path path = name;
  return path.filename().empty() ? path.parent_path().filename() : path.filename();
}

}  // namespace

std::vector<MeasuredFigures> figures_of(const json& report, const std::string& file) {
  if (!report.is_object()) throw_no_report("is no report");
  std::vector<MeasuredFigures> all;
  if (const json* const models = present(report, "models")) {
    if (!models->is_array()) throw_no_report("its models are no list");
    for (const json& model : *models) {
      if (!model.is_object()) throw_no_report("its models are no list of objects");
      all.push_back(figures_of_model(model, string_at(model, "path"), file));
    }
  } else {
    all.push_back(figures_of_model(report, string_at(report, "model"), file));
  }
  for (const MeasuredFigures& figures : all) {
    if (figures.model.empty()) throw_no_report("names no model");
    if (!figures.has_quality() && figures.rates.empty()) {
      throw_no_report(fmt::format("has no figures of {}", printable(figures.model, 200)));
    }
  }
  return all;
}

std::vector<MeasuredFigures> read_measured(const std::vector<std::string>& files) {
  std::vector<MeasuredFigures> all;
  for (const std::string& file : files) {
    const json report = model::read_json_file(file);
    with_context(printable(file, 300), [&] {
      for (MeasuredFigures& figures : figures_of(report, file)) all.push_back(std::move(figures));
    });
  }
  return all;
}

MeasuredFigures together(MeasuredFigures all, const MeasuredFigures& newer) {
  if (newer.perplexity) {
    MeasuredFigures next = newer;
    next.mmlu = all.mmlu;
    next.reference_mmlu = all.reference_mmlu;
    next.mmlu_file = std::move(all.mmlu_file);
    next.rates = std::move(all.rates);
    next.processor = std::move(all.processor);
    next.backend = std::move(all.backend);
    next.rates_file = std::move(all.rates_file);
    all = std::move(next);
  }
  if (newer.mmlu) all.mmlu_file = newer.mmlu_file;
  take_over(all.mmlu, newer.mmlu);
  take_over(all.reference_mmlu, newer.reference_mmlu);
  if (newer.rates.empty()) return all;
  all.rates = newer.rates;
  all.processor = newer.processor;
  all.backend = newer.backend;
  all.rates_file = newer.rates_file;
  return all;
}

bool is_of(const std::string& named, const std::string& path, const std::string& given) {
  return named == path || named == given || name_at_end(named) == name_at_end(path);
}

std::optional<MeasuredFigures> figures_for(const std::vector<MeasuredFigures>& all,
                                           const std::string& path, const std::string& given) {
  std::optional<MeasuredFigures> found;
  for (const MeasuredFigures& figures : all) {
    if (!is_of(figures.model, path, given)) continue;
    if (!found) {
      found = figures;
    } else {
      found = together(std::move(*found), figures);
    }
  }
  return found;
}

}  // namespace pajamas::cli
