// What the native forward pass runs on. A device has the model's weights and memory of its own, and
// does about a dozen coarse operations on it. Nobody else reaches what lies in that memory: the
// forward pass handles views and keys, and numbers come to the host through `read` and `logits`
// alone. So whatever has such operations can run every model (docs/adding-a-backend.md).
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string_view>
#include <utility>
#include <vector>

#include "base/error.h"
#include "model/config.h"
#include "model/role.h"
#include "runtime/engine.h"

namespace pajamas::runtime {

class KvCache;

// Where a buffer lies. Only the device that made it knows what it is.
class Memory {
 public:
  virtual ~Memory() = default;
};

// Owns memory of a device; move-only. What is in it is undefined at first.
class Buffer {
 public:
  Buffer() = default;
  Buffer(std::unique_ptr<Memory> memory, std::size_t bytes) noexcept
      : memory_(std::move(memory)), bytes_(bytes) {}

  Memory* memory() const noexcept { return memory_.get(); }
  std::size_t bytes() const noexcept { return bytes_; }

 private:
  std::unique_ptr<Memory> memory_;
  std::size_t bytes_ = 0;
};

// Where buffers come from.
class Allocator {
 public:
  virtual ~Allocator() = default;
  // Aligned for whatever is to lie in it. Throws std::bad_alloc.
  virtual Buffer allocate(std::size_t bytes) = 0;
  virtual Buffer copy(const Buffer& from) = 0;
};

// [rows][cols] numbers without gaps, somewhere in a buffer. Does not own.
template <class T>
struct View {
  Memory* memory = nullptr;
  std::size_t offset = 0;  // of the first one, in numbers
  std::size_t rows = 0;
  std::size_t cols = 0;

  std::size_t size() const noexcept { return rows * cols; }
  View row(std::size_t i) const noexcept { return {memory, offset + i * cols, 1, cols}; }
};
using FloatView = View<float>;
using NumberView = View<std::uint32_t>;

// By what the heads of each row of a batch are turned: [rows][head_dim / 2] both.
struct Rotation {
  FloatView cos;
  FloatView sin;
};

// Rows [first, first + count) of a batch, which continue one session from `position` on without
// gaps. There is room for them in the layer that runs.
struct KvRun {
  const KvCache* cache;
  std::uint32_t position;
  std::size_t first;
  std::size_t count;
};

// Which experts have which rows of a batch. Every row has `used` experts; what is done for one of
// them is an assignment, and those of an expert lie together, in the order of the rows.
struct Routing {
  NumberView rows;    // [assignments]: of the batch
  FloatView weights;  // [assignments]: what each counts in its row
  NumberView begin;   // [experts + 1]: expert e has the assignments [begin[e], begin[e + 1])
  NumberView places;  // [rows][used]: a row's assignments, experts in ascending order
};

// One of the products of the same rows: out = rows * matrix + bias.
struct Projection {
  model::TensorKey matrix;
  std::optional<model::Role> bias;  // of the same layer; of models that have it
  FloatView out;                    // [rows][rows of the matrix]
};

// Operations see each other's results in the order in which they are called; a device may still be
// at work when a call returns. Views must not overlap unless it says so. No operation takes memory
// from anywhere once it has run with as many rows before. Not for use by several threads at once.
class Device : public Allocator {
 public:
  virtual std::string_view name() const noexcept = 0;
  virtual const model::ModelConfig& config() const noexcept = 0;
  // As Engine::library_peak_bytes.
  virtual std::optional<std::uint64_t> peak_bytes() const noexcept { return std::nullopt; }

  // from.size() is to.size().
  virtual void write(std::span<const float> from, FloatView to) = 0;
  // The numbers where the host can read them: in place, where the device's memory is the host's,
  // else copied to `room`. Valid until `room` or what is in the view changes.
  virtual std::span<const float> read(FloatView from, std::vector<float>& room) = 0;
  virtual std::span<const std::uint32_t> read(NumberView from,
                                              std::vector<std::uint32_t>& room) = 0;

  // Whether the model has this tensor.
  virtual bool has(model::TensorKey key) const noexcept = 0;
  // These will be asked for soon. A hint.
  virtual void prefetch(std::span<const model::TensorKey> keys) noexcept = 0;
  // As Engine::expect and leave. Hints.
  virtual void expect(std::uint64_t layer) noexcept { (void)layer; }
  virtual void leave(std::uint64_t layer) noexcept { (void)layer; }

  // The batch's rows of the embedding: out is [rows][hidden]. Tokens are within the vocabulary.
  virtual void embed(Batch batch, FloatView out) = 0;
  virtual void angles(Batch batch, const Rotation& out) = 0;
  // Root-mean-square norm of each row. `out` may be `x`.
  virtual void norm(model::TensorKey weight, FloatView x, FloatView out) = 0;
  virtual void linear(FloatView x, std::span<const Projection> products) = 0;
  // In place, [rows][heads * head_dim]: each head's norm, where the model has one of that role,
  // then its rotation.
  virtual void rotate(model::TensorKey norm, const Rotation& by, FloatView heads) = 0;
  // Keys and values of the runs' rows, [rows][kv_heads * head_dim], to where the caches have them.
  // Throws Error{kUnsupported} for numbers that the cache's type has no room for.
  virtual void store(int layer, std::span<const KvRun> runs, FloatView keys, FloatView values) = 0;
  // Causal attention of each row over its session: both are [rows][heads * head_dim].
  virtual void attend(int layer, std::span<const KvRun> runs, FloatView queries, FloatView out) = 0;
  // gate = activation(gate) * up, the model's, number by number.
  virtual void activate(FloatView gate, FloatView up) = 0;
  virtual void add(FloatView x, FloatView to) = 0;

  // The experts of each row by the router's scores [rows][experts], which are overwritten.
  virtual void route(FloatView scores, const Routing& out) = 0;
  // Each assignment's row of x: out is [assignments][cols].
  virtual void gather(const Routing& routing, FloatView x, FloatView out) = 0;
  // The assignments' rows with the matrices of their own experts; `products` name all of them at
  // once. `next` will be asked for next, of the same experts.
  virtual void expert_linear(const Routing& routing, FloatView x,
                             std::span<const Projection> products,
                             std::span<const model::TensorKey> next) = 0;
  // out[row] = sum over the row's assignments of weight * x, in ascending order of experts.
  virtual void combine(const Routing& routing, FloatView x, FloatView out) = 0;

  // Chosen rows of x.
  virtual void take(FloatView x, std::span<const std::size_t> rows, FloatView out) = 0;
  // The product with the output matrix, to the host: [x.rows][vocab].
  virtual void logits(model::TensorKey matrix, FloatView x, std::span<float> out) = 0;

  // As Engine::chooses; and what follows is then there.
  virtual bool chooses() const noexcept { return false; }
  // Product with the output matrix and choice of a token by it, a rule for each row of x; puts what
  // is not computed yet on its way.
  virtual ChosenPtr choose(model::TensorKey matrix, FloatView x,
                           std::span<const ChoiceRule> rules) {
    (void)matrix, (void)x, (void)rules;
    PJ_CHECK(chooses());
    return nullptr;
  }
  // Rows of the embedding by tokens that this device chose: row i is that of token which[i] of
  // `from`, or any where that is none.
  virtual void embed_chosen(const Chosen& from, std::span<const std::uint32_t> which,
                            FloatView out) {
    (void)from, (void)which, (void)out;
    PJ_CHECK(chooses());
  }
};

}  // namespace pajamas::runtime
