#include "cli/run_model.h"

#include <fmt/format.h>

#include <algorithm>
#include <ctime>
#include <nlohmann/json.hpp>

#include "base/bytes.h"
#include "base/error.h"
#include "base/output.h"
#include "base/readable.h"
#include "base/system.h"
#include "cli/answer_printer.h"
#include "cli/load_model.h"
#include "cli/model_argument.h"
#include "cli/model_summary.h"
#include "cli/text_option.h"
#include "model/chat.h"
#include "runtime/backend.h"
#include "text/utf8.h"

namespace pajamas::cli {
namespace {

const RunOptions& checked_options(const RunOptions& options) {
  if (options.max_tokens && *options.max_tokens < 1) {
    throw Error(ErrorCode::kUsage, fmt::format("{} is out of range", *options.max_tokens),
                "give 1 or more")
        .at("--max-tokens");
  }
  checked_context(options.context, 0,
                  "give the number of tokens that prompt and answer may take together");
  check_engine_flags(options.engine);
  text::require_utf8(options.system, "the text of --system");
  if (!options.stats.empty()) require_absent(options.stats, {.replace = options.force});
  return options;
}

// Whether an option of the command line said so, and not a setting, which is for every model and
// makes no sense of some.
bool was_asked(const Context& context, SettingKey key, std::string_view flag) {
  return context.settings.get(key).source == flag;
}

std::uint64_t context_of(const RunOptions& options, const model::ModelConfig& config,
                         const Context& all) {
  if (options.context == 0) return runtime::default_context(config);
  const auto context = static_cast<std::uint64_t>(options.context);
  if (context > config.context_length) {
    if (!was_asked(all, SettingKey::kContext, "--ctx")) return config.context_length;
    Progress& progress = *all.progress;
    progress.note(fmt::format("--ctx {} is more than the {} positions this model was made for",
                              context, config.context_length));
  }
  return context;
}

// What the model suggests holds where neither an option nor a setting says anything.
void take_suggested_cache(const model::ModelConfig& config, const Context& context,
                          runtime::EngineOptions& engine) {
  if (config.kv_cache_type.empty() || context.settings.is_set(SettingKey::kKvCache)) return;
  const auto type = runtime::kv_type_by_name(config.kv_cache_type);
  if (!type) {
    context.progress->note(fmt::format("the model suggests a KV cache \"{}\", which there is not",
                                       printable(config.kv_cache_type, 40)));
    return;
  }
  if (*type == engine.kv_type) return;
  runtime::EngineOptions suggested = engine;
  suggested.kv_type = *type;
  try {
    engine.backend->require_options(suggested);
  } catch (const Error& error) {
    context.progress->note(
        fmt::format("the model suggests a KV cache {}: {}", config.kv_cache_type, error.problem()));
    return;
  }
  engine.kv_type = *type;
  context.progress->note(
      fmt::format("KV cache {}, as the model suggests (--kv-cache {} changes it)",
                  config.kv_cache_type, runtime::info(runtime::kUsualKvType).name));
}

// In the words of OpenAI's interface, and "interrupted".
std::string_view finish_reason(const Reply& reply) {
  switch (reply.result.reason) {
    case runtime::StopReason::kStopToken:
      return reply.answer.calls.empty() ? "stop" : "tool_calls";
    case runtime::StopReason::kMaxTokens:
    case runtime::StopReason::kContextFull:
      return "length";
    case runtime::StopReason::kInterrupted:
      return "interrupted";
  }
  return "";
}

}  // namespace

RunModel::RunModel(const RunOptions& options, Context& context)
    : options_(checked_options(options)), context_(context) {
  runtime::EngineOptions engine = engine_options(options.engine);
  path_ = local_model(options.model, hub::Need::kAll, options.no_download, context);
  const double start = seconds_now();
  model::Checkpoint checkpoint = model::Checkpoint::open(path_);
  about_ = fmt::format("{}: {}, {}", short_name(options_.model), quantization_name(checkpoint),
                       readable_bytes(file_bytes(checkpoint)));
  model::TextAssets text = load_text(checkpoint, options.pre_tokenizer, *context.progress);
  if (!options_.raw) {
    if (!options_.chat_template.empty()) {
      model::choose_chat_template(text.chat_templates, options_.chat_template);
    }
    // Without a default one all would have been loaded for nothing.
    if (!text.chat_templates.empty()) (void)model::chat_template_for(text.chat_templates, false);
  }
  settle_backend(checkpoint, engine);
  take_suggested_cache(checkpoint.config(), context_, engine);
  engine.context = context_of(options_, checkpoint.config(), context_);
  tell_of_running(checkpoint, engine);
  loaded_.emplace(std::move(checkpoint), std::move(engine), std::move(text));
  sampling_ = sampler_options(options_.sampling, loaded_->sampling());
  load_seconds_ = seconds_now() - start;
}

model::Conversation RunModel::conversation() const {
  const std::time_t now = std::time(nullptr);
  model::ConversationOptions how;
  ::localtime_r(&now, &how.now);
  how.raw = !has_template();
  how.stop = &context_.stop;
  Progress& progress = *context_.progress;
  if (how.raw) {
    if (!options_.raw) {
      progress.note("this model has no chat template: the prompt is continued as it is");
    }
    if (!options_.system.empty() && was_asked(context_, SettingKey::kSystem, "--system")) {
      progress.note("--system is ignored: it needs the model's chat template");
    }
    if (!options_.chat_template.empty()) {
      progress.note("--chat-template is ignored: --raw takes none");
    }
    if (!options_.reasoning.empty()) {
      progress.note("--reasoning is ignored: it needs the model's chat template");
    }
  } else if (!options_.reasoning.empty()) {
    model::ReasoningOptions reasoning =
        model::reasoning_options(loaded_->text().chat(), options_.reasoning);
    if (!reasoning.note.empty()) progress.note(reasoning.note);
    how.variables = std::move(reasoning.variables);
  }
  model::Conversation made(loaded_->text(), std::move(how));
  made.set_system(options_.system);
  return made;
}

Reply RunModel::answer(runtime::TextSession& session, runtime::Sampler& sampler,
                       std::span<const std::int32_t> prompt, std::uint64_t max_tokens,
                       bool keep_prompt) {
  const model::TextModel& model = loaded_->text();
  // What is continued as it is has no parts.
  const text::AnswerFormat format = has_template() ? model.answer_format() : text::AnswerFormat{};
  text::AnswerSplitter splitter(model.tokenizer(), format, prompt);
  AnswerPrinter printer(!options_.hide_reasoning);
  const auto on_text = [&](text::AnswerPart part, std::string_view bytes) {
    if (!options_.json) printer.print(part, bytes, splitter.answer());
  };
  const runtime::GenerateOptions generate{{max_tokens, positions(), model.stop()}, keep_prompt};
  // Shorter prompts are over before a bar could tell anything.
  Progress& progress = *context_.progress;
  bool shown = false;
  const auto on_prompt = [&](std::uint64_t rows, std::uint64_t left) {
    if (rows == 0) {
      shown = left > loaded_->engine().max_batch();
      if (shown) progress.begin("reading the prompt", left, "tokens");
    } else if (shown) {
      progress.advance(rows);
      if (left == 0) progress.end();
    }
  };
  bool begun = false;
  const auto on_token = [&](std::int32_t token) {
    begun = true;
    splitter.push(token, on_text);
  };
  Reply reply;
  try {
    reply.result = loaded_->naming_bad_weights([&] {
      return session.generate(sampler, prompt, generate, context_.stop, on_prompt, on_token);
    });
  } catch (...) {
    if (begun && !options_.json) printer.finish();
    throw;
  }
  splitter.finish(on_text);
  if (!options_.json) printer.finish();
  reply.answer = splitter.answer();
  reply.reasoning_tokens = splitter.reasoning_tokens();
  if (options_.json) print_json(reply);
  return reply;
}

void RunModel::print_json(const Reply& reply) const {
  using nlohmann::ordered_json;
  const runtime::GenerateResult& result = reply.result;
  ordered_json calls = ordered_json::array();
  for (const text::ToolCall& call : reply.answer.calls) {
    calls.push_back({{"recipient", call.recipient}, {"arguments", call.arguments}});
  }
  const ordered_json report = {
      {"model", options_.model},
      {"text", reply.answer.content},
      {"reasoning", reply.answer.reasoning},
      {"tool_calls", std::move(calls)},
      {"finish_reason", finish_reason(reply)},
      {"reused_tokens", result.reused_tokens},
      {"prompt_tokens", result.prompt_tokens},
      {"generated_tokens", result.generated_tokens},
      {"reasoning_tokens", reply.reasoning_tokens},
      {"prompt_tokens_per_second", result.prompt_tokens_per_second()},
      {"generation_tokens_per_second", result.generation_tokens_per_second()},
      {"load_seconds", load_seconds_},
      {"backend", loaded_->options().backend->name()},
      {"context", positions()},
      {"kv_cache", runtime::info(loaded_->options().kv_type).name},
      {"peak_memory_bytes", peak_resident_bytes()}};
  print_text(report.dump(-1, ' ', false, ordered_json::error_handler_t::replace) + "\n");
}

void RunModel::write_stats(const runtime::GenerateResult& result,
                           std::uint64_t reasoning_tokens) const {
  if (options_.stats.empty()) return;
  const nlohmann::ordered_json stats = {
      {"reused_tokens", result.reused_tokens},
      {"prompt_tokens", result.prompt_tokens},
      {"prompt_tokens_per_second", result.prompt_tokens_per_second()},
      {"generated_tokens", result.generated_tokens},
      {"reasoning_tokens", reasoning_tokens},
      {"generation_tokens_per_second", result.generation_tokens_per_second()},
      {"load_seconds", load_seconds_},
      {"backend", loaded_->options().backend->name()},
      {"kv_cache", runtime::info(loaded_->options().kv_type).name},
      {"kv_cache_bytes", loaded_->memory_needs().keys_values},
      {"peak_memory_bytes", peak_resident_bytes()}};
  const std::string text = stats.dump(2) + "\n";
  OutputFile file(options_.stats, text.size(), {.replace = options_.force});
  file.write_at(0, as_byte_span(text));
  file.commit();
}

}  // namespace pajamas::cli
