// The engine that runs on this machine's processors, in float32 but for what `Activations` rounds.
#pragma once

#include <map>
#include <memory>

#include "base/parallel.h"
#include "kernels/table.h"
#include "model/rope.h"
#include "runtime/engine.h"
#include "runtime/engine_options.h"
#include "runtime/native/buffer.h"
#include "runtime/native/constants.h"
#include "runtime/native/kv_cache.h"
#include "runtime/native/linear.h"
#include "weights/store.h"

namespace pajamas::runtime {

class CpuEngine final : public Engine {
 public:
  static constexpr std::size_t kMaxBatch = KvCache::kMaxStep;

  // `pool` and `table` must outlive the engine. Engines may share a store.
  CpuEngine(std::shared_ptr<const weights::WeightStore> store, const TaskPool& pool,
            const kernels::KernelTable& table, KvType kv_type = KvType::kF32,
            Activations activations = Activations::kFloat);

  // Bytes that the work on one batch takes, beside the weights and the sessions.
  static std::uint64_t work_bytes(const model::ModelConfig& config);

  const model::ModelConfig& config() const noexcept override { return store_->config(); }
  std::string_view backend() const noexcept override { return "cpu"; }
  std::size_t max_batch() const noexcept override { return kMaxBatch; }

  SessionId create_session() override;
  SessionId fork(SessionId session) override;
  std::uint32_t truncate(SessionId session, std::uint32_t length) override;
  void release(SessionId session) override;
  std::uint32_t length(SessionId session) const override;
  void forget(SessionId session, std::uint64_t layer) override;
  std::uint64_t bytes(SessionId session) const override;

  std::unique_ptr<Hidden> embed(Batch batch) override;
  std::unique_ptr<Hidden> restore(Batch batch, std::span<const float> rows) override;
  void layer(std::uint64_t index, Hidden& hidden, Batch batch, LinearTap* tap = nullptr) override;
  void logits(const Hidden& hidden, std::span<const std::size_t> rows, std::span<float> out,
              LinearTap* tap = nullptr) override;

 private:
  class CpuHidden;

  // Refuses what another engine made.
  const CpuHidden& own(const Hidden& hidden) const;
  CpuHidden& own(Hidden& hidden) const;
  void require_own(const CpuHidden* hidden) const;
  std::unique_ptr<CpuHidden> begin(Batch batch) const;
  void make_room(std::uint64_t layer, const CpuHidden& hidden);
  FloatBuffer normed(model::TensorKey norm, std::span<const float> rows) const;
  // Products of the same rows with several matrices, side by side. `numbers` are those of the rows
  // in the batch, for the tap.
  std::vector<FloatBuffer> project(std::span<const model::TensorKey> keys, Rows x,
                                   std::span<const std::uint32_t> numbers, LinearTap* tap) const;
  void add_bias(model::TensorKey key, std::span<float> rows) const;
  void add(CpuHidden& hidden, std::span<const float> update) const;
  void attention(int layer, CpuHidden& hidden, Batch batch, LinearTap* tap);
  void feed_forward(int layer, CpuHidden& hidden, LinearTap* tap) const;
  void rotate(const CpuHidden& hidden, std::span<float> rows, std::uint64_t heads) const;
  void norm_heads(model::TensorKey norm, FloatBuffer& heads) const;
  void remember(int layer, Batch batch, std::span<const float> keys, std::span<const float> values);
  FloatBuffer attend_rows(int layer, Batch batch, std::span<const float> queries) const;
  KvCache& session(SessionId id);
  const KvCache& session(SessionId id) const;

  std::shared_ptr<const weights::WeightStore> store_;
  Device device_;
  Constants constants_;
  model::RopeTable rope_;
  KvType kv_type_;
  std::map<SessionId, KvCache> sessions_;
  SessionId next_session_ = 0;
  std::uint64_t number_;  // no other engine of this process has it
};

}  // namespace pajamas::runtime
