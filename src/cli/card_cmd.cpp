// `card`: a README.md for a quantized model, from measured figures alone.
#include <fmt/format.h>

#include <algorithm>
#include <filesystem>
#include <memory>
#include <nlohmann/json.hpp>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "base/error.h"
#include "base/output.h"
#include "cli/command.h"
#include "cli/engine_options.h"
#include "cli/load_model.h"
#include "cli/log.h"
#include "cli/measured_figures.h"
#include "cli/model_argument.h"
#include "cli/model_card_text.h"
#include "cli/model_inventory.h"
#include "cli/model_summary.h"
#include "cli/text_metrics.h"
#include "hub/model_id.h"
#include "io/gguf.h"
#include "model/checkpoint.h"

namespace pajamas::cli {
namespace {

namespace fs = std::filesystem;

constexpr const char* kCardName = "README.md";

struct CardFlags {
  std::string model;
  std::string reference;
  bool no_download = false;
  std::vector<std::string> measured;
  bool no_measure = false;
  std::string base_model, quantized_by, repository;
  TextFlags text;
  EngineFlags engine;
  std::string output;
  bool force = false;
};

std::string checked_repository(const std::string& text, const char* option) {
  if (text.empty()) return {};
  const auto id = hub::parse_model_id(text);
  if (id) return id->repository();
  throw Error(ErrorCode::kUsage,
              fmt::format("\"{}\" is no name of a model on the hub", printable(text, 200)),
              "give it as owner/name")
      .at(option);
}

// The models that the card is for, and the folder that it is of.
std::vector<FoundModel> models_for_card(const std::string& model, fs::path& folder) {
  std::error_code code;
  if (!fs::exists(model, code)) {
    throw Error(ErrorCode::kNotFound, "no such file or folder",
                "give a GGUF file or a folder of models that are here")
        .at(printable(model, 300));
  }
  const bool whole = fs::is_directory(model, code);
  folder = whole ? fs::path(model) : fs::path(model).parent_path();
  if (folder.empty()) folder = ".";
  std::vector<FoundModel> found = find_models(folder);
  if (!whole) {
    std::erase_if(found, [&](const FoundModel& each) {
      return std::ranges::none_of(each.files, [&](const fs::path& file) {
        std::error_code ignored;
        return fs::equivalent(file, model, ignored);
      });
    });
  }
  for (const FoundModel& each : found) {
    if (each.problem.empty()) continue;
    throw Error(ErrorCode::kCorruptFile, each.problem,
                "repair it, or move it out of the folder that is to be published")
        .at(printable(each.path.native(), 300));
  }
  if (!found.empty()) return found;
  throw Error(ErrorCode::kNotFound, "holds no model", "give a GGUF file, or a folder of models")
      .at(printable(model, 300));
}

// The licence as a converter wrote it, for whoever has no card of the original.
void take_license(const io::GgufMetadata& metadata, model::ModelCard& card) {
  const auto text = [&](const char* key) -> std::string {
    const auto* value = metadata.find(key);
    const auto* found = value == nullptr ? nullptr : std::get_if<std::string>(value);
    return found == nullptr ? std::string() : *found;
  };
  if (card.license.empty()) {
    card.license = text("general.license");
    card.license_name = text("general.license.name");
    card.license_link = text("general.license.link");
  }
}

std::string repository_of_source(const io::GgufMetadata& metadata) {
  const auto* value = metadata.find("general.source.repo_url");
  const auto* url = value == nullptr ? nullptr : std::get_if<std::string>(value);
  const auto id = url == nullptr ? std::nullopt : hub::parse_model_id(*url);
  return id ? id->repository() : std::string();
}

// The repository that a path of the hub's cache belongs to.
std::string cached_repository(const fs::path& path) {
  constexpr std::string_view kPrefix = "models--";
  std::error_code code;
  for (const fs::path& part : fs::absolute(path, code)) {
    const std::string name = part;
    const std::size_t between = name.find("--", kPrefix.size());
    if (!name.starts_with(kPrefix) || between == std::string::npos) continue;
    return name.substr(kPrefix.size(), between - kPrefix.size()) + "/" + name.substr(between + 2);
  }
  return {};
}

CardModel card_model(const FoundModel& found, const fs::path& folder, CardFacts& facts) {
  const model::Checkpoint checkpoint = model::Checkpoint::open(found.path);
  CardModel model;
  model.path = found.path.lexically_relative(folder).generic_string();
  model.type = found.type;
  const bool published = checkpoint.container() == model::Container::kHuggingFace;
  model.format = published && is_quantized(checkpoint) ? "FP8" : found.format;
  model.bytes = found.bytes;
  model.files = found.files.size();
  model.bits_per_weight =
      static_cast<double>(weights_bytes(checkpoint)) * 8 / static_cast<double>(found.parameters);
  if (const io::GgufMetadata* const gguf = checkpoint.gguf()) {
    take_license(*gguf, facts.source);
    if (facts.base_model.empty()) facts.base_model = repository_of_source(*gguf);
    for (const io::GgufPair& pair : gguf->pairs()) {
      facts.importance_matrix |= pair.key.starts_with("quantize.imatrix.");
    }
  }
  return model;
}

// What the card of the original says; a GGUF file has one beside it.
model::ModelCard card_of_original(const std::string& reference, Context& context) {
  std::error_code code;
  const fs::path path = reference;
  std::vector<std::string> notes;
  model::ModelCard card =
      model::load_model_card(fs::is_directory(path, code) ? path : path.parent_path(), notes);
  for (const std::string& note : notes) context.progress->note(note);
  return card;
}

// Perplexity and KL by the code of `validate`, as its report has them.
MeasuredFigures measure_quality(const std::string& path, const std::string& reference,
                                const CardFlags& options, Context& context) {
  const JudgeOptions judge;
  const AskedModels models{path, reference, path, options.reference, {}};
  eval::GateFigures ignored;
  nlohmann::ordered_json report;
  score_given_text({options.text, judge, models, engine_options(options.engine), false, true},
                   report, ignored, context);
  return figures_of(nlohmann::json::parse(
                        report.dump(-1, ' ', false, nlohmann::json::error_handler_t::replace)))
      .front();
}

void run_card(const CardFlags& options, Context& context) {
  CardFacts facts;
  facts.base_model = checked_repository(options.base_model, "--base-model");
  facts.repository = checked_repository(options.repository, "--repository");
  facts.quantized_by = options.quantized_by;
  facts.version = PAJAMAS_VERSION;
  check_text_flags(options.text, true, options.reference);
  check_engine_flags(options.engine);
  fs::path folder;
  const std::vector<FoundModel> found = models_for_card(options.model, folder);
  const fs::path output = options.output.empty() ? folder / kCardName : fs::path(options.output);
  require_absent(output, {.replace = options.force});
  const std::vector<MeasuredFigures> reports = read_measured(options.measured);
  std::vector<std::optional<MeasuredFigures>> figures;
  for (const FoundModel& model : found) {
    figures.push_back(figures_for(reports, model.path.native(), model.path.native()));
  }
  const bool all_told = std::ranges::all_of(
      figures, [](const auto& each) { return each && each->perplexity && each->kl_mean; });
  const bool measure = !options.reference.empty() && !options.no_measure && !all_told;
  const std::string reference =
      options.reference.empty()
          ? std::string()
          : local_model(options.reference, measure ? hub::Need::kAll : hub::Need::kText,
                        options.no_download, context);
  if (!reference.empty()) {
    facts.source = card_of_original(reference, context);
    if (facts.base_model.empty()) facts.base_model = cached_repository(reference);
  }
  for (std::size_t i = 0; i < found.size(); ++i) {
    CardModel model = card_model(found[i], folder, facts);
    const bool told = figures[i] && figures[i]->perplexity && figures[i]->kl_mean;
    if (measure && !told) {
      MeasuredFigures now = measure_quality(found[i].path.native(), reference, options, context);
      figures[i] = figures[i] ? together(std::move(*figures[i]), now) : std::move(now);
    }
    model.figures = std::move(figures[i]);
    facts.models.push_back(std::move(model));
  }
  const std::string base = facts.base_model.substr(facts.base_model.find('/') + 1);
  facts.title = !base.empty() ? base + ", quantized" : short_name(folder.native());
  const std::string text = model_card_text(facts);
  OutputFile file(output, text.size(), {.replace = options.force});
  file.write_at(0, std::as_bytes(std::span(text)));
  file.commit();
  for (const std::string& missing : missing_of(facts)) context.progress->note(missing);
  log_info(fmt::format("{}: {} of {} models with measured quality", printable(output.native(), 300),
                       std::ranges::count_if(facts.models,
                                             [](const CardModel& model) {
                                               return model.figures && model.figures->has_quality();
                                             }),
                       facts.models.size()));
}

}  // namespace

void add_card(const Command& app, Context& context) {
  const Command command =
      app.add_command("card", "Write the README.md that hubs expect of a quantized model");
  auto options = std::make_shared<CardFlags>();
  command
      .add_option(
          "MODEL", options->model,
          "GGUF file, or a folder: all models in it are listed, and the card is written there")
      .required()
      .type_name("");
  command
      .add_option("--reference", options->reference,
                  "The original: its card has licence and languages; what no report tells is "
                  "measured against it")
      .type_name("MODEL");
  command
      .add_option("--measured", options->measured,
                  "What `validate`, `benchmark` or `compare` printed of the models with --json")
      .delimiter(',')
      .type_name("FILE");
  command.add_flag("--no-measure", options->no_measure,
                   "Measure nothing: what no report tells is left out");
  const Option ctx =
      command.add_option("--ctx", options->text.context, "Tokens of a chunk (default: 512)")
          .type_name("N");
  command.add_option("--text", options->text.text, "Text to measure on (default: an embedded one)")
      .type_name("FILE");
  command.add_option("--chunks", options->text.chunks, "Stop after so many chunks (default: all)")
      .type_name("N");
  command
      .add_option("--base-model", options->base_model,
                  "The original on the hub (default: the reference's name there, or what a file "
                  "names as its source)")
      .type_name("ID");
  command
      .add_option("--repository", options->repository,
                  "Where this will be published, for the commands that run it")
      .type_name("ID");
  command.add_option("--quantized-by", options->quantized_by, "Your name on the hub")
      .type_name("NAME");
  command
      .add_option("-o,--output", options->output, "Write there (default: README.md of the folder)")
      .type_name("FILE");
  command.add_flag("--force", options->force, "Replace an existing card");
  add_engine_options(
      command, context.settings, options->engine,
      {.kv_cache = runtime::KvType::kF32, .activations = "float", .settings = false});
  add_no_download_option(command, options->no_download);
  command.footer(
      "Example: what quantize left in out/, with its loss measured\n"
      "  llama-pajamas card out --reference Qwen/Qwen2.5-7B-Instruct --quantized-by me\n"
      "Example: from reports\n"
      "  llama-pajamas card out --measured q4.json,q8.json --base-model Qwen/Qwen2.5-7B-Instruct");
  command.callback([options, ctx, &context] {
    options->text.context_given = ctx.given();
    options->text.text_given = !options->text.text.empty();
    run_card(*options, context);
  });
}

}  // namespace pajamas::cli
