// How much a case does where everything is slow.
#pragma once

namespace pajamas {

// Whether to take all inputs that a case knows: always in an ordinary build; instrumented by a
// sanitizer or built for another machine than x86 (CI emulates it) only with PAJAMAS_THOROUGH=1, as
// tools/nightly.sh sets it. There a few of each kind stand for the rest.
bool thorough();

}  // namespace pajamas
