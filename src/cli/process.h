// What the program owes the system that runs it: standard streams and signals.
#pragma once

#include "base/parallel.h"

namespace pajamas::cli {

// Opens /dev/null for those of standard input, output and error that are closed. Else a file would
// get one of their numbers, and what is printed would be written into it. Call it before anything
// is opened.
void open_standard_streams() noexcept;

// From now on the first SIGINT, SIGTERM or SIGHUP requests an orderly end by the flag that is
// returned, and the second one does not wait for it; a SIGHUP that is ignored (`nohup`) stays so.
// A reader that goes away and a file that may not grow are errors of write.
StopFlag& install_signal_handlers() noexcept;

}  // namespace pajamas::cli
