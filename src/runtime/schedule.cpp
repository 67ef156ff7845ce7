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
  drop(ahead_, found->second);
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
  for (auto& [id, entry] : entries_) {
    if (entry.sequence->is_over()) drop(ahead_, entry);
  }
  if ((ahead_.chosen != nullptr || may_run_ahead()) && step_ahead(stop)) return true;
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
    for (const auto& [entry, count] : shares) go_back(entry->session, entry->sequence->ran());
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

void Scheduler::go_back(SessionId session, std::size_t length) {
  engine_.truncate(session, std::min(static_cast<std::uint32_t>(length), engine_.length(session)));
}

bool Scheduler::may_run_ahead() const {
  if (!engine_.chooses()) return false;
  std::size_t answering = 0;
  for (const auto& [id, entry] : entries_) {
    const Sequence& sequence = *entry.sequence;
    if (sequence.is_over()) continue;
    if (sequence.prompt_left() > 0 || !sequence.rule(0)) return false;
    ++answering;
  }
  return answering > 0 && answering <= engine_.max_batch();
}

Scheduler::Flight Scheduler::begin(const Flight* before, const StopFlag& stop) {
  Flight flight;
  rows_.clear();
  rules_.clear();
  const auto add = [&](Entry& entry, std::int32_t token, std::size_t later) {
    const Sequence& sequence = *entry.sequence;
    const auto position = static_cast<std::uint32_t>(sequence.ran() + later);
    rows_.push_back({entry.session, position, token, true});
    rules_.push_back(*sequence.rule(later));
    flight.entries.push_back(&entry);
  };
  if (before == nullptr) {
    for (auto& [id, entry] : entries_) {
      if (!entry.sequence->is_over()) add(entry, entry.sequence->tokens().back(), 0);
    }
  } else {
    for (std::size_t i = 0; i < before->entries.size(); ++i) {
      Entry* const entry = before->entries[i];
      if (entry == nullptr || entry->sequence->is_over()) continue;
      if (!entry->sequence->ends_with_next()) add(*entry, static_cast<std::int32_t>(i), 1);
    }
  }
  if (rows_.empty()) return {};
  const Chosen* const tokens = before == nullptr ? nullptr : before->chosen.get();
  try {
    flight.chosen = forward_chosen(engine_, rows_, tokens, rules_, stop);
    return flight;
  } catch (...) {
    for (const BatchRow& row : rows_) go_back(row.session, row.position);
    try {
      throw;
    } catch (const Error& error) {
      if (error.code() == ErrorCode::kInterrupted) throw;
    } catch (...) {  // `run` comes to the same, and says whose fault it is
    }
    return {};
  }
}

bool Scheduler::step_ahead(const StopFlag& stop) {
  if (ahead_.chosen == nullptr) ahead_ = begin(nullptr, stop);
  if (ahead_.chosen == nullptr) return false;
  Flight next;
  if (may_run_ahead()) next = begin(&ahead_, stop);
  const Flight now = std::exchange(ahead_, std::move(next));
  chosen_.resize(now.chosen->size());
  try {
    now.chosen->read(chosen_);
  } catch (...) {  // the same
    ahead_ = {};
    for (const Entry* const entry : now.entries) {
      if (entry != nullptr) go_back(entry->session, entry->sequence->ran());
    }
    return false;
  }
  for (std::size_t i = 0; i < now.entries.size(); ++i) {
    if (now.entries[i] == nullptr) continue;
    Sequence& sequence = *now.entries[i]->sequence;
    try {
      sequence.advance_chosen(chosen_[i]);
    } catch (...) {
      sequence.fail(std::current_exception());
    }
    if (sequence.is_over()) drop(ahead_, *now.entries[i]);
  }
  return true;
}

void Scheduler::drop(Flight& flight, const Entry& entry) {
  const auto found = std::ranges::find(flight.entries, &entry);
  if (found == flight.entries.end()) return;
  *found = nullptr;
  go_back(entry.session, entry.sequence->ran());
  if (std::ranges::all_of(flight.entries, [](const Entry* of) { return of == nullptr; }))
    flight = {};
}

}  // namespace pajamas::runtime
