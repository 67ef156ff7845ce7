// Memory for kernels: aligned to cache lines, so that no vector load crosses one.
#pragma once

#include <cstddef>
#include <new>
#include <vector>

namespace pajamas::runtime {

template <class T>
struct LineAllocator {
  using value_type = T;
  static constexpr std::align_val_t kAlignment{64};

  LineAllocator() = default;
  template <class U>
  LineAllocator(const LineAllocator<U>&) noexcept {}

  T* allocate(std::size_t count) {
    return static_cast<T*>(::operator new(count * sizeof(T), kAlignment));
  }
  void deallocate(T* memory, std::size_t) noexcept { ::operator delete(memory, kAlignment); }

  friend bool operator==(const LineAllocator&, const LineAllocator&) noexcept { return true; }
};

using FloatBuffer = std::vector<float, LineAllocator<float>>;
using ByteBuffer = std::vector<std::byte, LineAllocator<std::byte>>;

}  // namespace pajamas::runtime
