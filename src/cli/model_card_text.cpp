#include "cli/model_card_text.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <filesystem>
#include <functional>
#include <nlohmann/json.hpp>
#include <set>
#include <utility>

#include "base/readable.h"
#include "cli/shell_words.h"

namespace pajamas::cli {
namespace {

constexpr const char* kProject = "llama-pajamas";
constexpr const char* kUnmeasured = "not measured";
constexpr std::array<std::pair<const char*, const char*>, 3> kFormatTags{
    {{"GGUF", "gguf"}, {"MLX", "mlx"}, {"FP8", "fp8"}}};

// A cell of a table: no bar or line end may end it.
std::string cell(const std::string& text) {
  std::string out;
  for (const char c : text) {
    if (c == '|') out += '\\';
    out += c == '\n' || c == '\r' ? ' ' : c;
  }
  return out;
}

bool has_format(const CardFacts& facts, std::string_view format) {
  return std::ranges::any_of(facts.models, [&](const CardModel& m) { return m.format == format; });
}

void add_list(std::string& yaml, const char* key, const std::vector<std::string>& entries) {
  if (entries.empty()) return;
  yaml += fmt::format("{}:\n", key);
  for (const std::string& entry : entries) yaml += fmt::format("- {}\n", yaml_text(entry));
}

std::string front_of(const CardFacts& facts) {
  std::string yaml = "---\n";
  const auto add = [&](const char* key, const std::string& text) {
    if (!text.empty()) yaml += fmt::format("{}: {}\n", key, yaml_text(text));
  };
  add("base_model", facts.base_model);
  if (!facts.base_model.empty()) add("base_model_relation", "quantized");
  if (facts.source.license.find(',') == std::string::npos) {
    add("license", facts.source.license);
  } else {
    std::vector<std::string> all;
    for (std::size_t at = 0; at <= facts.source.license.size();) {
      const std::size_t end =
          std::min(facts.source.license.find(',', at), facts.source.license.size());
      all.push_back(facts.source.license.substr(at, end - at));
      at = end + 1;
    }
    add_list(yaml, "license", all);
  }
  add("license_name", facts.source.license_name);
  add("license_link", facts.source.license_link);
  add_list(yaml, "language", facts.source.languages);
  add("pipeline_tag", "text-generation");
  add("library_name", has_format(facts, "GGUF")  ? "gguf"
                      : has_format(facts, "MLX") ? "mlx"
                                                 : "transformers");
  std::vector<std::string> tags;
  for (const auto& [format, tag] : kFormatTags) {
    if (has_format(facts, format)) tags.emplace_back(tag);
  }
  tags.emplace_back("quantized");
  if (facts.importance_matrix) tags.emplace_back("imatrix");
  tags.emplace_back(kProject);
  add_list(yaml, "tags", tags);
  add("quantized_by", facts.quantized_by);
  return yaml + "---\n";
}

// A column of the table; shown where some model has a figure for it.
struct Column {
  const char* name;
  std::function<std::optional<std::string>(const MeasuredFigures&)> figure;
};

std::string plus_minus(double value, const std::optional<double>& error, int digits) {
  std::string text = fmt::format("{:.{}f}", value, digits);
  if (error) text += fmt::format(" ± {:.{}f}", *error, digits);
  return text;
}

const std::array<Column, 5>& columns() {
  using Figures = MeasuredFigures;
  using Cell = std::optional<std::string>;
  static const std::array<Column, 5> kColumns{{
      {"perplexity",
       [](const Figures& m) {
         return m.perplexity ? Cell(plus_minus(*m.perplexity, m.perplexity_stderr, 4)) : Cell();
       }},
      {"loss",
       [](const Figures& m) {
         return m.loss_percent ? Cell(fmt::format("{:+.2f} %", *m.loss_percent)) : Cell();
       }},
      {"mean KL, nats",
       [](const Figures& m) {
         return m.kl_mean ? Cell(plus_minus(*m.kl_mean, m.kl_stderr, 5)) : Cell();
       }},
      {"same top token",
       [](const Figures& m) {
         return m.top1 ? Cell(fmt::format("{:.1f} %", *m.top1 * 100)) : Cell();
       }},
      {"MMLU",
       [](const Figures& m) {
         return m.mmlu ? Cell(fmt::format("{:.1f} % ({:.1f} to {:.1f}, {} questions)",
                                          m.mmlu->accuracy * 100, m.mmlu->low * 100,
                                          m.mmlu->high * 100, m.mmlu->questions))
                       : Cell();
       }},
  }};
  return kColumns;
}

bool any_figure(const CardFacts& facts, const Column& column) {
  return std::ranges::any_of(facts.models, [&](const CardModel& model) {
    return model.figures && column.figure(*model.figures);
  });
}

std::string files_table(const CardFacts& facts) {
  std::string head = "| file | format | type | size | bits per weight |",
              rule = "|---|---|---|---|---|";
  for (const Column& column : columns()) {
    if (!any_figure(facts, column)) continue;
    head += fmt::format(" {} |", column.name);
    rule += "---|";
  }
  std::string table = head + "\n" + rule + "\n";
  for (const CardModel& model : facts.models) {
    table +=
        fmt::format("| {}{} | {} | {} | {} | {:.3f} |", cell(model.path),
                    model.files > 1 ? fmt::format(" ({} files)", model.files) : "", model.format,
                    cell(model.type), readable_bytes(model.bytes), model.bits_per_weight);
    for (const Column& column : columns()) {
      if (!any_figure(facts, column)) continue;
      const auto text = model.figures ? column.figure(*model.figures) : std::nullopt;
      table += fmt::format(" {} |", text.value_or(kUnmeasured));
    }
    table += "\n";
  }
  return table;
}

// Where a file lies on the machine that measured is nobody's business.
std::string name_alone(const std::string& path) {
  const std::filesystem::path whole = path;
  return cell(whole.filename().empty() ? whole.parent_path().filename() : whole.filename());
}

// Where figures come from: a report, or what was measured for the card.
std::string told_by(const std::string& file) {
  return file.empty() ? std::string("measured for this card") : "from " + name_alone(file);
}

// What the figures of the table mean, and which report has them; a sentence for each way in which
// they were measured.
std::string how_measured(const CardFacts& facts) {
  std::set<std::string> ways;
  for (const CardModel& model : facts.models) {
    if (!model.figures) continue;
    const MeasuredFigures& m = *model.figures;
    if (m.perplexity && m.context > 0) {
      ways.insert(fmt::format(
          "Perplexity by llama.cpp's procedure on {} in chunks of {} tokens ({} scored){}; {}.",
          m.text == "embedded" ? fmt::format("the text that is built into {}", kProject)
                               : name_alone(m.text),
          m.context, with_thousands(m.tokens),
          m.reference_perplexity
              ? fmt::format("; that of the original is {:.4f}", *m.reference_perplexity)
              : "",
          told_by(m.quality_file)));
    }
    if (m.kl_mean && !m.reference.empty()) {
      ways.insert(fmt::format("KL is the mean divergence of the predictions from those of {}.",
                              name_alone(m.reference)));
    }
    if (m.mmlu) {
      ways.insert(fmt::format("MMLU with Wilson's interval of 95 %{}; {}.",
                              m.reference_mmlu ? fmt::format("; that of the original is {:.1f} %",
                                                             *m.reference_mmlu * 100)
                                               : "",
                              told_by(m.mmlu_file)));
    }
  }
  if (ways.empty()) return "Quality was not measured.\n";
  std::string text;
  for (const std::string& way : ways) text += way + "\n";
  return text;
}

std::string rate_cell(const std::optional<double>& rate) {
  return rate ? readable_rate(*rate) : std::string(kUnmeasured);
}

// Of the models whose speed was measured, a row for each depth of the cache; empty where none was.
std::string speed_table(const CardFacts& facts) {
  std::string table;
  std::set<std::string> ways;
  for (const CardModel& model : facts.models) {
    if (!model.figures || model.figures->rates.empty()) continue;
    const MeasuredFigures& m = *model.figures;
    for (const MeasuredRates& each : m.rates) {
      table +=
          fmt::format("| {} | {} | {} | {} |\n", cell(model.path), with_thousands(each.context),
                      rate_cell(each.prompt), rate_cell(each.generation));
    }
    ways.insert(fmt::format("Tokens a second on top of so many in the KV cache{}{}; from {}.",
                            m.processor.empty() ? "" : fmt::format(", on {}", cell(m.processor)),
                            m.backend.empty() ? "" : fmt::format(", backend {}", cell(m.backend)),
                            name_alone(m.rates_file)));
  }
  if (table.empty()) return {};
  std::string text =
      "\n## Speed\n\n| file | context | prompt, tokens/s | generation, tokens/s |\n"
      "|---|---|---|---|\n" +
      table + "\n";
  for (const std::string& way : ways) text += way + "\n";
  return text;
}

const CardModel* first_of(const CardFacts& facts, std::string_view format) {
  const auto found = std::ranges::find(facts.models, format, &CardModel::format);
  return found == facts.models.end() ? nullptr : &*found;
}

std::string how_to_run(const CardFacts& facts) {
  const bool published = !facts.repository.empty();
  const CardModel* const gguf = first_of(facts, "GGUF");
  const CardModel* const mlx = first_of(facts, "MLX");
  const CardModel* const any = gguf != nullptr ? gguf : &facts.models.front();
  std::string text = "## How to run it\n\nWith llama-pajamas:\n\n```sh\n";
  text += fmt::format("llama-pajamas run {} --prompt \"Why is the sky blue?\"\n",
                      shell_word(!published              ? any->path
                                 : any->format == "GGUF" ? facts.repository + ":" + any->path
                                                         : facts.repository));
  text += "```\n";
  if (gguf != nullptr) {
    text += "\nWith llama.cpp:\n\n```sh\n";
    text += published ? fmt::format("llama-cli -hf {} -hff {} -p \"Why is the sky blue?\"\n",
                                    shell_word(facts.repository), shell_word(gguf->path))
                      : fmt::format("llama-cli -m {} -p \"Why is the sky blue?\"\n",
                                    shell_word(gguf->path));
    text += "```\n";
  }
  if (mlx != nullptr) {
    // mlx-lm takes a repository whose model lies at its top.
    const bool at_top = mlx->path == ".";
    text += fmt::format(
        "\nWith mlx-lm:\n\n```sh\nmlx_lm.generate --model {} --prompt \"Why is the sky "
        "blue?\"\n```\n",
        shell_word(published && at_top ? facts.repository : mlx->path));
  }
  if (first_of(facts, "FP8") != nullptr) {
    text += "\nThe FP8 folder is laid out as vLLM, SGLang and transformers read it.\n";
  }
  return text;
}

}  // namespace

std::string yaml_text(const std::string& text) {
  static constexpr std::array<std::string_view, 12> kWords{
      "yes", "no", "true", "false", "on", "off", "null", "y", "n", "none", "nan", "inf"};
  const auto is_letter = [](char c) { return (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z'); };
  std::string small = text;
  for (char& c : small) c = c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c;
  const bool plain = !text.empty() && is_letter(text.front()) &&
                     std::ranges::find(kWords, small) == kWords.end() &&
                     std::ranges::all_of(text, [&](char c) {
                       return is_letter(c) || (c >= '0' && c <= '9') || c == '.' || c == '_' ||
                              c == '-' || c == '/';
                     });
  if (plain) return text;
  // JSON's strings are YAML's.
  return nlohmann::json(text).dump(-1, ' ', false, nlohmann::json::error_handler_t::replace);
}

std::string model_card_text(const CardFacts& facts) {
  std::string text = front_of(facts);
  text += fmt::format("\n# {}\n\n", cell(facts.title));
  text += facts.base_model.empty()
              ? fmt::format("Quantized with {} {}.\n", kProject, facts.version)
              : fmt::format("[{0}](https://huggingface.co/{0}), quantized with {1} {2}.\n",
                            facts.base_model, kProject, facts.version);
  text += fmt::format("\n## Files\n\n{}\n{}", files_table(facts), how_measured(facts));
  return text + speed_table(facts) + "\n" + how_to_run(facts);
}

std::vector<std::string> missing_of(const CardFacts& facts) {
  std::vector<std::string> missing;
  std::string without, without_kl;
  for (const CardModel& model : facts.models) {
    const bool scored = model.figures && model.figures->perplexity;
    std::string& list = scored ? without_kl : without;
    if (scored && model.figures->kl_mean) continue;
    list += (list.empty() ? "" : ", ") + model.path;
  }
  if (!without.empty()) {
    missing.push_back(
        fmt::format("no perplexity of {} was measured, so the card has none", without));
  }
  if (!without_kl.empty()) {
    missing.push_back(
        fmt::format("no KL divergence of {} was measured, so the card has none", without_kl));
  }
  const bool any_mmlu = std::ranges::any_of(
      facts.models, [](const CardModel& model) { return model.figures && model.figures->mmlu; });
  if (!any_mmlu) {
    missing.emplace_back(
        "MMLU was not measured, so the card has none (`validate --metrics mmlu "
        "--json`, then --measured)");
  }
  if (facts.base_model.empty()) {
    missing.emplace_back("the base model is not known: name it with --base-model owner/name");
  }
  if (facts.source.license.empty()) {
    missing.emplace_back("the licence is not known: --reference with a model card has it");
  }
  return missing;
}

}  // namespace pajamas::cli
