// The sets of float functions compiled in, one a file.
#pragma once

#include "kernels/math.h"

namespace pajamas::kernels {

extern const MathKernels kRefMath;
#if defined(__x86_64__)
extern const MathKernels kAvx2Math;
extern const MathKernels kAvx512Math;
#elif defined(__aarch64__)
extern const MathKernels kNeonMath;
#endif

}  // namespace pajamas::kernels
