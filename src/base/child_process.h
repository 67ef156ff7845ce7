// Programs that run beside this one, watched and limited, and ended when their time is over.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "base/parallel.h"

namespace pajamas {

// Of each process; children inherit them.
struct ChildLimits {
  std::uint64_t wall_seconds = 60;      // then all are killed
  std::uint64_t cpu_seconds = 60;       // of processor time
  std::uint64_t memory = 1u << 30;      // bytes of address space
  std::uint64_t file_bytes = 1u << 20;  // of any file that is written
  std::uint64_t open_files = 64;
  // What only root can do: run as the account "nobody". Others run as who they are.
  bool drop_root = false;
};

struct ChildProgram {
  std::vector<std::string> command;  // the program by its path, or found along PATH; arguments
  std::string input;                 // what it reads on standard input
  bool own_environment = true;       // an empty one, instead of this process's
};

struct ChildResult {
  bool timed_out = false;
  int status = 0;      // exit status, or 128 and the signal's number
  std::string output;  // both streams of the first program, its first kChildOutput bytes
};
inline constexpr std::size_t kChildOutput = 16 << 10;

// Runs one program, or two that have a pair of connected sockets as descriptor 3, until the first
// is over; the second is killed then, and with each all processes of its group. What the second
// prints is lost. They get no other descriptor of this process, and end when it does. Throws
// Error{kNotFound} where a program is not there or may not be run, kInterrupted once `stop` is
// requested, kIo.
ChildResult run_children(std::span<const ChildProgram> programs, const ChildLimits& limits,
                         const StopFlag& stop);

}  // namespace pajamas
