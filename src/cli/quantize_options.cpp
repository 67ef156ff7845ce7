#include "cli/quantize_options.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <filesystem>

#include "base/error.h"
#include "cli/byte_size.h"
#include "cli/engine_options.h"
#include "cli/model_argument.h"
#include "cli/terminal.h"
#include "cli/text_option.h"
#include "quantize/model_name.h"
#include "quantize/output_format.h"
#include "quantize/output_name.h"
#include "quantize/preset.h"
#include "tensor/affine.h"

namespace pajamas::cli {
namespace {

namespace fs = std::filesystem;
using quantize::Format;

// What a recipe is called until its types are chosen for a size.
constexpr const char* kBeforeTypesAreChosen = "Q4_K_M";

std::vector<Format> parse_formats(std::string_view text) {
  std::vector<Format> formats;
  if (text.empty()) return {Format::kGguf};
  for (;;) {
    const auto comma = text.find(',');
    const Format format = quantize::parse_format(text.substr(0, comma));
    if (std::find(formats.begin(), formats.end(), format) != formats.end()) {
      throw Error(ErrorCode::kUsage, "names a format twice", "name each once").at("--format");
    }
    formats.push_back(format);
    if (comma == std::string_view::npos) return formats;
    text.remove_prefix(comma + 1);
  }
}

// A single output is PATH itself; several are in folders below it, one a format.
fs::path output_path(const fs::path& path, Format format, const std::string& method, bool single) {
  return single ? path : path / quantize::output_format(format).place(method);
}

// "32, 64 or 128".
std::string one_of(std::span<const int> numbers) {
  return fmt::format("{} or {}", fmt::join(numbers.first(numbers.size() - 1), ", "),
                     numbers.back());
}

void check_group_size(std::optional<int> group_size) {
  if (!group_size || (*group_size > 0 && is_affine_group(static_cast<std::uint64_t>(*group_size))))
    return;
  throw Error(ErrorCode::kUsage, fmt::format("groups of {} do not exist", *group_size),
              fmt::format("give {}", one_of(kAffineGroups)))
      .at("--group-size");
}

void check_bits(std::optional<int> bits, const char* option) {
  if (!bits || (*bits > 0 && is_affine_bits(static_cast<std::uint64_t>(*bits)))) return;
  throw Error(ErrorCode::kUsage, fmt::format("{} bits do not exist", *bits),
              fmt::format("give {}", one_of(kAffineBits)))
      .at(option);
}

// Throws for an option that chooses all types beside `option`, which does so too.
void check_alone(const QuantizeOptions& options, std::string_view option) {
  const bool size = !options.target_size.empty(), bits = options.target_bpw.has_value();
  const bool preset = option == "--preset";
  const char* const other = !options.methods.empty()       ? "--method"
                            : preset && size               ? "--target-size"
                            : (preset || size) && bits     ? "--target-bpw"
                            : !options.recipe.empty()      ? "--recipe"
                            : options.mixed_precision      ? "--mixed-precision"
                            : options.embedding_bits       ? "--embedding-bits"
                            : options.output_bits          ? "--output-bits"
                            : preset && options.group_size ? "--group-size"
                                                           : nullptr;
  if (other == nullptr) return;
  throw Error(ErrorCode::kUsage, fmt::format("chooses all types, and so does {}", other),
              "give one of them; --tensor-type holds beside either")
      .at(std::string(option));
}

// Options of MLX that would silently do nothing.
void check_mlx_options(const QuantizeOptions& options, std::span<const Format> formats) {
  check_group_size(options.group_size);
  check_bits(options.embedding_bits, "--embedding-bits");
  check_bits(options.output_bits, "--output-bits");
  if (std::ranges::any_of(
          formats, [](Format format) { return quantize::output_format(format).has_mlx_options(); }))
    return;
  const char* given = !options.recipe.empty()   ? "--recipe"
                      : options.mixed_precision ? "--mixed-precision"
                      : options.embedding_bits  ? "--embedding-bits"
                      : options.output_bits     ? "--output-bits"
                                                : nullptr;
  if (given == nullptr) return;
  throw Error(ErrorCode::kUsage, "is an option of MLX, which is not written",
              "add mlx to --format, or use --tensor-type for GGUF")
      .at(given);
}

// Several outputs need a folder; what is named as a file was meant as one output.
void check_folder(const std::string& output) {
  std::error_code code;
  if (fs::is_directory(output, code)) return;
  if (fs::exists(output, code)) {
    throw Error(ErrorCode::kUsage, "is a file, and what is written needs a folder",
                "give another path")
        .at(fmt::format("--output {}", printable(output, 200)));
  }
  if (!output.ends_with(".gguf")) return;
  throw Error(
      ErrorCode::kUsage, "names one file, several outputs need a folder",
      fmt::format("give {}", output.size() > 5 ? output.substr(0, output.size() - 5) : "out"))
      .at(fmt::format("--output {}", printable(output, 200)));
}

// What the options say of one format, method and path aside.
quantize::Recipe recipe_of(const QuantizeOptions& options, std::span<const Format> formats,
                           Format format) {
  quantize::Recipe recipe;
  recipe.format = format;
  if (options.group_size) recipe.mlx.group_size = *options.group_size;
  constexpr int kMixedBits = 6;
  const auto mixed = options.mixed_precision ? std::optional(kMixedBits) : std::nullopt;
  recipe.mlx.embedding_bits = options.embedding_bits ? options.embedding_bits : mixed;
  recipe.mlx.output_bits = options.output_bits ? options.output_bits : mixed;
  if (!options.split_size.empty()) {
    recipe.file_bytes = parse_byte_size(options.split_size, "--split-size");
  }
  recipe.allow_requantize = options.allow_requantize;
  recipe.no_fallback = options.no_fallback;
  recipe.architecture_aware = options.architecture_aware;
  recipe.preserve_attention_patterns = options.preserve_attention_patterns;
  recipe.expert_balanced = options.expert_balanced;
  for (const std::string& text : options.tensor_types) {
    quantize::TypeOverride override = quantize::parse_type_override(text, formats);
    if (override.format == recipe.format) recipe.overrides.push_back(std::move(override));
  }
  return recipe;
}

// A pattern that is broken, or the same for two outputs, is told before any work.
void check_names(const QuantizeOptions& options, const quantize::ChosenMethods& methods) {
  if (options.output_name.empty()) return;
  const auto pattern = quantize::OutputName::parse(options.output_name);
  for (const auto& names : methods.names) {
    if (names.size() == 1 || pattern.tells_methods()) continue;
    throw Error(ErrorCode::kUsage, fmt::format("gives {} and {} the same name", names[0], names[1]),
                "put {method} into it, as '{name}-{method}.gguf'")
        .at("--output-name");
  }
}

}  // namespace

namespace {
std::string names_of(Format format) {
  return fmt::format("{}", fmt::join(quantize::output_format(format).methods(), " "));
}
}  // namespace

void add_quantize_options(const Command& command, QuantizeOptions& options) {
  add_pre_tokenizer_option(command, options.pre_tokenizer);
  add_no_download_option(command, options.no_download);
  command
      .add_option("--format", options.formats,
                  "gguf, mlx or fp8, or several as gguf,mlx (default: gguf, or those of --preset)")
      .type_name("FORMATS");
  command
      .add_option("--preset", options.preset,
                  fmt::format("In place of all choices: {}, each for some kinds of models "
                              "(`presets` lists them); outputs are below --output, by format",
                              fmt::join(quantize::preset_names(), ", ")))
      .type_name("NAME");
  command
      .add_option(
          "--method", options.methods,
          fmt::format("How much to keep: {} for GGUF; {} for MLX; one for both, or one each as "
                      "Q4_K_M:4bit; several of one format in one pass as Q4_K_M,Q5_K_M; fp8 needs "
                      "none",
                      names_of(Format::kGguf), names_of(Format::kMlx)))
      .type_name("METHODS");
  command
      .add_option(
          "--recipe", options.recipe,
          fmt::format("MLX: a method of two widths: {}", fmt::join(quantize::mlx_recipes(), ", ")))
      .type_name("RECIPE");
  command
      .add_option(
          "--group-size", options.group_size,
          fmt::format("MLX: weights that share a scale ({})", fmt::join(kAffineGroups, ", ")))
      .default_str(fmt::format("{}", quantize::MlxOptions{}.group_size))
      .type_name("N");
  command.add_flag("--mixed-precision", options.mixed_precision,
                   "MLX: layers at the method, embeddings and output at 6 bits");
  command.add_option("--embedding-bits", options.embedding_bits, "MLX: bits of the embedding")
      .type_name("BITS");
  command.add_option("--output-bits", options.output_bits, "MLX: bits of the output matrix")
      .type_name("BITS");
  command
      .add_option(
          "--tensor-type", options.tensor_types,
          "Type for tensors whose name matches, as 'ffn_down=Q6_K' or 'down_proj=6bit'; may "
          "be repeated, the first that matches wins")
      .type_name("REGEX=TYPE")
      .one_each_time();
  command.add_flag("--allow-requantize", options.allow_requantize,
                   "Quantize again what is stored with loss (GGUF and MLX input, MXFP4 experts)");
  command.add_flag("--no-fallback", options.no_fallback,
                   "Refuse where rows do not fit the type or group size they should get");
  command.add_flag("--architecture-aware", options.architecture_aware,
                   "Router at 8 bits or more, attention above experts, ffn_down_exps a step above "
                   "gate and up");
  command.add_flag("--preserve-attention-patterns", options.preserve_attention_patterns,
                   "Layers with full attention a step above those with a sliding window");
  command
      .add_option("--imatrix", options.imatrix,
                  "Importance matrix that weighs the columns: a GGUF or .dat file of "
                  "`llama-pajamas imatrix` or llama-imatrix")
      .type_name("FILE");
  command.add_flag("--expert-balanced", options.expert_balanced,
                   "Equal precision for all experts of a layer; without --imatrix one is measured "
                   "first, on text that the model writes until every expert has seen enough");
  command
      .add_option("--target-size", options.target_size,
                  "In place of --method: the best types of all whose file is not larger, as 4.5GB "
                  "or 4GiB")
      .type_name("SIZE");
  command
      .add_option("--target-bpw", options.target_bpw,
                  "In place of --method: the same for bits per weight, as 4.25")
      .type_name("NUMBER");
  command
      .add_option("--output-name", options.output_name,
                  "Names of outputs inside --output: {name} {method} {format} {size}, each with "
                  ":lower or :upper where wanted, as '{name}-{method}.gguf'")
      .type_name("PATTERN");
  command
      .add_option("--split-size", options.split_size,
                  "Write files of at most this much, as 50GB or 2GiB: a GGUF as llama-gguf-split "
                  "does, in a folder of its own; MLX shards")
      .type_name("SIZE");
  command.add_flag("--all", options.all, "List every tensor with its type and the reason");
  add_threads_option(command, options.threads);
}

std::optional<quantize::SizeTarget> size_target(const QuantizeOptions& options) {
  const bool size = !options.target_size.empty(), bits = options.target_bpw.has_value();
  if (!size && !bits) return std::nullopt;
  const char* const option = size ? "--target-size" : "--target-bpw";
  check_alone(options, option);
  quantize::SizeTarget target;
  if (size) {
    target.file_bytes = parse_byte_size(options.target_size, option);
    target.label = options.target_size;
    std::erase(target.label, ' ');
    return target;
  }
  target.bits_per_weight = *options.target_bpw;
  target.label = fmt::format("{}bpw", *options.target_bpw);
  constexpr double kMostBits = 32;
  if (target.bits_per_weight > 0 && target.bits_per_weight <= kMostBits) return target;
  throw Error(ErrorCode::kUsage, fmt::format("{} bits are no number of bits", *options.target_bpw),
              "give one as 4.25")
      .at(option);
}

Recipes recipes_of(const QuantizeOptions& options) {
  const std::vector<Format> formats = parse_formats(options.formats);
  if (!options.preset.empty()) {
    quantize::check_preset_name(options.preset);
    check_alone(options, "--preset");
    check_folder(options.output);
    if (!options.output_name.empty()) (void)quantize::OutputName::parse(options.output_name);
    return {};
  }
  check_mlx_options(options, formats);
  const auto target = size_target(options);
  auto methods = quantize::choose_methods(formats, target ? kBeforeTypesAreChosen : options.methods,
                                          options.recipe);
  if (target) methods.notes.clear();
  check_names(options, methods);
  const bool single =
      methods.names.size() == 1 && methods.names.front().size() == 1 && options.output_name.empty();
  if (!single) check_folder(options.output);
  Recipes result;
  result.notes = methods.notes;
  for (std::size_t i = 0; i < formats.size(); ++i) {
    for (const std::string& method : methods.names[i]) {
      quantize::Recipe recipe = recipe_of(options, formats, formats[i]);
      recipe.method = method;
      if (target) recipe.label = target->label;
      recipe.output =
          output_path(options.output, formats[i], target ? target->label : method, single);
      result.recipes.push_back(std::move(recipe));
    }
  }
  return result;
}

void add_preset_recipes(const QuantizeOptions& options, const quantize::PlanInput& input,
                        Recipes& recipes) {
  if (options.preset.empty()) return;
  const quantize::Preset& preset = quantize::preset_for(input, options.preset);
  std::vector<Format> written;
  for (const quantize::PresetOutput& output : preset.outputs) written.push_back(output.format);
  if (!options.formats.empty()) {
    for (const Format format : parse_formats(options.formats)) {
      if (std::ranges::find(written, format) != written.end()) continue;
      throw Error(ErrorCode::kUsage,
                  fmt::format("the preset {} of {} has no {}", preset.name,
                              quantize::kind_name(preset.kind), quantize::format_name(format)),
                  "`llama-pajamas presets` lists what there is")
          .at("--format");
    }
    written = parse_formats(options.formats);
  }
  for (const quantize::PresetOutput& output : preset.outputs) {
    if (std::ranges::find(written, output.format) == written.end()) continue;
    quantize::Recipe recipe = recipe_of(options, written, output.format);
    quantize::apply_preset(preset, output, input, recipe);
    recipe.output = output_path(options.output, output.format, recipe.label, false);
    recipes.recipes.push_back(std::move(recipe));
  }
}

void name_outputs(const QuantizeOptions& options, const quantize::PlanInput& input,
                  std::vector<quantize::Recipe>& recipes) {
  if (options.output_name.empty()) return;
  const auto pattern = quantize::OutputName::parse(options.output_name);
  const std::string size = quantize::size_label(model::parameter_count(input.config));
  const bool several =
      !options.preset.empty() || std::ranges::any_of(recipes, [&](const quantize::Recipe& recipe) {
        return recipe.format != recipes.front().format;
      });
  for (quantize::Recipe& recipe : recipes) {
    recipe.output = options.output;
    if (several) recipe.output /= quantize::format_name(recipe.format);
    const std::string& method = recipe.label.empty() ? recipe.method : recipe.label;
    recipe.output /= pattern.of({input.name, method, recipe.format, size});
  }
}

}  // namespace pajamas::cli
