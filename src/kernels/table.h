// The hot functions behind one table a machine: the same bytes from every one of them.
#pragma once

#include <cstdint>
#include <span>
#include <string_view>

#include "base/cpu.h"
#include "codec/codec.h"
#include "codec/fitted.h"
#include "kernels/int8.h"
#include "kernels/math.h"

namespace pajamas::kernels {

// Contracts of the codec functions: codec/codec.h.
struct KernelTable {
  std::string_view name;  // "ref", "avx2", "avx512", "neon"
  bool (*supported)(const CpuFeatures&);
  void (*decode_rows)(const Encoding&, const ConstPlanes&, std::uint64_t cols,
                      std::span<float> out);
  void (*encode_rows)(const Encoding&, std::span<const float> weights,
                      std::span<const float> importance, std::uint64_t cols, const Planes&);
  // The steps of encoding by themselves; codec/fitted.h.
  void (*fit_rows)(const Encoding&, std::span<const float> weights,
                   std::span<const float> importance, std::uint64_t cols,
                   std::span<codec::FittedBlock> blocks);
  void (*round_rows)(const Encoding&, std::span<const float> weights,
                     std::span<const float> importance, std::uint64_t cols,
                     std::span<codec::FittedBlock> blocks);
  void (*round_feedback)(const Encoding&, const codec::FeedbackRows&);
  const MathKernels* math;  // kernels/math.h
  // The best whole-number products for this instruction set and its additions; all tables' give the
  // same floats.
  const Int8Kernels& (*int8)(const CpuFeatures&) noexcept;
};

// Every table compiled in, best first.
std::span<const KernelTable* const> all_kernels() noexcept;

// The best table that this machine can run.
const KernelTable& best_kernels() noexcept;

// Throws Error{kUsage} for an unknown name and Error{kUnsupported} for a table that this machine
// cannot run; both name those it can.
const KernelTable& kernels_by_name(std::string_view name);

}  // namespace pajamas::kernels
