// This machine's processors as a device.
#pragma once

#include <memory>
#include <vector>

#include "model/rope.h"
#include "runtime/engine_options.h"
#include "runtime/layer_weights.h"
#include "runtime/native/cpu/attention.h"
#include "runtime/native/cpu/constants.h"
#include "runtime/native/cpu/experts.h"
#include "runtime/native/cpu/host_memory.h"
#include "runtime/native/cpu/linear.h"
#include "runtime/native/device.h"
#include "weights/store.h"

namespace pajamas::runtime {

// Leases matrices from a store while it multiplies with them. What an operation needs on the way it
// keeps, so that the next one takes no memory.
class CpuDevice : public Device {
 public:
  // `pool` and `table` must outlive the device. Devices may share a store.
  CpuDevice(std::shared_ptr<const weights::WeightStore> store, const TaskPool& pool,
            const kernels::KernelTable& table, Activations activations = Activations::kFloat);

  std::string_view name() const noexcept override { return "cpu"; }
  const model::ModelConfig& config() const noexcept override { return store_->config(); }

  Buffer allocate(std::size_t bytes) override { return memory_.allocate(bytes); }
  Buffer copy(const Buffer& from) override { return memory_.copy(from); }
  void write(std::span<const float> from, FloatView to) override;
  std::span<const float> read(FloatView from, std::vector<float>& room) override;
  std::span<const std::uint32_t> read(NumberView from, std::vector<std::uint32_t>& room) override;

  bool has(model::TensorKey key) const noexcept override { return store_->contains(key); }
  void prefetch(std::span<const model::TensorKey> keys) noexcept override {
    store_->prefetch(keys);
  }
  void expect(std::uint64_t layer) noexcept override { layers_.expect(*store_, layer); }
  void leave(std::uint64_t layer) noexcept override { layers_.leave(*store_, layer); }

  void embed(Batch batch, FloatView out) override;
  void angles(Batch batch, const Rotation& out) override;
  void norm(model::TensorKey weight, FloatView x, FloatView out) override;
  void linear(FloatView x, std::span<const Projection> products) override;
  void rotate(model::TensorKey norm, const Rotation& by, FloatView heads) override;
  void store(int layer, std::span<const KvRun> runs, FloatView keys, FloatView values) override;
  void attend(int layer, std::span<const KvRun> runs, FloatView queries, FloatView out) override;
  void activate(FloatView gate, FloatView up) override;
  void add(FloatView x, FloatView to) override;

  void route(FloatView scores, const Routing& out) override;
  void gather(const Routing& routing, FloatView x, FloatView out) override;
  void expert_linear(const Routing& routing, FloatView x, std::span<const Projection> products,
                     std::span<const model::TensorKey> next) override;
  void combine(const Routing& routing, FloatView x, FloatView out) override;

  void take(FloatView x, std::span<const std::size_t> rows, FloatView out) override;
  void logits(model::TensorKey matrix, FloatView x, std::span<float> out) override;

 private:
  // Leases of keys_, in place of those that there are.
  void lease();
  // keys_: those of these tensors' busy experts, tensor by tensor.
  void name_busy(const HostRouting& routing, std::span<const model::TensorKey> stacks);
  void add_bias(model::TensorKey key, std::span<float> rows);
  void add_expert_bias(const HostRouting& routing, model::TensorKey stack, std::span<float> rows);

  std::shared_ptr<const weights::WeightStore> store_;
  Processor processor_;
  HostAllocator memory_;
  Constants constants_;
  model::RopeTable rope_;
  LayerWeights layers_;
  // Of the operation that runs, kept for the next one.
  std::vector<model::TensorKey> stacks_, keys_;
  std::vector<weights::WeightLease> leases_;
  std::vector<LinearJob> jobs_;
  LinearScratch linear_;
  std::vector<AttentionTask> tasks_;
  AttentionScratch attention_;
  RouteScratch route_;
};

}  // namespace pajamas::runtime
