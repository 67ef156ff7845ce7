// `run`: continues a prompt, or answers it where the model has a chat template; or a chat.
#include <fmt/format.h>
#include <unistd.h>

#include <memory>
#include <string>

#include "base/error.h"
#include "base/file.h"
#include "base/system.h"
#include "cli/activations_option.h"
#include "cli/chat.h"
#include "cli/command.h"
#include "cli/kv_option.h"
#include "cli/log.h"
#include "cli/model_argument.h"
#include "cli/open_engine.h"
#include "cli/run_model.h"
#include "cli/terminal.h"
#include "cli/text_option.h"
#include "text/utf8.h"

namespace pajamas::cli {
namespace {

// The prompt as given; standard input loses the line end that a shell or editor put there.
std::string read_prompt(const RunOptions& options, const StopFlag& stop) {
  std::string prompt;
  if (options.prompt) {
    prompt = *options.prompt;
  } else {
    prompt = read_text_input("-", stop);
    if (prompt.ends_with('\n')) prompt.pop_back();
    if (prompt.ends_with('\r')) prompt.pop_back();
  }
  if (prompt.empty()) {
    throw Error(ErrorCode::kUsage, "the prompt is empty",
                "give some text with --prompt or on standard input");
  }
  text::require_utf8(prompt, "the prompt");
  return prompt;
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

void answer_once(RunModel& model, const StopFlag& stop) {
  model::Conversation conversation = model.conversation();
  conversation.ask(read_prompt(model.options(), stop));
  runtime::TextSession session(model.engine());
  runtime::Sampler sampler(model.sampling());
  const Reply reply = model.answer(
      session, sampler, conversation.tokens(),
      static_cast<std::uint64_t>(model.options().max_tokens.value_or(kDefaultMaxTokens)), false);
  const runtime::GenerateResult& result = reply.result;
  log_info(fmt::format(
      "{}; prompt: {} tokens, {:.2f} tokens/s; generation: {} tokens, {:.2f} tokens/s; "
      "load: {:.2f} s; KV cache: {}; peak memory: {}",
      reason_text(result.reason), result.prompt_tokens, result.prompt_tokens_per_second(),
      result.generated_tokens, result.generation_tokens_per_second(), model.load_seconds(),
      kv_cache_text(model.engine().config(), model.positions(), model.kv_type()),
      readable_bytes(peak_resident_bytes())));
  model.write_stats(result, reply.reasoning_tokens);
  if (result.reason == runtime::StopReason::kInterrupted) stop.check();
}

void run_model(const RunOptions& options, Context& context) {
  RunModel model(options, context);
  if (options.interactive || (!options.prompt && ::isatty(STDIN_FILENO) != 0)) {
    chat(model, context);
  } else {
    answer_once(model, context.stop);
  }
}

}  // namespace

void add_run(CLI::App& app, Context& context) {
  CLI::App* command =
      app.add_subcommand("run", "Chat with a model, answer a prompt, or continue it");
  auto options = std::make_shared<RunOptions>();
  command
      ->add_option("MODEL", options->model,
                   "GGUF file, model's directory, or owner/name of the hub")
      ->required()
      ->type_name("");
  command
      ->add_option("--prompt", options->prompt,
                   "The prompt (default: standard input; a chat where that is a terminal)")
      ->type_name("TEXT");
  command->add_flag("-i,--interactive", options->interactive,
                    "Chat; --prompt is the first message (/help lists the commands)");
  command->add_option("--system", options->system, "System message for the chat template")
      ->type_name("TEXT");
  command->add_flag("--raw", options->raw, "Continue the prompt itself, without chat template");
  add_chat_template_option(*command, options->chat_template);
  add_reasoning_option(*command, options->reasoning);
  command->add_flag("--hide-reasoning", options->hide_reasoning,
                    "Show the answer only (reasoning goes to standard error)");
  command
      ->add_option("--max-tokens", options->max_tokens,
                   "Longest answer (default: 512; in a chat none but the context's)")
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
  add_activations_option(*command, options->activations, "int8");
  add_pre_tokenizer_option(*command, options->pre_tokenizer);
  add_no_download_option(*command, options->no_download);
  command->add_option("--stats", options->stats, "Write tokens, rates and memory as JSON")
      ->type_name("FILE.json");
  command->add_flag("--force", options->force, "Replace an existing file of --stats");
  command->footer(
      "Ctrl-C ends the answer; the figures are printed all the same.\n"
      "Example: the likeliest continuation, 32 tokens of it\n"
      "  llama-pajamas run models/tiny-qwen2 --raw --prompt \"My fellow citizens\" "
      "--max-tokens 32 --temperature 0\n"
      "Example: a chat\n"
      "  llama-pajamas run models/tiny-qwen2 --system \"Answer briefly.\"");
  command->callback([options, &context] { run_model(*options, context); });
}

}  // namespace pajamas::cli
