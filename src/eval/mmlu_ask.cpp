#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <memory>
#include <optional>
#include <span>
#include <utility>
#include <vector>

#include "base/error.h"
#include "eval/divergence.h"
#include "eval/mmlu.h"
#include "runtime/owned_session.h"

namespace pajamas::eval {
namespace {

// Of keys and values: a fork copies one and ends in another.
constexpr std::uint64_t kBlocksBeside = 2;

using SessionPtr = std::unique_ptr<const runtime::OwnedSession>;

// A question that is being asked.
struct Pending {
  std::size_t index = 0;
  MmluAnswer answer;
  std::size_t left = 1;  // runs that are still to end
  SessionPtr session;    // has seen the question; for letters of several tokens
};

// Tokens that continue a fork: what a question has of its own, or a letter's but its last.
struct Run {
  Pending* question = nullptr;
  std::optional<std::size_t> letter;  // none: the question itself
  std::span<const std::int32_t> tokens;
  std::size_t past = 0;
  std::size_t done = 0;
  SessionPtr session;  // once it began

  // Of a question the prediction behind it counts, of a letter that behind each token.
  bool wants(std::size_t token) const noexcept { return letter || token + 1 == tokens.size(); }
};

class Asking {
 public:
  Asking(runtime::Engine& engine, const MmluPrompts& prompts, std::size_t at_once,
         const StopFlag& stop)
      : engine_(engine),
        prompts_(prompts),
        at_once_(at_once),
        stop_(stop),
        prefix_(engine, engine.create_session()) {}

  // Whether another question may begin. Few wait, so that few hold keys and values.
  bool has_room() const noexcept { return runs_.size() < at_once_; }
  bool is_idle() const noexcept { return runs_.empty(); }

  void begin(std::size_t index) {
    if (engine_.length(prefix_.id()) == 0) run_prefix();
    Pending& question = pending_.emplace_back();
    question.index = index;
    Run& run = runs_.emplace_back();
    run.question = &question;
    run.tokens = std::span(prompts_.questions[index].tokens).subspan(prompts_.shared);
    run.past = prompts_.shared;
  }

  // Runs one batch: the runs in their order, as many rows as the engine takes.
  void step() {
    batch_.clear();
    std::size_t runs = 0, wanted = 0;
    while (runs < std::min(at_once_, runs_.size()) && batch_.size() < engine_.max_batch()) {
      wanted += add_rows(runs_[runs++]);
    }
    const std::size_t vocab = engine_.config().vocab;
    logits_.resize(wanted * vocab);
    runtime::forward(engine_, batch_, logits_, stop_);
    std::span<const float> left = logits_;
    std::size_t row = 0;
    for (std::size_t i = 0; i < runs; ++i) {
      Run& run = runs_[i];
      for (; row < batch_.size() && batch_[row].session == run.session->id(); ++row, ++run.done) {
        if (!run.wants(run.done)) continue;
        score(run, left.first(vocab));
        left = left.subspan(vocab);
      }
    }
    end_runs();
  }

  // The next question in order that is answered, if it is.
  const Pending* answered() const noexcept {
    return !pending_.empty() && pending_.front().left == 0 ? &pending_.front() : nullptr;
  }
  void pop_answered() { pending_.pop_front(); }

 private:
  void run_prefix() {
    const std::span<const std::int32_t> all(prompts_.questions.front().tokens);
    const auto tokens = all.first(prompts_.shared);
    for (std::size_t first = 0; first < tokens.size(); first += batch_.size()) {
      batch_.clear();
      const std::size_t end = std::min(first + engine_.max_batch(), tokens.size());
      for (std::size_t i = first; i < end; ++i) {
        batch_.push_back({prefix_.id(), static_cast<std::uint32_t>(i), tokens[i], false});
      }
      runtime::forward(engine_, batch_, {}, stop_);
    }
  }

  // Adds what fits of a run; returns how many rows want logits.
  std::size_t add_rows(Run& run) {
    if (run.session == nullptr) {
      const runtime::OwnedSession& from = run.letter ? *run.question->session : prefix_;
      run.session = std::make_unique<runtime::OwnedSession>(engine_, engine_.fork(from.id()));
    }
    const std::size_t end =
        std::min(run.tokens.size(), run.done + engine_.max_batch() - batch_.size());
    std::size_t wanted = 0;
    for (std::size_t i = run.done; i < end; ++i) {
      batch_.push_back({run.session->id(), static_cast<std::uint32_t>(run.past + i), run.tokens[i],
                        run.wants(i)});
      wanted += run.wants(i) ? 1 : 0;
    }
    return wanted;
  }

  // `logits`: behind token `run.done`.
  void score(const Run& run, std::span<const float> logits) const {
    Pending& question = *run.question;
    const double total = log_total(logits);
    const auto log_p = [&](std::int32_t token) {
      return static_cast<double>(logits[static_cast<std::size_t>(token)]) - total;
    };
    const auto& letters = prompts_.questions[question.index].continuations;
    if (run.letter) {
      question.answer.logprobs[*run.letter] += log_p(letters[*run.letter][run.done + 1]);
      return;
    }
    for (std::size_t i = 0; i < letters.size(); ++i) {
      question.answer.logprobs[i] = log_p(letters[i].front());
    }
  }

  // Those that are through go; letters of several tokens come next, before other questions.
  void end_runs() {
    std::vector<Run> next;
    while (!runs_.empty() && runs_.front().done == runs_.front().tokens.size()) {
      Run& run = runs_.front();
      Pending& question = *run.question;
      --question.left;
      if (!run.letter) {
        add_letters(question, run, next);
        if (question.left > 0) question.session = std::move(run.session);
      }
      if (question.left == 0) question.session.reset();
      runs_.pop_front();
    }
    runs_.insert(runs_.begin(), std::make_move_iterator(next.begin()),
                 std::make_move_iterator(next.end()));
  }

  void add_letters(Pending& question, const Run& asked, std::vector<Run>& next) const {
    const auto& letters = prompts_.questions[question.index].continuations;
    for (std::size_t i = 0; i < letters.size(); ++i) {
      if (letters[i].size() == 1) continue;
      Run& run = next.emplace_back();
      run.question = &question;
      run.letter = i;
      run.tokens = std::span(letters[i]).first(letters[i].size() - 1);
      run.past = asked.past + asked.tokens.size();
      ++question.left;
    }
  }

  runtime::Engine& engine_;
  const MmluPrompts& prompts_;
  std::size_t at_once_;
  const StopFlag& stop_;
  runtime::OwnedSession prefix_;
  std::deque<Pending> pending_;  // in the order of the questions; a deque's stay where they are
  std::deque<Run> runs_;
  std::vector<runtime::BatchRow> batch_;
  std::vector<float> logits_;
};

}  // namespace

std::uint64_t mmlu_positions_beside(const runtime::Engine& engine, std::size_t at_once) noexcept {
  // Each question may have a letter's fork beside its own.
  return engine.max_batch() + 2 * at_once * kBlocksBeside * engine.block_positions();
}

void ask_mmlu(runtime::Engine& engine, const MmluPrompts& prompts, std::size_t at_once,
              const std::function<bool(std::size_t)>& known,
              const std::function<void(std::size_t, const MmluAnswer&)>& answered,
              Progress& progress, const StopFlag& stop) {
  PJ_CHECK(at_once > 0);
  Asking asking(engine, prompts, at_once, stop);
  std::size_t next = 0;
  while (true) {
    for (; next < prompts.questions.size() && asking.has_room(); ++next) {
      if (known(next)) {
        progress.advance(1);
      } else {
        asking.begin(next);
      }
    }
    if (asking.is_idle()) return;
    asking.step();
    while (const Pending* const question = asking.answered()) {
      answered(question->index, question->answer);
      asking.pop_answered();
      progress.advance(1);
    }
  }
}

}  // namespace pajamas::eval
