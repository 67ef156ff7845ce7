// What one parsing or rendering may use: steps of work and bytes of memory; and how it is stopped.
#pragma once

#include <cstddef>
#include <limits>
#include <memory>
#include <new>
#include <string>
#include <utility>
#include <vector>

#include "base/parallel.h"

namespace pajamas::jinja {

// A step is about 20 ns of work: a node of the tree, an item of a sequence, an allocation, or as
// many bytes as one of these says.
constexpr std::size_t kMaxSteps = 50'000'000;
constexpr std::size_t kBytesCopied = 64;    // copied, or compared with others
constexpr std::size_t kBytesSearched = 16;  // looked through for a text
constexpr std::size_t kBytesDecoded = 2;    // read (and perhaps written) as code points
// Of all that is held at a time: the parsed template, its variables and the text written so far.
constexpr std::size_t kMaxMemory = 256'000'000;

// Counts for the thread that made it, until it ends. Strings and containers of this folder allocate
// by `Counted`, so that none of them can be forgotten, whatever a template makes it hold. Where
// there is no budget nothing is counted.
class Budget {
 public:
  // `held`: bytes that are there already. A null `stop` is never requested.
  explicit Budget(const StopFlag* stop, std::size_t held = 0, std::size_t max_steps = kMaxSteps);
  ~Budget();
  Budget(const Budget&) = delete;
  Budget& operator=(const Budget&) = delete;

  static Budget* current() noexcept { return current_; }

  // Called before the work is done. Throws Error{kUnsupported} beyond the limit, and
  // Error{kInterrupted} soon after `stop` is requested.
  void charge(std::size_t steps) {
    if (steps >= until_look_) look(steps);
    until_look_ -= steps;
  }
  // Called before memory is allocated; throws Error{kUnsupported} beyond the limit.
  void take(std::size_t bytes) {
    charge(2 + bytes / kBytesCopied);
    if (bytes > kMaxMemory - held_) fail_memory();
    held_ += bytes;
  }
  void give(std::size_t bytes) noexcept { held_ -= bytes < held_ ? bytes : held_; }

  std::size_t steps() const noexcept { return looked_at_ - until_look_; }
  std::size_t held() const noexcept { return held_; }

  // Throws as `take` does for more than there can be.
  [[noreturn]] static void fail_memory();

 private:
  void look(std::size_t steps);

  static constinit thread_local Budget* current_;

  const StopFlag* stop_;
  std::size_t max_steps_;
  std::size_t looked_at_ = 0;   // the steps at which the flag is looked at next
  std::size_t until_look_ = 0;  // how many are left until then
  std::size_t held_;
  Budget* outer_;
};

inline void charge(std::size_t steps) {
  if (Budget* budget = Budget::current()) budget->charge(steps);
}
// For work on `bytes` of which a step does `per_step`.
inline void charge_bytes(std::size_t bytes, std::size_t per_step) { charge(1 + bytes / per_step); }

// Pays for a text that is read until something is found, piece by piece: how far that is shows only
// in the doing.
class Meter {
 public:
  // Called before byte `at` is read, by which the reading goes on.
  void reach(std::size_t at) {
    if (at < paid_) return;
    charge_bytes(piece_, kBytesDecoded);
    paid_ = at + piece_;
    if (piece_ < 1024) piece_ *= 2;
  }

 private:
  std::size_t paid_ = 0;
  std::size_t piece_ = 4;
};

// Allocates what the current budget has left.
template <class T>
struct Counted {
  using value_type = T;

  // Of a pointer too, where a container asks for an array of them.
  static constexpr std::size_t kSize = sizeof(T);  // NOLINT(bugprone-sizeof-expression)

  Counted() = default;
  template <class U>
  Counted(const Counted<U>&) noexcept {}

  T* allocate(std::size_t n) {
    if (n > std::numeric_limits<std::size_t>::max() / 2 / kSize) Budget::fail_memory();
    if (Budget* budget = Budget::current()) budget->take(n * kSize);
    return static_cast<T*>(::operator new(n* kSize));
  }
  void deallocate(T* memory, std::size_t n) noexcept {
    if (Budget* budget = Budget::current()) budget->give(n * kSize);
    ::operator delete(memory);
  }
  template <class U>
  bool operator==(const Counted<U>&) const noexcept {
    return true;
  }
};

// A base of what is made by `new`.
struct CountedNew {
  static void* operator new(std::size_t size) { return Counted<std::byte>().allocate(size); }
  static void operator delete(void* memory, std::size_t size) noexcept {
    Counted<std::byte>().deallocate(static_cast<std::byte*>(memory), size);
  }
};

using String = std::basic_string<char, std::char_traits<char>, Counted<char>>;
template <class T>
using Vector = std::vector<T, Counted<T>>;

template <class T, class... Args>
std::shared_ptr<T> make_counted(Args&&... args) {
  return std::allocate_shared<T>(Counted<T>(), std::forward<Args>(args)...);
}

}  // namespace pajamas::jinja
