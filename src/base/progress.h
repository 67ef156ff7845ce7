// How long work tells somebody how far it is.
#pragma once

#include <cstdint>
#include <string_view>

namespace pajamas {

// Receives progress of one step at a time. Calls may come from several threads at once.
class Progress {
 public:
  virtual ~Progress() = default;
  // A step of `total` units ("bytes", "tokens") begins; the one before it, if any, is over.
  virtual void begin(std::string_view step, std::uint64_t total, std::string_view unit) = 0;
  virtual void advance(std::uint64_t amount) = 0;
  virtual void end() = 0;
  // Something the user should read once: a substitution, a doubt.
  virtual void note(std::string_view text) = 0;
};

// Says nothing.
class NoProgress final : public Progress {
 public:
  void begin(std::string_view, std::uint64_t, std::string_view) override {}
  void advance(std::uint64_t) override {}
  void end() override {}
  void note(std::string_view) override {}
};

}  // namespace pajamas
