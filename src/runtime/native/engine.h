// The engine of this project: a forward pass over the operations of a device, in float32 but for
// what the device rounds (`Activations`).
#pragma once

#include <initializer_list>
#include <map>
#include <memory>
#include <vector>

#include "runtime/engine.h"
#include "runtime/engine_options.h"
#include "runtime/native/hidden.h"
#include "runtime/native/kv_cache.h"
#include "runtime/native/tap_reader.h"
#include "runtime/native/workspace.h"

namespace pajamas::runtime {

class NativeEngine final : public Engine {
 public:
  static constexpr std::size_t kMaxBatch = KvCache::kMaxStep;

  explicit NativeEngine(std::unique_ptr<Device> device, KvType kv_type = KvType::kF32);

  // Bytes that the work on one batch takes, beside the weights and the sessions.
  static std::uint64_t work_bytes(const model::ModelConfig& config);

  const model::ModelConfig& config() const noexcept override { return device_->config(); }
  std::string_view backend() const noexcept override { return device_->name(); }
  std::size_t max_batch() const noexcept override { return kMaxBatch; }
  std::uint32_t block_positions() const noexcept override { return KvBlock::kPositions; }
  std::optional<std::uint64_t> library_peak_bytes() const noexcept override {
    return device_->peak_bytes();
  }

  SessionId create_session() override;
  SessionId fork(SessionId session) override;
  std::uint32_t truncate(SessionId session, std::uint32_t length) override;
  void release(SessionId session) override;
  std::uint32_t length(SessionId session) const override;
  void forget(SessionId session, std::uint64_t layer) override;
  std::uint64_t bytes(SessionId session) const override;

  HiddenPtr embed(Batch batch) override;
  HiddenPtr restore(Batch batch, std::span<const float> rows) override;
  void layer(std::uint64_t index, Hidden& hidden, Batch batch, LinearTap* tap = nullptr) override;
  HiddenPtr last_layer(HiddenPtr hidden, Batch batch) override;
  void expect(std::uint64_t index) noexcept override { device_->expect(index); }
  void leave(std::uint64_t index) noexcept override { device_->leave(index); }
  void logits(const Hidden& hidden, std::span<const std::size_t> rows, std::span<float> out,
              LinearTap* tap = nullptr) override;
  bool chooses() const noexcept override { return device_->chooses(); }
  ChosenPtr choose(const Hidden& hidden, std::span<const ChoiceRule> rules) override;
  HiddenPtr embed_chosen(Batch batch, const Chosen& from) override;

 private:
  // Refuses what another engine made.
  const NativeHidden& own(const Hidden& hidden) const;
  using OwnHidden = std::unique_ptr<NativeHidden, ReleaseHidden>;
  OwnHidden room_for(Batch rows);
  OwnHidden begin(Batch batch);
  void make_room(std::uint64_t layer, const NativeHidden& hidden);
  void find_runs(Batch batch);
  void attention(int layer, const NativeHidden& hidden, LinearTap* tap);
  // Keys and values to where later rows see them.
  void keep(int layer, const NativeHidden& hidden, const AttentionWork& work);
  // From queries to what attention adds.
  void attend(int layer, const NativeHidden& hidden, const AttentionWork& work, LinearTap* tap);
  // `attention` in two: what rows leave behind, and what of it and of the others comes back.
  void attention_keys(int layer, const NativeHidden& hidden);
  void attention_queries(int layer, const NativeHidden& hidden);
  void feed_forward(int layer, const NativeHidden& hidden, LinearTap* tap);
  // Chosen rows through the last norm, as the output matrix takes them; and which matrix that is.
  FloatView for_output(const Hidden& hidden, std::span<const std::size_t> rows);
  model::TensorKey output_matrix() const noexcept;
  // Shows the tap rows of the batch, then multiplies them.
  void project(FloatView x, std::initializer_list<Projection> products, LinearTap* tap);
  KvCache& session(SessionId id);
  const KvCache& session(SessionId id) const;

  std::unique_ptr<Device> device_;  // outlives what lies in its memory
  Workspace work_;
  KvType kv_type_;
  std::map<SessionId, KvCache> sessions_;
  SessionId next_session_ = 0;
  std::shared_ptr<HiddenPool> pool_;
  std::vector<KvRun> runs_;             // of the batch whose layer runs
  std::vector<BatchRow> wanted_;        // its rows that want logits
  std::vector<std::size_t> places_;     // theirs in the batch
  std::vector<std::uint32_t> numbers_;  // 0, 1, ... of the largest batch's rows
  TapReader tap_reader_;
  std::uint64_t number_;  // no other engine of this process has it
};

}  // namespace pajamas::runtime
