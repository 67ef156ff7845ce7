#include "jinja/budget.h"

#include <fmt/format.h>

#include <algorithm>

#include "base/error.h"
#include "jinja/value.h"

namespace pajamas::jinja {
namespace {

constexpr std::size_t kLookEvery = 1 << 14;

}  // namespace

constinit thread_local Budget* Budget::current_ = nullptr;

Budget::Budget(const StopFlag* stop, std::size_t held, std::size_t max_steps)
    : stop_(stop), max_steps_(max_steps), held_(held), outer_(std::exchange(current_, this)) {}

Budget::~Budget() { current_ = outer_; }

// Makes `until_look_` larger than `steps`, or throws.
void Budget::look(std::size_t steps) {
  if (stop_) stop_->check();
  const std::size_t used = this->steps();
  if (steps > max_steps_ || used > max_steps_ - steps) {
    fail_limit(
        fmt::format("the chat template takes more than {} million steps", max_steps_ / 1'000'000));
  }
  until_look_ = steps + kLookEvery;
  looked_at_ = used + until_look_;
}

void Budget::fail_memory() {
  fail_limit(
      fmt::format("the chat template needs more than {} MB of memory", kMaxMemory / 1'000'000));
}

}  // namespace pajamas::jinja
