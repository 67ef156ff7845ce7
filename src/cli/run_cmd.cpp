// `run`: continues a prompt, or answers it where the model has a chat template.
#include <fmt/format.h>

#include <algorithm>
#include <ctime>
#include <iostream>
#include <iterator>
#include <memory>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>

#include "base/bytes.h"
#include "base/error.h"
#include "base/output.h"
#include "base/system.h"
#include "cli/answer_printer.h"
#include "cli/command.h"
#include "cli/kv_option.h"
#include "cli/log.h"
#include "cli/open_engine.h"
#include "cli/sampling_defaults.h"
#include "cli/terminal.h"
#include "model/chat.h"
#include "model/text_assets.h"
#include "runtime/generate.h"
#include "runtime/native/kv_cache.h"
#include "text/answer.h"
#include "text/tokenizer.h"
#include "text/utf8.h"

namespace pajamas::cli {
namespace {

using nlohmann::ordered_json;

constexpr std::uint64_t kMaxContext = std::uint64_t{1} << 31;

struct Options {
  std::string model;
  std::optional<std::string> prompt;
  std::string system;
  bool raw = false;
  std::string reasoning;  // a level; empty: the template's own
  bool hide_reasoning = false;
  std::int64_t max_tokens = 512;
  SamplingFlags sampling;
  std::int64_t context = 0;
  int threads = 0;
  std::string backend = "cpu";
  std::string kernels;
  std::string kv_cache = "f32";
  std::string stats;
};

void check_numbers(const Options& options) {
  if (options.max_tokens < 1) {
    throw Error(ErrorCode::kUsage, fmt::format("{} is out of range", options.max_tokens),
                "give 1 or more")
        .at("--max-tokens");
  }
  if (options.context < 0 || static_cast<std::uint64_t>(options.context) > kMaxContext) {
    throw Error(ErrorCode::kUsage, fmt::format("{} is out of range", options.context),
                "give the number of tokens that prompt and answer may take together")
        .at("--ctx");
  }
}

// The prompt as given; standard input loses the line end that a shell or editor put there.
std::string read_prompt(const Options& options) {
  std::string prompt;
  if (options.prompt) {
    prompt = *options.prompt;
  } else {
    prompt.assign(std::istreambuf_iterator<char>(std::cin), {});
    if (prompt.ends_with('\n')) prompt.pop_back();
    if (prompt.ends_with('\r')) prompt.pop_back();
  }
  if (prompt.empty()) {
    throw Error(ErrorCode::kUsage, "the prompt is empty",
                "give some text with --prompt or on standard input");
  }
  text::require_utf8(prompt, "the prompt");
  text::require_utf8(options.system, "the text of --system");
  return prompt;
}

std::string render(const Options& options, const model::TextAssets& assets,
                   const std::string& prompt, Progress& progress) {
  ordered_json messages = ordered_json::array();
  if (!options.system.empty())
    messages.push_back({{"role", "system"}, {"content", options.system}});
  messages.push_back({{"role", "user"}, {"content", prompt}});
  const std::time_t now = std::time(nullptr);
  std::tm local{};
  ::localtime_r(&now, &local);
  model::ReasoningOptions reasoning{ordered_json::object(), {}};
  if (!options.reasoning.empty()) {
    reasoning = model::reasoning_options(assets, options.reasoning);
    if (!reasoning.note.empty()) progress.note(reasoning.note);
  }
  return model::render_chat(assets, messages, ordered_json(), reasoning.variables, true, local);
}

bool is_chat(const Options& options, const model::TextAssets& assets) {
  return !options.raw && assets.chat_template.has_value();
}

// A template writes the start of text itself where the model wants one.
std::vector<std::int32_t> prompt_tokens(const Options& options, const model::TextAssets& assets,
                                        const text::Tokenizer& tokenizer, Progress& progress) {
  const std::string prompt = read_prompt(options);
  if (is_chat(options, assets)) {
    return tokenizer.encode(render(options, assets, prompt, progress), {.parse_special = true});
  }
  if (!options.raw)
    progress.note("this model has no chat template: the prompt is continued as it is");
  if (!options.system.empty()) {
    progress.note("--system is ignored: it needs the model's chat template");
  }
  if (!options.reasoning.empty()) {
    progress.note("--reasoning is ignored: it needs the model's chat template");
  }
  std::vector<std::int32_t> tokens = tokenizer.encode(prompt, {.parse_special = true});
  if (assets.add_bos && assets.special.bos) tokens.insert(tokens.begin(), *assets.special.bos);
  return tokens;
}

std::uint64_t context_of(const Options& options, const model::ModelConfig& config,
                         Progress& progress) {
  if (options.context == 0) return default_context(config);
  const auto context = static_cast<std::uint64_t>(options.context);
  if (context > config.context_length) {
    progress.note(fmt::format("--ctx {} is more than the {} positions this model was made for",
                              context, config.context_length));
  }
  return context;
}

std::string_view reason_text(runtime::StopReason reason) {
  switch (reason) {
    case runtime::StopReason::kStopToken:
      return "end of text";
    case runtime::StopReason::kMaxTokens:
      return "--max-tokens reached";
    case runtime::StopReason::kContextFull:
      return "context full";
    case runtime::StopReason::kInterrupted:
      return "stopped";
  }
  return "";
}

// What the context's keys and values take.
struct CacheCost {
  runtime::KvType type;
  std::uint64_t bytes;
  std::string text;
};

void report(const runtime::GenerateResult& result, double load_seconds, const CacheCost& cache) {
  log_info(fmt::format(
      "{}; prompt: {} tokens, {:.2f} tokens/s; generation: {} tokens, {:.2f} tokens/s; "
      "load: {:.2f} s; KV cache: {}; peak memory: {}",
      reason_text(result.reason), result.prompt_tokens, result.prompt_tokens_per_second(),
      result.generated_tokens, result.generation_tokens_per_second(), load_seconds, cache.text,
      readable_bytes(peak_resident_bytes())));
}

void write_stats(const std::string& path, const runtime::GenerateResult& result,
                 std::uint64_t reasoning_tokens, double load_seconds, const CacheCost& cache) {
  const ordered_json stats = {
      {"prompt_tokens", result.prompt_tokens},
      {"prompt_tokens_per_second", result.prompt_tokens_per_second()},
      {"generated_tokens", result.generated_tokens},
      {"reasoning_tokens", reasoning_tokens},
      {"generation_tokens_per_second", result.generation_tokens_per_second()},
      {"load_seconds", load_seconds},
      {"kv_cache", runtime::info(cache.type).name},
      {"kv_cache_bytes", cache.bytes},
      {"peak_memory_bytes", peak_resident_bytes()}};
  const std::string text = stats.dump(2) + "\n";
  OutputFile file(path, text.size(), {.replace = true});
  file.write_at(0, as_byte_span(text));
  file.commit();
}

void run_model(const Options& options, Context& context) {
  check_numbers(options);
  require_backend(options.backend);
  const runtime::KvType kv_type = kv_type_of(options.kv_cache);
  const kernels::KernelTable& kernels = chosen_kernels(options.kernels);
  const TaskPool pool(options.threads);
  const double start = seconds_now();
  model::Checkpoint checkpoint = model::Checkpoint::open(options.model);
  model::TextAssets assets = model::load_text_assets(options.model);
  // Models pad their vocabulary; an id of the padding is a token without text.
  auto& tokens = assets.tokenizer.tokens;
  tokens.resize(std::max<std::size_t>(tokens.size(), checkpoint.config().vocab));
  runtime::Sampler sampler(sampler_options(options.sampling, checkpoint));
  const text::Tokenizer tokenizer = make_tokenizer(assets);
  const std::uint64_t positions = context_of(options, checkpoint.config(), *context.progress);
  const std::unique_ptr<runtime::Engine> engine =
      open_engine(std::move(checkpoint), pool, kernels, positions, kv_type);
  const double load_seconds = seconds_now() - start;

  const std::vector<std::int32_t> prompt =
      prompt_tokens(options, assets, tokenizer, *context.progress);
  // What is continued as it is has no parts.
  const text::AnswerFormat format =
      is_chat(options, assets) ? text::find_answer_format(tokenizer, &*assets.chat_template)
                               : text::AnswerFormat{};
  text::AnswerSplitter splitter(tokenizer, format, prompt);
  AnswerPrinter printer(!options.hide_reasoning);
  const auto on_text = [&](text::AnswerPart part, std::string_view bytes) {
    printer.print(part, bytes, splitter.answer());
  };
  const runtime::GenerateOptions generate{static_cast<std::uint64_t>(options.max_tokens), positions,
                                          assets.stop};
  // Shorter prompts are over before a bar could tell anything.
  std::uint64_t unread = prompt.size();
  const bool shown = unread > engine->max_batch();
  if (shown) context.progress->begin("reading the prompt", unread, "tokens");
  const auto on_prompt = [&](std::uint64_t rows) {
    if (!shown) return;
    context.progress->advance(rows);
    unread -= rows;
    if (unread == 0) context.progress->end();
  };
  const auto on_token = [&](std::int32_t token) { splitter.push(token, on_text); };
  const runtime::GenerateResult result = naming_bad_weights({options.model}, pool, kernels, [&] {
    return runtime::generate(*engine, sampler, prompt, generate, context.stop, on_prompt, on_token);
  });
  splitter.finish(on_text);
  printer.finish();
  const CacheCost cache{kv_type, runtime::KvCache::bytes_for(engine->config(), positions, kv_type),
                        kv_cache_text(engine->config(), positions, kv_type)};
  report(result, load_seconds, cache);
  if (!options.stats.empty()) {
    write_stats(options.stats, result, splitter.reasoning_tokens(), load_seconds, cache);
  }
}

}  // namespace

void add_run(CLI::App& app, Context& context) {
  CLI::App* command = app.add_subcommand("run", "Answer a prompt, or continue it");
  auto options = std::make_shared<Options>();
  command->add_option("MODEL", options->model, "GGUF file, MLX directory or Hugging Face directory")
      ->required()
      ->type_name("");
  command->add_option("--prompt", options->prompt, "The prompt (default: standard input)")
      ->type_name("TEXT");
  command->add_option("--system", options->system, "System message for the chat template")
      ->type_name("TEXT");
  command->add_flag("--raw", options->raw, "Continue the prompt itself, without chat template");
  add_reasoning_option(*command, options->reasoning);
  command->add_flag("--hide-reasoning", options->hide_reasoning,
                    "Show the answer only (reasoning goes to standard error)");
  command->add_option("--max-tokens", options->max_tokens, "Longest answer (default: 512)")
      ->type_name("N");
  add_sampling_options(*command, options->sampling);
  command
      ->add_option("--ctx", options->context,
                   "Tokens of prompt and answer together (default: the model's, at most 4096)")
      ->type_name("N");
  add_threads_option(*command, options->threads);
  add_backend_option(*command, options->backend);
  add_kernels_option(*command, options->kernels);
  add_kv_cache_option(*command, options->kv_cache);
  command->add_option("--stats", options->stats, "Write tokens, rates and memory as JSON")
      ->type_name("FILE.json");
  command->footer(
      "Ctrl-C ends the answer; the figures are printed all the same.\n"
      "Example: the likeliest continuation, 32 tokens of it\n"
      "  llama-pajamas run models/tiny-qwen2 --raw --prompt \"My fellow citizens\" "
      "--max-tokens 32 --temperature 0");
  command->callback([options, &context] { run_model(*options, context); });
}

}  // namespace pajamas::cli
