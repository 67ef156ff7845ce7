// The tables compiled in, one a file.
#pragma once

#include "kernels/table.h"

namespace pajamas::kernels {

extern const KernelTable kRefTable;
#if defined(__x86_64__)
extern const KernelTable kAvx2Table;
extern const KernelTable kAvx512Table;
#endif

}  // namespace pajamas::kernels
