// The CPU device with memory that nobody else reaches: its pages are open while an operation runs,
// and whoever looks at them at another time ends the program. So it stands for every device whose
// memory is not the host's.
#pragma once

#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <cstring>
#include <memory>
#include <new>
#include <set>
#include <string_view>
#include <vector>

#include "runtime/native/cpu/device.h"

namespace pajamas::runtime {

class GuardedDevice final : public CpuDevice {
 public:
  using CpuDevice::CpuDevice;

  Buffer allocate(std::size_t bytes) override {
    auto pages = std::make_unique<Pages>(pages_, bytes);
    std::memset(pages->data(), 0xFF, bytes);  // as numbers: none
    pages->open(false);
    return {std::move(pages), bytes};
  }
  Buffer copy(const Buffer& from) override {
    Buffer to = allocate(from.bytes());
    const Opened opened(*this, "copy");
    std::ranges::copy(host_bytes(from), host_bytes(to).begin());
    return to;
  }
  void write(std::span<const float> from, FloatView to) override {
    const Opened opened(*this, "write");
    CpuDevice::write(from, to);
  }
  std::span<const float> read(FloatView from, std::vector<float>& room) override {
    const Opened opened(*this, "read");
    return copied(CpuDevice::read(from, room), room);
  }
  std::span<const std::uint32_t> read(NumberView from, std::vector<std::uint32_t>& room) override {
    const Opened opened(*this, "read");
    return copied(CpuDevice::read(from, room), room);
  }

  void embed(Batch batch, FloatView out) override {
    const Opened opened(*this, "embed");
    CpuDevice::embed(batch, out);
  }
  void angles(Batch batch, const Rotation& out) override {
    const Opened opened(*this, "angles");
    CpuDevice::angles(batch, out);
  }
  void norm(model::TensorKey weight, FloatView x, FloatView out) override {
    const Opened opened(*this, "norm");
    CpuDevice::norm(weight, x, out);
  }
  void linear(FloatView x, std::span<const Projection> products) override {
    const Opened opened(*this, "linear");
    CpuDevice::linear(x, products);
  }
  void rotate(model::TensorKey weight, const Rotation& by, FloatView heads) override {
    const Opened opened(*this, "rotate");
    CpuDevice::rotate(weight, by, heads);
  }
  void store(int layer, std::span<const KvRun> runs, FloatView keys, FloatView values) override {
    const Opened opened(*this, "store");
    CpuDevice::store(layer, runs, keys, values);
  }
  void attend(int layer, std::span<const KvRun> runs, FloatView queries, FloatView out) override {
    const Opened opened(*this, "attend");
    CpuDevice::attend(layer, runs, queries, out);
  }
  void activate(FloatView gate, FloatView up) override {
    const Opened opened(*this, "activate");
    CpuDevice::activate(gate, up);
  }
  void add(FloatView x, FloatView to) override {
    const Opened opened(*this, "add");
    CpuDevice::add(x, to);
  }
  void route(FloatView scores, const Routing& out) override {
    const Opened opened(*this, "route");
    CpuDevice::route(scores, out);
  }
  void gather(const Routing& routing, FloatView x, FloatView out) override {
    const Opened opened(*this, "gather");
    CpuDevice::gather(routing, x, out);
  }
  void expert_linear(const Routing& routing, FloatView x, std::span<const Projection> products,
                     std::span<const model::TensorKey> next) override {
    const Opened opened(*this, "expert_linear");
    CpuDevice::expert_linear(routing, x, products, next);
  }
  void combine(const Routing& routing, FloatView x, FloatView out) override {
    const Opened opened(*this, "combine");
    CpuDevice::combine(routing, x, out);
  }
  void take(FloatView x, std::span<const std::size_t> rows, FloatView out) override {
    const Opened opened(*this, "take");
    CpuDevice::take(x, rows, out);
  }
  void logits(model::TensorKey matrix, FloatView x, std::span<float> out) override {
    const Opened opened(*this, "logits");
    CpuDevice::logits(matrix, x, out);
  }

  std::vector<std::string_view> done;  // operations, in their order

 private:
  class Pages final : public HostMemory {
   public:
    Pages(std::set<Pages*>& all, std::size_t bytes)
        : HostMemory(map(bytes)), all_(all), bytes_(bytes) {
      all_.insert(this);
    }
    Pages(const Pages&) = delete;
    Pages& operator=(const Pages&) = delete;
    ~Pages() override {
      all_.erase(this);
      munmap(data(), bytes_);
    }
    void open(bool yes) const {
      if (mprotect(data(), bytes_, yes ? PROT_READ | PROT_WRITE : PROT_NONE) != 0) {
        throw std::bad_alloc();
      }
    }

   private:
    static std::byte* map(std::size_t bytes) {
      void* const at =
          mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
      if (at == MAP_FAILED) throw std::bad_alloc();
      return static_cast<std::byte*>(at);
    }
    std::set<Pages*>& all_;
    std::size_t bytes_;
  };

  class Opened {
   public:
    Opened(GuardedDevice& device, std::string_view operation) : pages_(device.pages_) {
      device.done.push_back(operation);
      for (const Pages* pages : pages_) pages->open(true);
    }
    Opened(const Opened&) = delete;
    Opened& operator=(const Opened&) = delete;
    ~Opened() {
      for (const Pages* pages : pages_) pages->open(false);
    }

   private:
    const std::set<Pages*>& pages_;
  };

  template <class T>
  static std::span<const T> copied(std::span<const T> numbers, std::vector<T>& room) {
    room.assign(numbers.begin(), numbers.end());
    return room;
  }

  std::set<Pages*> pages_;  // that there are
};

}  // namespace pajamas::runtime
