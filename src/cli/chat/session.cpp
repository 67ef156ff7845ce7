#include "cli/chat/session.h"

#include <fmt/format.h>

#include <algorithm>

#include "base/bytes.h"
#include "base/error.h"
#include "base/file.h"
#include "base/output.h"
#include "base/system.h"
#include "cli/engine_options.h"
#include "cli/terminal.h"
#include "runtime/backend.h"
#include "text/utf8.h"

namespace pajamas::cli {
namespace {

constexpr std::uint64_t kMaxFile = 64u << 20;

std::string counted(std::size_t number, const char* what) {
  return fmt::format("{} {}{}", with_thousands(number), what, number == 1 ? "" : "s");
}

}  // namespace

ChatSession::ChatSession(RunModel& model, Context& context)
    : model_(model),
      context_(context),
      conversation_(model.conversation()),
      session_(model.loaded().engine()),
      // A model that was taught to answer ends by itself. One that continues a text need not.
      max_tokens_(static_cast<std::uint64_t>(model.options().max_tokens.value_or(
          model.has_template() ? static_cast<std::int64_t>(model.positions())
                               : kDefaultMaxTokens))) {}

void ChatSession::say(std::string message) {
  text::require_utf8(message, "the message");
  conversation_.ask(message);
  bool answered = false;
  try {
    answered = go_on();
  } catch (...) {
    conversation_.take_back();
    count_fill();
    throw;
  }
  if (answered) return;
  conversation_.take_back();
  count_fill();
}

void ChatSession::regenerate() {
  if (conversation_.turns().empty()) {
    throw Error(ErrorCode::kUsage, "there is no message to answer again");
  }
  const auto before = conversation_.take_back_answer();
  if (model_.sampling().temperature == 0) {
    context_.progress->note("at --temperature 0 there is only one answer");
  }
  bool answered = false;
  try {
    answered = go_on();
  } catch (...) {
    if (before) conversation_.put_back_answer(*before);
    throw;
  }
  if (answered) return;
  if (before) conversation_.put_back_answer(*before);
  count_fill();
}

// Answers the last turn; false where that was stopped before there was an answer.
bool ChatSession::go_on() {
  Progress& progress = *context_.progress;
  const std::size_t dropped = conversation_.dropped();
  const std::uint64_t positions = model_.positions();
  const std::vector<std::int32_t> prompt = conversation_.fit(
      session_.tokens(), positions, std::clamp<std::uint64_t>(positions / 4, 1, max_tokens_));
  if (const std::size_t now = conversation_.dropped(); now > dropped) {
    progress.note(fmt::format("the context is full: the model no longer sees the oldest {}",
                              now == 1 ? "turn" : counted(now, "turn")));
  }
  runtime::SamplerOptions sampling = model_.sampling();
  sampling.seed += answers_;
  runtime::Sampler sampler(sampling);
  const Reply reply = model_.answer(session_, sampler, prompt, max_tokens_, true);
  const runtime::GenerateResult& result = reply.result;
  last_ = result;
  all_.reused_tokens += result.reused_tokens;
  all_.prompt_tokens += result.prompt_tokens;
  all_.generated_tokens += result.generated_tokens;
  all_.prompt_seconds += result.prompt_seconds;
  all_.generation_seconds += result.generation_seconds;
  reasoning_tokens_ += reply.reasoning_tokens;
  using runtime::StopReason;
  if (result.reason == StopReason::kInterrupted && reply.answer.content.empty() &&
      reply.answer.calls.empty()) {
    progress.note("stopped before the answer began: the message is taken back");
    return false;
  }
  ++answers_;
  conversation_.answer(reply.answer);
  // Not rendered again for what little the template writes behind an answer.
  fill_ = std::min<std::uint64_t>(session_.tokens().size(), positions);
  if (result.reason == StopReason::kInterrupted) {
    progress.note("stopped");
  } else if (result.reason == StopReason::kMaxTokens) {
    progress.note(fmt::format("the answer was cut off after {} (--max-tokens)",
                              counted(result.generated_tokens, "token")));
  } else if (result.reason == StopReason::kContextFull) {
    progress.note("the context is full: the answer was cut off (a larger --ctx holds more)");
  }
  return true;
}

void ChatSession::count_fill() {
  fill_ = 0;
  if (conversation_.turns().empty()) return;
  try {
    fill_ = conversation_.tokens(session_.tokens()).size();
  } catch (const Error&) {  // some templates refuse to be rendered behind an answer
    fill_ = session_.tokens().size();
  }
  // What stands around an answer that was cut off may already be too much.
  fill_ = std::min(fill_, model_.positions());
}

void ChatSession::reset() {
  conversation_.reset();
  session_.clear();
  count_fill();
}

void ChatSession::set_system(std::string text) {
  if (!model_.has_template()) {
    throw Error(ErrorCode::kUnsupported, "a system message needs the model's chat template");
  }
  text::require_utf8(text, "the system message");
  conversation_.set_system(text);
  count_fill();
}

void ChatSession::save(const std::filesystem::path& path, bool replace) const {
  const std::string text = conversation_.to_json(model_.options().model);
  try {
    OutputFile file(path, text.size(), {.replace = replace});
    file.write_at(0, as_byte_span(text));
    file.commit();
  } catch (const Error& error) {
    if (error.code() != ErrorCode::kExists || replace) throw;
    throw Error(ErrorCode::kExists, error.problem(), "/save! replaces it").at(error.place());
  }
  context_.progress->note(fmt::format("{} saved to {}",
                                      counted(conversation_.turns().size(), "turn"),
                                      printable(path.native(), 300)));
}

void ChatSession::load(const std::filesystem::path& path) {
  const std::string text = read_text_file(path, kMaxFile);
  with_context(printable(path.native(), 300), [&] { conversation_.load_json(text); });
  count_fill();
  const auto turns = conversation_.turns();
  context_.progress->note(
      counted(turns.size(), "turn") +
      (turns.empty() || turns.back().answered() ? "" : ", the last without answer: /regenerate"));
  const std::string unread = conversation_.unread_tools_note();
  if (!unread.empty()) context_.progress->note(unread);
}

std::string ChatSession::fill() const {
  return fmt::format("{}% of {}", 100 * fill_ / std::max<std::uint64_t>(1, model_.positions()),
                     with_thousands(model_.positions()));
}

std::string ChatSession::about() const {
  return fmt::format("{}, context {}", model_.about(), with_thousands(model_.positions()));
}

std::string ChatSession::stats() const {
  const auto figures = [](const runtime::GenerateResult& result) {
    return fmt::format("{} tokens reused; {} read, {} tokens/s; {} generated, {} tokens/s",
                       with_thousands(result.reused_tokens), with_thousands(result.prompt_tokens),
                       readable_rate(result.prompt_tokens_per_second()),
                       with_thousands(result.generated_tokens),
                       readable_rate(result.generation_tokens_per_second()));
  };
  const model::ModelConfig& config = model_.loaded().config();
  const runtime::EngineOptions& options = model_.loaded().options();
  std::string text = fmt::format("context:     {} ({} tokens), {}", fill(), with_thousands(fill_),
                                 counted(conversation_.turns().size(), "turn"));
  if (conversation_.dropped() > 0) {
    text += fmt::format(", of which the model no longer sees {}",
                        with_thousands(conversation_.dropped()));
  }
  text += fmt::format("\nlast answer: {}\nall answers: {}\n", figures(last_), figures(all_));
  text += fmt::format(
      "KV cache:    {} in use; full: {}\nload:        {:.2f} s\npeak memory: {}\n",
      readable_bytes(runtime::memory_needs(config, options, session_.tokens().size()).keys_values),
      kv_cache_text(config, options), model_.load_seconds(), readable_bytes(peak_resident_bytes()));
  return text;
}

void ChatSession::write_stats() const { model_.write_stats(all_, reasoning_tokens_); }

}  // namespace pajamas::cli
