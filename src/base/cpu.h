// What this processor can do.
#pragma once

namespace pajamas {

struct CpuFeatures {
  bool avx2 = false;  // with fma and f16c below, checked apart
  bool fma = false;
  bool f16c = false;
  bool avx512 = false;  // F, BW, DQ, VL and CD together
  bool avx512_vnni = false;
  bool avx512_bf16 = false;
  bool neon = false;
  bool neon_dotprod = false;
};

// Read once; the operating system's support for the wide registers is included.
const CpuFeatures& cpu_features() noexcept;

}  // namespace pajamas
