#include "cli/judge_options.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <nlohmann/json.hpp>

#include "base/error.h"
#include "cli/exit_status.h"
#include "eval/built_in_text.h"
#include "text/utf8.h"

namespace pajamas::cli {
namespace {

using nlohmann::ordered_json;

constexpr std::string_view kCompactName = "compact";
constexpr std::string_view kCodedName = "llama.cpp";
constexpr std::size_t kExpertsALine = 16;

bool needs_reference(eval::GateFigure figure) {
  using enum eval::GateFigure;
  return figure == kKl || figure == kKlP99 || figure == kLoss || figure == kTop1;
}

[[noreturn]] void refuse_tokenizer(const std::string& reference, const std::string& name,
                                   const std::string& how) {
  throw Error(ErrorCode::kUsage,
              fmt::format("{} was computed with another tokenizer than that of {}{}",
                          printable(reference, 200), printable(name, 200), how),
              "compare a model with the one it was made from")
      .at("--reference");
}

// llama.cpp's form knows tokens alone. A text's tokens, made text again, give themselves; the end
// is cut in the middle of a word, and special tokens are not parsed.
bool tokens_are_its_own(const eval::ReferenceHeader& header, const model::TextModel& text) {
  std::span<const std::int32_t> tokens(header.tokens);
  tokens = tokens.first(std::min<std::size_t>(tokens.size(), 2048));
  if (text.first_token() && tokens.front() == *text.first_token()) tokens = tokens.subspan(1);
  const std::string bytes = text.tokenizer().decode(tokens);
  const auto again = text.tokenizer().encode(text::utf8_lossy(bytes));
  std::size_t same = 0;
  while (same < std::min(again.size(), tokens.size()) && again[same] == tokens[same]) ++same;
  return same * 2 >= tokens.size();
}

// "97th" of "every 97th"; "single" of 1.
std::string ordinal(long number) {
  const long last = number % 100 / 10 == 1 ? 0 : number % 10;
  const char* const ending = last == 1 ? "st" : last == 2 ? "nd" : last == 3 ? "rd" : "th";
  return number <= 1 ? "single" : fmt::format("{}{}", number, ending);
}

// "loses 0.8 %", and whether that counts.
std::string lost(const eval::Comparison& c, const char* against) {
  return fmt::format("{} {:.1f} %{}{}", c.loss_percent < 0 ? "gains" : "loses",
                     std::abs(c.loss_percent), against,
                     c.loss_counts ? "" : ", which may be chance");
}

// "every 97th next word"
std::string other_words(const eval::Comparison& c, const char* word) {
  const double other = 1 - c.top1;
  if (other <= 0) return fmt::format("no{}", *word == 0 ? "ne" : word);
  return fmt::format("every {}{}", ordinal(std::lround(1 / other)), word);
}

std::string share_name(double share) { return fmt::format("{:g}", share * 100); }

}  // namespace

void add_judge_options(const Command& command, JudgeOptions& options) {
  command
      .add_option("--save-reference", options.save_reference,
                  "Keep the distributions of the reference (without one: of MODEL) for --reference")
      .type_name("FILE");
  command
      .add_option("--reference-form", options.reference_form,
                  "compact (under 1 % of the logits) or llama.cpp (its --kl-divergence-base) "
                  "(default: llama.cpp where FILE ends in .kld, else compact)")
      .type_name("NAME");
  command
      .add_option(
          "--gate", options.gate,
          "Exit with 12 unless all hold: kl, kl_p99, loss, top1, perplexity (each of --texts chat "
          "with chat_ before it), mmlu, humaneval; as in \"kl<0.02,loss<5%\"")
      .type_name("RULES");
}

void check_judge_options(const JudgeOptions& options, const std::vector<std::string>& metrics,
                         const std::vector<std::string>& texts, const std::string& reference) {
  const std::string& form = options.reference_form;
  if (!form.empty() && form != kCompactName && form != kCodedName) {
    throw Error(ErrorCode::kUsage, fmt::format("\"{}\" is no known form", printable(form, 40)),
                "give compact or llama.cpp")
        .at("--reference-form");
  }
  if (!form.empty() && options.save_reference.empty()) {
    throw Error(ErrorCode::kUsage, "no reference is saved", "name its file with --save-reference")
        .at("--reference-form");
  }
  if (!options.save_reference.empty() && eval::is_reference_file(reference)) {
    throw Error(ErrorCode::kUsage, "the reference is such a file already", "copy it")
        .at("--save-reference");
  }
  if (!options.gate) return;
  for (const eval::GateRule& rule : eval::parse_gate(*options.gate)) {
    const auto fail = [&](const char* problem, const char* hint) {
      throw Error(ErrorCode::kUsage, fmt::format("\"{}\" {}", printable(rule.text, 60), problem),
                  hint)
          .at("--gate");
    };
    if (rule.chat && std::ranges::count(texts, eval::kChatText) == 0) {
      fail("is not measured", "add --texts chat");
    }
    if (needs_reference(rule.figure) && reference.empty()) {
      fail("compares with another model", "name it with --reference");
    }
    const auto needs_metric = [&](eval::GateFigure figure, const char* metric, const char* hint) {
      if (rule.figure == figure && std::ranges::count(metrics, metric) == 0) {
        fail("is not measured", hint);
      }
    };
    needs_metric(eval::GateFigure::kMmlu, "mmlu", "add mmlu to --metrics");
    needs_metric(eval::GateFigure::kHumanEval, "humaneval", "add humaneval to --metrics");
  }
}

eval::ReferenceForm reference_form(const JudgeOptions& options) {
  const bool coded = options.reference_form.empty() ? options.save_reference.ends_with(".kld")
                                                    : options.reference_form == kCodedName;
  return coded ? eval::ReferenceForm::kCoded : eval::ReferenceForm::kCompact;
}

void require_same_tokenizer(const eval::ReferenceFile& kept, const std::string& reference,
                            const runtime::LoadedModel& model, const std::string& name) {
  const eval::ReferenceHeader& header = kept.header();
  const std::uint64_t vocab = model.config().vocab;
  if (header.vocab != vocab) {
    refuse_tokenizer(reference, name, fmt::format(" ({} and {} tokens)", header.vocab, vocab));
  }
  const model::TextModel& text = model.text();
  const bool same = header.form == eval::ReferenceForm::kCompact
                        ? header.fingerprint == eval::vocabulary_fingerprint(text.tokenizer())
                        : tokens_are_its_own(header, text);
  if (!same) refuse_tokenizer(reference, name, "");
}

void add_figures(ordered_json& out, const eval::Score& score) {
  if (score.comparison) {
    const eval::Comparison& c = *score.comparison;
    out["loss_percent_stderr"] = c.loss_stderr;
    out["loss_counts"] = c.loss_counts;
    out["kl_error"] = c.kl_error;
    ordered_json& shares = out["kl_percentiles"] = ordered_json::object();
    for (std::size_t i = 0; i < eval::kShares.size(); ++i) {
      shares[share_name(eval::kShares[i])] = c.kl_shares[i];
    }
    out["top1_stderr"] = c.top1_stderr;
  }
  ordered_json& bands = out["positions"] = ordered_json::array();
  for (const eval::Band& band : score.bands) {
    ordered_json& row = bands.emplace_back(
        ordered_json{{"first", band.first}, {"last", band.last}, {"perplexity", band.perplexity}});
    if (!score.comparison) continue;
    row["loss_percent"] = band.loss_percent;
    row["kl_mean"] = band.kl_mean;
    row["top1"] = band.top1;
  }
}

void print_comparison(const eval::Comparison& c) {
  fmt::print("reference        {:.4f}\n", c.reference_perplexity);
  fmt::print("loss             {:+.3f} % +/- {:.3f} %, {}\n", c.loss_percent, c.loss_stderr,
             c.loss_counts ? "more than chance" : "which may be chance");
  fmt::print("mean KL          {:.6f} +/- {:.6f} nats\n", c.kl_mean, c.kl_stderr);
  if (c.kl_error > 0) {
    fmt::print("  kept in few bytes, which adds an error of {:.6f} at most (3 deviations)\n",
               3 * c.kl_error);
  }
  fmt::print("99 % of KL below {:.6f} nats\n", c.kl_p99);
  fmt::print("percentiles of KL");
  for (std::size_t i = 0; i < eval::kShares.size(); ++i) {
    if (eval::kShares[i] < 0.05) continue;
    fmt::print("  {}: {:.5f}", share_name(eval::kShares[i]), c.kl_shares[i]);
  }
  fmt::print("\nsame top token   {:.2f} % +/- {:.2f} %\n", c.top1 * 100, c.top1_stderr * 100);
}

void print_bands(const eval::Score& score) {
  const bool compared = score.comparison.has_value();
  fmt::print("positions        perplexity{}\n", compared ? "    loss %   mean KL  same top" : "");
  for (const eval::Band& band : score.bands) {
    fmt::print("  {:<14} {:>10.4f}", fmt::format("{}-{}", band.first, band.last), band.perplexity);
    if (compared) {
      fmt::print("  {:>+8.3f}  {:>8.6f}  {:>6.2f} %", band.loss_percent, band.kl_mean,
                 band.top1 * 100);
    }
    fmt::print("\n");
  }
}

std::string verdict_of(const eval::Comparison& text, const eval::Comparison* chat) {
  if (chat == nullptr) {
    return fmt::format("{}; {} would differ", lost(text, " against the original"),
                       other_words(text, " next word"));
  }
  return fmt::format("in chats {}, {} would differ; on raw prose {}, {}",
                     lost(*chat, " against the original"), other_words(*chat, " next word"),
                     lost(text, ""), other_words(text, ""));
}

std::string verdict_of(double text, std::optional<double> chat) {
  const std::string uncertain =
      chat ? fmt::format(
                 "at each token of what an assistant says as uncertain as between {:.3g} "
                 "that are equally likely, of raw prose between {:.3g}",
                 *chat, text)
           : fmt::format("at each token as uncertain as between {:.3g} that are equally likely",
                         text);
  return uncertain + "; what quantization cost is told beside an original: --reference MODEL";
}

ordered_json layers_json(std::span<const eval::LayerError> layers) {
  ordered_json out = ordered_json::array();
  for (std::size_t i = 0; i < layers.size(); ++i) {
    const eval::LayerError& layer = layers[i];
    ordered_json& row = out.emplace_back(ordered_json{{"layer", i}, {"error", layer.error}});
    if (layer.load.empty()) continue;
    row["same_experts"] = layer.same_experts;
    row["expert_load"] = layer.load;
    row["reference_expert_load"] = layer.reference_load;
  }
  return out;
}

void print_layers(std::span<const eval::LayerError> layers) {
  const bool sparse = std::ranges::any_of(layers, [](const auto& l) { return !l.load.empty(); });
  fmt::print("layer   error of output{}\n", sparse ? "   same experts" : "");
  for (std::size_t i = 0; i < layers.size(); ++i) {
    fmt::print("{:>5}   {:>13.4f} %", i, layers[i].error * 100);
    if (!layers[i].load.empty()) fmt::print("   {:>10.2f} %", layers[i].same_experts * 100);
    fmt::print("\n");
  }
  if (!sparse) return;
  fmt::print("layer   load of each expert, % of all choices\n");
  for (std::size_t i = 0; i < layers.size(); ++i) {
    for (std::size_t e = 0; e < layers[i].load.size(); ++e) {
      if (e % kExpertsALine == 0) {
        fmt::print("{}{:>5}  ", e == 0 ? "" : "\n", e == 0 ? fmt::to_string(i) : "");
      }
      fmt::print(" {:>4.1f}", layers[i].load[e] * 100);
    }
    if (!layers[i].load.empty()) fmt::print("\n");
  }
}

eval::TextFigures text_figures(const eval::Score& score) {
  eval::TextFigures figures;
  figures.perplexity = score.perplexity;
  if (!score.comparison) return figures;
  figures.kl = score.comparison->kl_mean;
  figures.kl_p99 = score.comparison->kl_p99;
  figures.loss = score.comparison->loss_percent;
  figures.top1 = score.comparison->top1;
  return figures;
}

void apply_gate(const JudgeOptions& options, const eval::GateFigures& figures) {
  if (!options.gate) return;
  const auto broken = eval::broken_rules(eval::parse_gate(*options.gate), figures);
  if (!broken.empty()) throw GateBroken(fmt::format("--gate: {}", fmt::join(broken, "; ")));
}

}  // namespace pajamas::cli
