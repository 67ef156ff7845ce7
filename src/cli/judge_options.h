// The options of `validate` beside the model and its text: what is kept of a reference, conditions
// that decide the exit status, and how the figures of a comparison are shown.
#pragma once

#include <nlohmann/json_fwd.hpp>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "cli/command_line.h"
#include "eval/gate.h"
#include "eval/layer_errors.h"
#include "eval/reference_file.h"
#include "eval/summary.h"
#include "runtime/loaded_model.h"

namespace pajamas::cli {

struct JudgeOptions {
  std::string save_reference;
  std::string reference_form;  // empty: by the ending of the name
  std::optional<std::string> gate;
};

void add_judge_options(const Command& command, JudgeOptions& options);

// What can be said before any work: throws Error{kUsage} for a gate that names no figure or one
// that is not measured, and for what contradicts. `texts`: those of --texts; `reference`: as it was
// given, empty without one.
void check_judge_options(const JudgeOptions& options, const std::vector<std::string>& metrics,
                         const std::vector<std::string>& texts, const std::string& reference);

// As --reference-form says, else by the ending of --save-reference: llama.cpp's for `.kld`.
eval::ReferenceForm reference_form(const JudgeOptions& options);

// Throws Error{kUsage}, naming both, unless the tokens of `kept` are of the model's vocabulary.
void require_same_tokenizer(const eval::ReferenceFile& kept, const std::string& reference,
                            const runtime::LoadedModel& model, const std::string& name);

// Adds to the figures of a comparison, and to those of every run.
void add_figures(nlohmann::ordered_json& out, const eval::Score& score);
void print_comparison(const eval::Comparison& comparison);
void print_bands(const eval::Score& score);

// One sentence for people: what was lost, and how often the next word would be another one. With
// the figures of a chat it begins with those, since prose says nothing of a model that only knows
// chats.
std::string verdict_of(const eval::Comparison& text, const eval::Comparison* chat = nullptr);
// The same of a model that was compared with none, from its perplexities.
std::string verdict_of(double text, std::optional<double> chat);

// Of --per-layer.
nlohmann::ordered_json layers_json(std::span<const eval::LayerError> layers);
void print_layers(std::span<const eval::LayerError> layers);

eval::TextFigures text_figures(const eval::Score& score);
// Throws GateBroken where a rule of --gate does not hold.
void apply_gate(const JudgeOptions& options, const eval::GateFigures& figures);

}  // namespace pajamas::cli
