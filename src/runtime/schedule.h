// Runs several sequences on one engine, a batch at a time.
#pragma once

#include <cstdint>
#include <exception>
#include <map>
#include <memory>
#include <optional>
#include <span>
#include <vector>

#include "base/parallel.h"
#include "runtime/engine.h"
#include "runtime/sequence.h"

namespace pajamas::runtime {

using SequenceId = std::uint64_t;

struct SequenceRequest {
  std::vector<std::int32_t> prompt;
  Sampler sampler;
  SequenceLimits limits;
  // A session that holds a beginning of the prompt, which then does not run; it stays the caller's.
  // Without one the scheduler makes one and releases it.
  std::optional<SessionId> session{};
};

// What a sequence answers does not depend on which others it shares batches with. For one thread,
// as an engine is, but for Sequence::cancel.
//
// Where the engine chooses tokens (runtime/choice.h), all sequences answer and rules can say how,
// the batch after the next tokens is on its way before these are read. A session may be up to
// Engine::kMostAhead positions longer than its sequence has run then; it ends where the sequence
// does once that one is removed, or over and another step done.
class Scheduler {
 public:
  explicit Scheduler(Engine& engine) : engine_(engine) {}
  Scheduler(const Scheduler&) = delete;
  Scheduler& operator=(const Scheduler&) = delete;
  ~Scheduler();

  // Throws Error{kUsage} as check_prompt does, and for a token beyond the vocabulary.
  SequenceId add(SequenceRequest request);
  // Stays valid until it is removed, over or not.
  Sequence& at(SequenceId id) const;
  void remove(SequenceId id);

  // Runs one batch (or, a token ahead, begins one and waits for the one before): first the next
  // token of every sequence that answers, then pieces of prompts, the oldest first, as far as there
  // is room. False where there was nothing to run.
  //
  // A batch that fails runs again, each sequence by itself, so that the error is that of whom it
  // comes from (Sequence::check) and the others go on. Throws Error{kInterrupted} once `stop` is
  // set; every sequence is then as it was before its batch.
  bool step(const StopFlag& stop);

 private:
  struct Entry {
    std::unique_ptr<Sequence> sequence;
    SessionId session;
    bool is_own;
  };
  // What one sequence runs in a batch.
  struct Share {
    Entry* entry;
    std::size_t count;
  };

  // Of the next batch; valid until the next call.
  std::span<const Share> shares();
  std::exception_ptr run(std::span<const Share> shares, const StopFlag& stop);
  void hand_out(std::span<const Share> shares);

  // Tokens that the engine has chosen and nobody has read, and whose they are: the batch that they
  // follow from has run the last token of each of these.
  struct Flight {
    ChosenPtr chosen;             // null: there are none
    std::vector<Entry*> entries;  // null: nobody's any more
  };
  // Whether `step` is to do what follows.
  bool may_run_ahead() const;
  // As `step` by one token; false where that failed, and every sequence is as before then.
  bool step_ahead(const StopFlag& stop);
  // Begins a batch of all that answer, or of those whose tokens are on their way and will not be
  // their last. No flight where there is none of these, or where it failed. Throws kInterrupted.
  Flight begin(const Flight* before, const StopFlag& stop);
  // Nobody waits for the tokens of an entry any more, where `flight` has some; its session ends
  // where the sequence does.
  void drop(Flight& flight, const Entry& entry);
  void go_back(SessionId session, std::size_t length);

  Engine& engine_;
  std::map<SequenceId, Entry> entries_;
  SequenceId next_ = 0;
  SequenceId first_ = 0;        // whose turn it is where not all that answer fit a batch
  std::vector<Share> shares_;   // of the batch that runs
  std::vector<BatchRow> rows_;  // the same
  std::vector<float> logits_;   // of those of its rows that end a text: [rows][vocab]
  Flight ahead_;                // between two steps
  std::vector<ChoiceRule> rules_;
  std::vector<std::int32_t> chosen_;
};

}  // namespace pajamas::runtime
