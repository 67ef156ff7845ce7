// What the native forward pass runs on where MLX does the arithmetic. Operations build MLX's graph;
// it is computed when numbers are asked for, and at the latest when the batch after begins; chosen
// tokens are put on their way, and waited for when they are read.
#pragma once

#include <optional>
#include <vector>

#include "runtime/mlx/plugin.h"
#include "runtime/mlx/plugin/matrices.h"
#include "runtime/native/device.h"

namespace pajamas::runtime {

class MlxDevice final : public Device {
 public:
  explicit MlxDevice(MlxArguments arguments);
  MlxDevice(const MlxDevice&) = delete;
  MlxDevice& operator=(const MlxDevice&) = delete;
  ~MlxDevice() override;

  Buffer allocate(std::size_t bytes) override;
  Buffer copy(const Buffer& from) override;

  std::string_view name() const noexcept override { return "mlx"; }
  const model::ModelConfig& config() const noexcept override { return matrices_.config(); }
  std::optional<std::uint64_t> peak_bytes() const noexcept override;
  void write(std::span<const float> from, FloatView to) override;
  std::span<const float> read(FloatView from, std::vector<float>& room) override;
  std::span<const std::uint32_t> read(NumberView from, std::vector<std::uint32_t>& room) override;

  bool has(model::TensorKey key) const noexcept override { return matrices_.has(key); }
  void prefetch(std::span<const model::TensorKey> keys) noexcept override {
    matrices_.prefetch(keys);
  }

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

  bool chooses() const noexcept override { return true; }
  ChosenPtr choose(model::TensorKey matrix, FloatView x,
                   std::span<const ChoiceRule> rules) override;
  void embed_chosen(const Chosen& from, std::span<const std::uint32_t> which,
                    FloatView out) override;

 private:
  // Whether a run's attention is attention_over, which needs nothing side by side.
  bool in_pieces(const KvRun& run) const noexcept;
  // What a run sees of keys or of values, positions [from, its end), in as few pieces as there is
  // sense in: one, and where that needs no more the block that is still being filled beside it.
  std::vector<KvPiece> seen(int layer, const KvRun& run, bool keys, std::uint32_t from);
  // Which of them each of the run's rows sees: [rows][positions].
  mlx::core::array window_mask(const KvRun& run, std::uint32_t from, std::uint64_t window);
  mlx::core::array attended(int layer, const KvRun& run, const mlx::core::array& queries);
  // Computes what was asked for, and keys and values with it. Throws where those had no room.
  void compute(std::vector<mlx::core::array> wanted);

  mlx::core::Dtype type_;  // of activations
  MlxMatrices matrices_;
  KvForm kv_form_;
  decltype(MlxArguments::angles) angles_;
  std::vector<mlx::core::array> pending_;    // keys and values that nobody has waited for
  std::optional<mlx::core::array> largest_;  // of them, where the cache's type has a bound
  struct Mask {
    std::uint32_t position, from;
    std::size_t rows;
    mlx::core::array seen;
  };
  std::optional<Mask> mask_;                  // the last one: layers of a batch have the same
  std::optional<mlx::core::array> assigned_;  // expert of each assignment that was routed last
};

}  // namespace pajamas::runtime
