// The activations of a batch on its way through the native engine.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <utility>
#include <vector>

#include "runtime/native/device.h"

namespace pajamas::runtime {

// Positions [first, end) that a batch adds to a session.
struct SessionRows {
  SessionId session;
  std::uint32_t first;
  std::uint32_t end;
};

class HiddenPool;

class NativeHidden final : public Hidden {
 public:
  // Of no batch yet; `pool` takes it back when it is released.
  explicit NativeHidden(std::weak_ptr<HiddenPool> pool) noexcept : pool_(std::move(pool)) {}

  // Of so many rows of no session from now on. Values are undefined. `engine` is the number of the
  // one that does it; the device must outlive what is read.
  void begin(Device& device, std::uint64_t engine, std::size_t rows);
  // They are these, which extend their sessions.
  void extends(Batch batch);

  std::size_t rows() const noexcept override { return values_.rows; }
  std::size_t width() const noexcept override { return values_.cols; }
  void read_row(std::size_t row, std::span<float> out) const override;

  std::uint64_t engine() const noexcept { return engine_; }
  FloatView values() const noexcept { return values_; }  // [rows][hidden]
  const Rotation& rotation() const noexcept { return rotation_; }
  std::span<const SessionRows> sessions() const noexcept { return sessions_; }  // that it extends

 private:
  void release() noexcept override;

  std::weak_ptr<HiddenPool> pool_;
  std::uint64_t engine_ = 0;
  Device* device_ = nullptr;
  Buffer buffer_;  // of both
  FloatView values_;
  Rotation rotation_;
  std::vector<SessionRows> sessions_;
  mutable std::vector<float> room_;  // for reading
};

// Those that wait for a batch, so that each new one need not take memory.
class HiddenPool {
 public:
  // One that nobody holds, or null.
  std::unique_ptr<NativeHidden> take() noexcept;
  void put(std::unique_ptr<NativeHidden> hidden) noexcept;

 private:
  static constexpr std::size_t kMost = 2;  // as many as take turns
  std::unique_ptr<NativeHidden> waiting_[kMost];
};

}  // namespace pajamas::runtime
