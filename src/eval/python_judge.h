// Runs Python that a model wrote, confined, and says whether it passes its tests.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "base/child_process.h"
#include "base/parallel.h"

namespace pajamas::eval {

// A function to be written, and what it is tested by.
struct CodeProblem {
  std::string id;           // "HumanEval/0"
  std::string prompt;       // up to where the function's body begins
  std::string entry_point;  // its name
  std::string test;         // defines check(candidate)
};

enum class Confinement : std::uint8_t {
  kBubblewrap,
  kNone,  // the limits alone: the code can do whatever its user can
};

struct Verdict {
  bool passed = false;
  bool timed_out = false;
  std::string why;  // where it failed: "AssertionError", as it came from a stranger
};

// Tests and tested code are two processes, each in a sandbox of its own, with a socket between them
// over which only plain values go. The tested code sees neither the tests nor the verdict: all that
// it can do to pass is return the right values. A sandbox has no network, an empty root with the
// system's programs and libraries read-only, a small /tmp of its own, processes of its own, and
// limits on memory, processes, files and time (docs/evaluation.md).
class PythonJudge {
 public:
  // Tries it. Throws Error{kUnsupported} where bubblewrap is not installed or this system does not
  // let it work, and where there is no Python.
  PythonJudge(Confinement confinement, const ChildLimits& limits, const StopFlag& stop);

  // Safe from several threads. Throws Error{kUnsupported} for tests that hand over what is no plain
  // data, kInterrupted once `stop` is requested, kIo.
  Verdict judge(const CodeProblem& problem, const std::string& completion,
                const StopFlag& stop) const;

 private:
  ChildProgram python(std::string_view script, std::string input) const;

  Confinement confinement_;
  ChildLimits limits_;
};

// What each of the two may take.
ChildLimits judge_limits(Confinement confinement) noexcept;
// bubblewrap's arguments, up to and without the program that is to run.
std::vector<std::string> bubblewrap();

}  // namespace pajamas::eval
