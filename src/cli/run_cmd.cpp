// `run`: continues a prompt, or answers it where the model has a chat template; or a chat.
#include <fmt/format.h>
#include <unistd.h>

#include <memory>
#include <string>

#include "base/error.h"
#include "base/file.h"
#include "base/system.h"
#include "cli/chat/chat.h"
#include "cli/command.h"
#include "cli/engine_options.h"
#include "cli/log.h"
#include "cli/model_argument.h"
#include "cli/prompt_input.h"
#include "cli/run_model.h"
#include "cli/terminal.h"
#include "cli/text_option.h"

namespace pajamas::cli {
namespace {

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

void answer_once(RunModel& model, Context& context) {
  model::Conversation conversation = model.conversation();
  conversation.ask(whole_prompt(model.options().prompt, *context.progress, context.stop));
  runtime::TextSession session(model.loaded().engine());
  runtime::Sampler sampler(model.sampling());
  const Reply reply = model.answer(
      session, sampler, conversation.tokens(),
      static_cast<std::uint64_t>(model.options().max_tokens.value_or(kDefaultMaxTokens)), false);
  const runtime::GenerateResult& result = reply.result;
  log_info(
      fmt::format("{}; prompt: {} tokens, {} tokens/s; generation: {} tokens, {} tokens/s; "
                  "load: {:.2f} s; KV cache: {}; peak memory: {}",
                  reason_text(result.reason), result.prompt_tokens,
                  readable_rate(result.prompt_tokens_per_second()), result.generated_tokens,
                  readable_rate(result.generation_tokens_per_second()), model.load_seconds(),
                  kv_cache_text(model.loaded().config(), model.loaded().options()),
                  readable_bytes(peak_resident_bytes())));
  model.write_stats(result, reply.reasoning_tokens);
  if (result.reason == runtime::StopReason::kInterrupted) context.stop.check();
}

void run_model(const RunOptions& options, Context& context) {
  RunModel model(options, context);
  if (options.interactive || (!has_prompt(options.prompt) && ::isatty(STDIN_FILENO) != 0)) {
    chat(model, given_prompt(options.prompt, context.stop), context);
  } else {
    answer_once(model, context);
  }
}

// `run`, or `chat`, which is `run --interactive`.
void add_run_command(const Command& command, Context& context, bool is_chat) {
  auto options = std::make_shared<RunOptions>();
  options->interactive = is_chat;
  command
      .add_option("MODEL,-m,--model", options->model,
                  "GGUF file, model's directory, or owner/name of the hub")
      .required()
      .type_name("MODEL");
  command
      .add_option("PROMPT", options->prompt.positional,
                  is_chat ? "The first message" : "The prompt, as --prompt gives it")
      .type_name("");
  command
      .add_option("-p,--prompt", options->prompt.text,
                  is_chat ? "The first message"
                          : "The prompt; what is piped in follows it (default: standard input; a "
                            "chat where that is a terminal)")
      .type_name("TEXT");
  command
      .add_option("-f,--file", options->prompt.file,
                  "Add the text of this file to the prompt (-: standard input)")
      .type_name("FILE");
  command.add_flag("-i,--interactive", options->interactive,
                   "Chat; --prompt is the first message (/help lists the commands)");
  command.add_option("--system", options->system, "System message for the chat template")
      .type_name("TEXT");
  command.add_flag("--raw", options->raw, "Continue the prompt itself, without chat template");
  add_chat_template_option(command, options->chat_template);
  add_reasoning_option(command, options->reasoning);
  command.add_flag("--hide-reasoning", options->hide_reasoning,
                   "Show the answer only (reasoning goes to standard error)");
  command
      .add_option("-n,--max-tokens", options->max_tokens,
                  "Longest answer (default: 512; in a chat none but the context's)")
      .type_name("N");
  add_sampling_options(command, options->sampling);
  command
      .add_option("-c,--ctx", options->context,
                  "Tokens of prompt and answer together (default: the setting context, else the "
                  "model's, at most 4096)")
      .type_name("N");
  add_engine_options(command, context.settings, options->engine,
                     {.kv_cache = runtime::kUsualKvType, .activations = "int8", .settings = true});
  add_pre_tokenizer_option(command, options->pre_tokenizer);
  add_no_download_option(command, options->no_download);
  command.add_option("--stats", options->stats, "Write tokens, rates and memory as JSON")
      .type_name("FILE.json");
  command.add_flag("--force", options->force, "Replace an existing file of --stats");
  command.add_flag("--json", options->json,
                   "Print each answer as a JSON object: text, reasoning, finish_reason, tokens, "
                   "rates");
  command.footer(
      is_chat ? "Ctrl-C ends an answer, Ctrl-D the chat.\n"
                "Example: a model of the hub, downloaded when it is first used\n"
                "  llama-pajamas chat Qwen/Qwen2.5-0.5B-Instruct-GGUF --system \"Answer briefly.\""
              : "Ctrl-C ends the answer; the figures are printed all the same.\n"
                "Example: the likeliest continuation, 32 tokens of it\n"
                "  llama-pajamas run models/tiny-qwen2 --raw --prompt \"My fellow citizens\" "
                "--max-tokens 32 --temperature 0\n"
                "Example: a question about a file\n"
                "  llama-pajamas run model.gguf \"What is this?\" < README.md\n"
                "Example: a chat\n"
                "  llama-pajamas run models/tiny-qwen2 --system \"Answer briefly.\"");
  command.callback([options, &context] { run_model(*options, context); });
}

}  // namespace

void add_run(const Command& app, Context& context) {
  add_run_command(app.add_command("run", "Chat with a model, answer a prompt, or continue it"),
                  context, false);
}

void add_chat(const Command& app, Context& context) {
  add_run_command(app.add_command("chat", "Chat with a model: run MODEL --interactive"), context,
                  true);
}

}  // namespace pajamas::cli
