// The CPU device's memory: this machine's.
#pragma once

#include <algorithm>
#include <cstddef>
#include <memory>
#include <new>
#include <span>

#include "runtime/native/device.h"

namespace pajamas::runtime {

// Somewhere in this process; whose it is, those that derive from it know.
class HostMemory : public Memory {
 public:
  std::byte* data() const noexcept { return data_; }

 protected:
  explicit HostMemory(std::byte* at) noexcept : data_(at) {}

 private:
  std::byte* data_;
};

// Aligned to cache lines, so that no vector load crosses one.
class OwnMemory final : public HostMemory {
 public:
  explicit OwnMemory(std::size_t bytes)
      : HostMemory(static_cast<std::byte*>(::operator new(bytes, kAlignment))) {}
  OwnMemory(const OwnMemory&) = delete;
  OwnMemory& operator=(const OwnMemory&) = delete;
  ~OwnMemory() override { ::operator delete(data(), kAlignment); }

 private:
  static constexpr std::align_val_t kAlignment{64};
};

class HostAllocator final : public Allocator {
 public:
  Buffer allocate(std::size_t bytes) override {
    return {std::make_unique<OwnMemory>(bytes), bytes};
  }
  Buffer copy(const Buffer& from) override;
};

inline std::byte* host_data(const Memory* memory) noexcept {
  return static_cast<const HostMemory*>(memory)->data();
}
inline std::span<std::byte> host_bytes(const Buffer& buffer) noexcept {
  return {host_data(buffer.memory()), buffer.bytes()};
}
template <class T>
std::span<T> host_numbers(const View<T>& view) noexcept {
  return {reinterpret_cast<T*>(host_data(view.memory)) + view.offset, view.size()};
}

inline Buffer HostAllocator::copy(const Buffer& from) {
  Buffer to = allocate(from.bytes());
  std::ranges::copy(host_bytes(from), host_bytes(to).begin());
  return to;
}

}  // namespace pajamas::runtime
