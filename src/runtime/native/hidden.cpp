#include "runtime/native/hidden.h"

#include <algorithm>
#include <utility>

#include "base/error.h"

namespace pajamas::runtime {

void NativeHidden::begin(Device& device, std::uint64_t engine, std::size_t rows) {
  engine_ = engine;
  device_ = &device;
  const std::size_t hidden = device.config().hidden;
  const std::size_t half = device.config().head_dim / 2;
  const std::size_t bytes = rows * (hidden + 2 * half) * sizeof(float);
  if (buffer_.bytes() < bytes) {
    buffer_ = {};  // gives the old one back first
    buffer_ = device.allocate(bytes);
  }
  Memory* const memory = buffer_.memory();
  values_ = {memory, 0, rows, hidden};
  rotation_ = {{memory, rows * hidden, rows, half}, {memory, rows * (hidden + half), rows, half}};
  sessions_.clear();
}

void NativeHidden::extends(Batch batch) {
  for (const BatchRow& row : batch) {
    auto of = std::find_if(sessions_.rbegin(), sessions_.rend(),
                           [&](const SessionRows& rows) { return rows.session == row.session; });
    if (of == sessions_.rend()) {
      sessions_.push_back({row.session, row.position, row.position});
      of = sessions_.rbegin();
    }
    PJ_CHECK(row.position == of->end);
    ++of->end;
  }
}

void NativeHidden::read_row(std::size_t row, std::span<float> out) const {
  std::ranges::copy(device_->read(values_.row(row), room_), out.begin());
}

void NativeHidden::release() noexcept {
  std::unique_ptr<NativeHidden> self(this);
  if (const auto pool = pool_.lock()) pool->put(std::move(self));
}

std::unique_ptr<NativeHidden> HiddenPool::take() noexcept {
  for (auto& waiting : waiting_) {
    if (waiting != nullptr) return std::move(waiting);
  }
  return nullptr;
}

void HiddenPool::put(std::unique_ptr<NativeHidden> hidden) noexcept {
  for (auto& waiting : waiting_) {
    if (waiting == nullptr) {
      waiting = std::move(hidden);
      return;
    }
  }
}

}  // namespace pajamas::runtime
