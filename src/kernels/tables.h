// The tables compiled in, one a file.
#pragma once

#include "kernels/table.h"

namespace pajamas::kernels {

extern const KernelTable kRefTable;
#if defined(__x86_64__)
extern const KernelTable kAvx2Table;
extern const KernelTable kAvx512Table;
#elif defined(__aarch64__)
extern const KernelTable kNeonTable;
#endif

}  // namespace pajamas::kernels
