// What to make of an answer that is no file: try again, or say what is wrong.
#pragma once

#include <optional>
#include <string>

#include "base/error.h"
#include "hub/model_id.h"
#include "hub/settings.h"
#include "hub/transfers.h"

namespace pajamas::hub {

// A branch, tag or commit that a repository does not have: no copy in the cache stands in for it.
class MissingRevision : public Error {
 public:
  using Error::Error;
};

// One line for the user, without the id. `file` may be empty.
[[noreturn]] void throw_failure(const Ending& ending, const Settings& settings, const ModelId& id,
                                const std::string& file);

// The same for what was to be written.
[[noreturn]] void throw_write_failure(const Ending& ending, const Settings& settings,
                                      const ModelId& id);

// Whether the same request may well succeed later: broken connections, 408, 429, 5xx.
bool is_transient(const Ending& ending) noexcept;

// When to try again what failed for a transient reason.
class Backoff {
 public:
  // Seconds to wait before the next try, given the moment (Unix time, for dates in headers);
  // nothing where it was tried often enough or the server asks for more patience than we have.
  std::optional<double> next(const Ending& ending, std::int64_t now);
  // Something came: the next failure is the first again.
  void reset() noexcept { failures_ = 0; }

  static constexpr int kTries = 6;
  static constexpr double kFirstSeconds = 0.5;
  static constexpr double kLongestSeconds = 8;
  static constexpr double kMostPatience = 120;  // with a server that names a time

 private:
  int failures_ = 0;
};

// Seconds that a server asks to wait, by Retry-After or RateLimit.
std::optional<double> asked_to_wait(const Answer& answer, std::int64_t now);

// Why something is tried again: "huggingface.co answers 429 (too many requests)".
std::string reason_of(const Ending& ending);

}  // namespace pajamas::hub
