// The sets of whole-number products compiled in, one a file.
#pragma once

#include "kernels/int8.h"

namespace pajamas::kernels {

extern const Int8Kernels kRefInt8;
#if defined(__x86_64__)
extern const Int8Kernels kAvx2Int8;
extern const Int8Kernels kAvx512VnniInt8;
#elif defined(__aarch64__)
extern const Int8Kernels kNeonInt8;
extern const Int8Kernels kNeonDotInt8;
#endif

}  // namespace pajamas::kernels
