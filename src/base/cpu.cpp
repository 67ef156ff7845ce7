#include "base/cpu.h"

#if defined(__aarch64__) && defined(__APPLE__)
#include <sys/sysctl.h>

#include <cstddef>
#elif defined(__aarch64__)
#include <asm/hwcap.h>
#include <sys/auxv.h>
#endif

namespace pajamas {
namespace {

#if defined(__aarch64__) && defined(__APPLE__)
bool has_dotprod() noexcept {
  int has = 0;
  std::size_t size = sizeof(has);
  return ::sysctlbyname("hw.optional.arm.FEAT_DotProd", &has, &size, nullptr, 0) == 0 && has != 0;
}
#elif defined(__aarch64__)
bool has_dotprod() noexcept { return (::getauxval(AT_HWCAP) & HWCAP_ASIMDDP) != 0; }
#endif

CpuFeatures detect() noexcept {
  CpuFeatures features;
#if defined(__x86_64__)
  __builtin_cpu_init();
  features.avx2 = __builtin_cpu_supports("avx2") != 0;
  features.fma = __builtin_cpu_supports("fma") != 0;
  // Every processor with AVX2 has F16C, which older compilers cannot ask about.
  features.f16c = features.avx2;
  features.avx512 =
      __builtin_cpu_supports("avx512f") != 0 && __builtin_cpu_supports("avx512bw") != 0 &&
      __builtin_cpu_supports("avx512dq") != 0 && __builtin_cpu_supports("avx512vl") != 0 &&
      __builtin_cpu_supports("avx512cd") != 0;
  features.avx512_vnni = features.avx512 && __builtin_cpu_supports("avx512vnni") != 0;
  features.avx512_bf16 = features.avx512 && __builtin_cpu_supports("avx512bf16") != 0;
#elif defined(__aarch64__)
  features.neon = true;
  features.neon_dotprod = has_dotprod();
#endif
  return features;
}

}  // namespace

const CpuFeatures& cpu_features() noexcept {
  static const CpuFeatures features = detect();
  return features;
}

}  // namespace pajamas
