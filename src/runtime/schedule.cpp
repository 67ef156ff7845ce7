#include "runtime/schedule.h"

#include <fmt/format.h>

#include <algorithm>
#include <utility>

#include "base/error.h"

namespace pajamas::runtime {

Scheduler::~Scheduler() {
  while (!entries_.empty()) remove(entries_.begin()->first);
}

SequenceId Scheduler::add(SequenceRequest request) {
  const std::uint64_t vocab = engine_.config().vocab;
  for (const std::int32_t token : request.prompt) {
    if (token >= 0 && static_cast<std::uint64_t>(token) < vocab) continue;
    throw Error(ErrorCode::kUsage,
                fmt::format("token {} is beyond the model's vocabulary of {}", token, vocab),
                "the tokenizer does not belong to this model");
  }
  const std::size_t ran = request.session ? engine_.length(*request.session) : 0;
  auto sequence = std::make_unique<Sequence>(std::move(request.prompt), ran,
                                             std::move(request.sampler), std::move(request.limits));
  const bool is_own = !request.session;
  const SessionId session = is_own ? engine_.create_session() : *request.session;
  entries_.emplace(next_, Entry{std::move(sequence), session, is_own});
  return next_++;
}

Sequence& Scheduler::at(SequenceId id) const {
  const auto found = entries_.find(id);
  PJ_CHECK(found != entries_.end());
  return *found->second.sequence;
}

void Scheduler::remove(SequenceId id) {
  const auto found = entries_.find(id);
  PJ_CHECK(found != entries_.end());
  if (found->second.is_own) engine_.release(found->second.session);
  entries_.erase(found);
}

std::span<const Scheduler::Share> Scheduler::shares() {
  shares_.clear();
  std::size_t room = engine_.max_batch();
  const auto add = [&](Entry& entry) {
    const std::size_t count = entry.sequence->next(room).size();
    if (count > 0) shares_.push_back({&entry, count});
    room -= count;
  };
  // In a circle, so that nobody waits for ever behind more than fit.
  const auto turn = entries_.lower_bound(first_);
  const auto answer = [&](auto from, auto to) {
    for (auto at = from; at != to && room > 0; ++at) {
      if (at->second.sequence->prompt_left() > 0) continue;
      add(at->second);
      first_ = at->first + 1;
    }
  };
  answer(turn, entries_.end());
  answer(entries_.begin(), turn);
  for (auto& [id, entry] : entries_) {
    if (room > 0 && entry.sequence->prompt_left() > 0) add(entry);
  }
  return shares_;
}

bool Scheduler::step(const StopFlag& stop) {
  const std::span<const Share> all = shares();
  if (all.empty()) return false;
  std::exception_ptr error = run(all, stop);
  if (!error) return true;
  for (const Share& share : all) {
    if (all.size() > 1) error = run({&share, 1}, stop);
    if (error) share.entry->sequence->fail(error);
  }
  return true;
}

// Nothing, or what went wrong; the sequences are then as they were.
std::exception_ptr Scheduler::run(std::span<const Share> shares, const StopFlag& stop) {
  rows_.clear();
  std::size_t complete = 0;
  for (const auto& [entry, count] : shares) {
    const Sequence& sequence = *entry->sequence;
    const std::size_t end = sequence.ran() + count;
    for (std::size_t i = sequence.ran(); i < end; ++i) {
      rows_.push_back({entry->session, static_cast<std::uint32_t>(i), sequence.tokens()[i],
                       i + 1 == sequence.tokens().size()});
    }
    if (end == sequence.tokens().size()) ++complete;
  }
  try {
    logits_.resize(complete * engine_.config().vocab);
    forward(engine_, rows_, logits_, stop);
  } catch (...) {
    for (const auto& [entry, count] : shares) {
      const auto ran = static_cast<std::uint32_t>(entry->sequence->ran());
      engine_.truncate(entry->session, std::min(ran, engine_.length(entry->session)));
    }
    try {
      throw;
    } catch (const Error& error) {
      if (error.code() == ErrorCode::kInterrupted) throw;
      return std::current_exception();
    } catch (...) {
      return std::current_exception();
    }
  }
  hand_out(shares);
  return nullptr;
}

void Scheduler::hand_out(std::span<const Share> shares) {
  const std::size_t vocab = engine_.config().vocab;
  std::span<const float> left = logits_;
  for (const auto& [entry, count] : shares) {
    Sequence& sequence = *entry->sequence;
    const bool complete = sequence.ran() + count == sequence.tokens().size();
    try {
      sequence.advance(count, left.first(complete ? vocab : 0));
    } catch (...) {
      sequence.fail(std::current_exception());
    }
    if (complete) left = left.subspan(vocab);
  }
}

}  // namespace pajamas::runtime
