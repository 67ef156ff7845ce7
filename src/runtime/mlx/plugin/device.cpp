#include "runtime/mlx/plugin/device.h"

#include <mlx/fast.h>
#include <mlx/ops.h>
#include <mlx/transforms.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <utility>

#include "base/error.h"
#include "runtime/mlx/plugin/array_memory.h"
#include "runtime/mlx/plugin/choice.h"
#include "runtime/native/kv_cache.h"

namespace pajamas::runtime {

namespace mx = mlx::core;
using model::Role;
using model::TensorKey;

namespace {

constexpr int kBlockRows = static_cast<int>(KvBlock::kPositions);

int as_int(std::uint64_t number) noexcept { return static_cast<int>(number); }

// Activations are floats where the user asks for them, and where nothing narrower is faster.
mx::Dtype activation_type(const MlxArguments& arguments) {
  return arguments.activations == Activations::kFloat || runs_on_processor() ? mx::float32
                                                                             : mx::bfloat16;
}

mx::array floats(std::span<const float> from, mx::Shape shape) {
  return mx::array(from.data(), std::move(shape), mx::float32);
}

// MLX's exceptions are no concern of those above.
template <class F>
void translated(const F& computes) {
  try {
    computes();
  } catch (const std::bad_alloc&) {
    throw;
  } catch (const std::exception& failed) {
    throw Error(ErrorCode::kIo, std::string("MLX: ") + printable(failed.what(), 200));
  }
}

// `largest` of what was stored as float16, computed. As the cache of the CPU says it.
void require_float16_room(const mx::array& largest) {
  if (mx::array(largest).item<float>() <= 65504.0f) return;
  throw Error(ErrorCode::kUnsupported, "a key or value has no room in float16",
              "use --kv-cache f32");
}

class MlxChosen final : public Chosen {
 public:
  // What its batch stored comes with it, where that has a bound.
  MlxChosen(mx::array tokens, std::optional<mx::array> largest)
      : tokens_(std::move(tokens)), largest_(std::move(largest)) {}

  std::size_t size() const noexcept override { return tokens_.size(); }
  void read(std::span<std::int32_t> out) override {
    PJ_CHECK(out.size() == size());
    translated([&] { largest_ ? mx::eval(tokens_, *largest_) : mx::eval(tokens_); });
    if (largest_) require_float16_room(*largest_);
    std::memcpy(out.data(), tokens_.data<std::int32_t>(), out.size_bytes());
  }
  const mx::array& tokens() const noexcept { return tokens_; }

 private:
  mx::array tokens_;  // [n] in int32
  std::optional<mx::array> largest_;
};

}  // namespace

MlxDevice::MlxDevice(MlxArguments arguments)
    : type_(activation_type(arguments)),
      matrices_(std::move(arguments.store), type_),
      kv_form_(arguments.kv_type, as_int(config().head_dim)),
      angles_(std::move(arguments.angles)) {
  raise_wired_limit();
}

MlxDevice::~MlxDevice() = default;

std::optional<std::uint64_t> MlxDevice::peak_bytes() const noexcept {
  return runtime::peak_bytes();
}

Buffer MlxDevice::allocate(std::size_t bytes) { return {std::make_unique<ArrayMemory>(), bytes}; }

Buffer MlxDevice::copy(const Buffer& from) {
  return {std::make_unique<ArrayMemory>(ArrayMemory::of(from.memory())), from.bytes()};
}

void MlxDevice::compute(std::vector<mx::array> wanted) {
  wanted.insert(wanted.end(), pending_.begin(), pending_.end());
  pending_.clear();
  const std::optional<mx::array> largest = std::exchange(largest_, std::nullopt);
  if (largest) wanted.push_back(*largest);
  translated([&] { mx::eval(std::move(wanted)); });
  if (largest) require_float16_room(*largest);
}

void MlxDevice::write(std::span<const float> from, FloatView to) {
  put_array(to, mx::astype(floats(from, {as_int(to.rows), as_int(to.cols)}), type_));
}

std::span<const float> MlxDevice::read(FloatView from, std::vector<float>& room) {
  const mx::array numbers = mx::contiguous(mx::astype(array_at(from), mx::float32));
  compute({numbers});
  room.assign(numbers.data<float>(), numbers.data<float>() + from.size());
  return room;
}

std::span<const std::uint32_t> MlxDevice::read(NumberView from, std::vector<std::uint32_t>& room) {
  const mx::array numbers = mx::contiguous(array_at(from));
  compute({numbers});
  room.assign(numbers.data<std::uint32_t>(), numbers.data<std::uint32_t>() + from.size());
  return room;
}

void MlxDevice::embed(Batch batch, FloatView out) {
  std::vector<std::uint32_t> tokens;
  for (const BatchRow& row : batch) tokens.push_back(static_cast<std::uint32_t>(row.token));
  const mx::array ids(tokens.begin(), {as_int(tokens.size())}, mx::uint32);
  put_array(out, rows_of(matrices_.of({Role::kTokenEmbedding}), ids, type_));
}

// A batch begins with them: what the one before left to compute is put on its way, and this one's
// graph is built while that runs.
void MlxDevice::angles(Batch batch, const Rotation& out) {
  if (largest_) pending_.push_back(*largest_);
  translated([&] { mx::async_eval(std::exchange(pending_, {})); });
  const std::size_t half = out.cos.cols;
  std::vector<float> cos(batch.size() * half), sin(cos.size());
  for (std::size_t i = 0; i < batch.size(); ++i) {
    angles_(batch[i].position, std::span(cos).subspan(i * half, half),
            std::span(sin).subspan(i * half, half));
  }
  const mx::Shape shape{as_int(batch.size()), as_int(half)};
  put_array(out.cos, floats(cos, shape));
  put_array(out.sin, floats(sin, shape));
}

void MlxDevice::norm(TensorKey weight, FloatView x, FloatView out) {
  put_array(out, mx::fast::rms_norm(array_at(x), *matrices_.vector(weight),
                                    static_cast<float>(config().norm_eps)));
}

void MlxDevice::linear(FloatView x, std::span<const Projection> products) {
  const mx::array rows = array_at(x);
  for (const Projection& product : products) {
    mx::array out = times(rows, matrices_.of(product.matrix));
    if (product.bias) {
      const mx::array* const bias = matrices_.vector({*product.bias, product.matrix.layer});
      if (bias != nullptr) out = mx::add(out, *bias);
    }
    put_array(product.out, std::move(out));
  }
}

void MlxDevice::rotate(TensorKey norm, const Rotation& by, FloatView heads) {
  const int rows = as_int(heads.rows), dim = as_int(config().head_dim), half = dim / 2;
  const int count = as_int(heads.cols) / dim;
  mx::array x = mx::reshape(array_at(heads), {rows, count, dim});
  if (const mx::array* const gains = matrices_.vector(norm); gains != nullptr) {
    x = mx::fast::rms_norm(x, *gains, static_cast<float>(config().norm_eps));
  }
  const mx::array cos = mx::expand_dims(array_at(by.cos), 1);
  const mx::array sin = mx::expand_dims(array_at(by.sin), 1);
  const bool side_by_side = config().rope_interleaved;
  const std::vector<mx::array> pairs =
      side_by_side ? mx::split(mx::reshape(x, {rows, count, half, 2}), 2, 3) : mx::split(x, 2, 2);
  const mx::array a = mx::reshape(pairs[0], {rows, count, half});
  const mx::array b = mx::reshape(pairs[1], {rows, count, half});
  const mx::array first = mx::subtract(mx::multiply(a, cos), mx::multiply(b, sin));
  const mx::array second = mx::add(mx::multiply(b, cos), mx::multiply(a, sin));
  const mx::array turned =
      side_by_side ? mx::stack({first, second}, 3) : mx::concatenate({first, second}, 2);
  put_array(heads, mx::astype(mx::reshape(turned, {rows, count * dim}), type_));
}

void MlxDevice::store(int layer, std::span<const KvRun> runs, FloatView keys, FloatView values) {
  const int dim = as_int(config().head_dim), heads = as_int(config().kv_heads);
  const auto by_head = [&](const FloatView& view) {  // [kv_heads][rows][dim]
    const mx::array all = array_at(view);
    if (kv_form_.type == mx::float16) {
      const mx::array most = mx::max(mx::abs(mx::astype(all, mx::float32)));
      largest_ = largest_ ? mx::maximum(*largest_, most) : most;
    }
    return stored_as(mx::transpose(mx::reshape(all, {as_int(view.rows), heads, dim}), {1, 0, 2}),
                     kv_form_);
  };
  const KvPlanes parts[] = {by_head(keys), by_head(values)};
  for (const KvRun& run : runs) {
    for (std::size_t done = 0; done < run.count;) {
      const std::uint32_t position = run.position + static_cast<std::uint32_t>(done);
      const int at = as_int(position) % kBlockRows;
      const int count = std::min(kBlockRows - at, as_int(run.count - done));
      const int from = as_int(run.first + done);
      const KvBlock& block = run.cache->block(static_cast<std::uint64_t>(layer), position);
      for (const bool is_key : {true, false}) {
        KvBlockRows& rows = ArrayMemory::of((is_key ? block.keys : block.values).memory()).kv();
        const KvPlanes& added = parts[is_key ? 0 : 1];
        KvPlanes after = rows.planes == nullptr
                             ? no_rows(heads, kBlockRows, kv_form_)
                             : KvPiece{rows.planes, rows.first, rows.first + kBlockRows}.rows();
        rows = {};  // so that MLX may write in place
        for (std::size_t plane = 0; plane < after.size(); ++plane) {
          const int cols = added[plane].shape(2);
          after[plane] = mx::slice_update(
              after[plane], mx::slice(added[plane], {0, from, 0}, {heads, from + count, cols}),
              mx::Shape{0, at, 0}, mx::Shape{heads, at + count, cols});
          pending_.push_back(after[plane]);
        }
        rows.planes = std::make_shared<const KvPlanes>(std::move(after));
      }
      done += static_cast<std::size_t>(count);
    }
  }
}

// Numbers of 16 bits would be copied to floats on the way, where MLX's own attention does without.
bool MlxDevice::in_pieces(const KvRun& run) const noexcept {
  return run.count == 1 && (kv_form_.bits != 0 || type_ == mx::float32);
}

std::vector<KvPiece> MlxDevice::seen(int layer, const KvRun& run, bool keys, std::uint32_t from) {
  const std::uint32_t end = run.position + static_cast<std::uint32_t>(run.count);
  const std::uint32_t begin = from / KvBlock::kPositions * KvBlock::kPositions;
  const auto rows_at = [&](std::uint32_t position) -> KvBlockRows& {
    const KvBlock& block = run.cache->block(static_cast<std::uint64_t>(layer), position);
    return ArrayMemory::of((keys ? block.keys : block.values).memory()).kv();
  };
  std::vector<KvPiece> pieces;
  for (std::uint32_t at = begin; at < end; at += KvBlock::kPositions) {
    const KvBlockRows& rows = rows_at(at);
    const int count = std::min(kBlockRows, as_int(end - at));
    if (!pieces.empty() && pieces.back().planes == rows.planes && pieces.back().end == rows.first) {
      pieces.back().end += count;
    } else {
      pieces.push_back({rows.planes, rows.first, rows.first + count});
    }
  }
  // Copied side by side: full blocks are pieces of one whole from then on, which forks share. A
  // single row is not worth moving the last block for.
  const std::size_t apart = in_pieces(run) && end % KvBlock::kPositions != 0 ? 1 : 0;
  if (pieces.size() > 1 + apart) {
    const auto last = pieces.end() - static_cast<std::ptrdiff_t>(apart);
    const auto whole = std::make_shared<const KvPlanes>(joined({pieces.begin(), last}));
    for (std::uint32_t at = begin; at + KvBlock::kPositions <= end; at += KvBlock::kPositions)
      rows_at(at) = {whole, as_int(at - begin)};
    pieces.erase(pieces.begin(), last);
    pieces.insert(pieces.begin(), {whole, 0, whole->front().shape(1)});
  }
  pieces.front().begin += as_int(from - begin);
  return pieces;
}

mx::array MlxDevice::window_mask(const KvRun& run, std::uint32_t from, std::uint64_t window) {
  if (!mask_ || mask_->position != run.position || mask_->from != from ||
      mask_->rows != run.count) {
    const int first = as_int(run.position), end = first + as_int(run.count);
    const mx::array own = mx::expand_dims(mx::arange(first, end, 1, mx::int32), 1);
    const mx::array other = mx::expand_dims(mx::arange(as_int(from), end, 1, mx::int32), 0);
    mask_ = {run.position, from, run.count,
             mx::logical_and(mx::less_equal(other, own),
                             mx::greater(other, mx::subtract(own, mx::array(as_int(window)))))};
  }
  return mask_->seen;
}

mx::array MlxDevice::attended(int layer, const KvRun& run, const mx::array& queries) {
  const int dim = as_int(config().head_dim), heads = as_int(config().heads);
  const int count = as_int(run.count);
  const std::uint64_t window = config().window(static_cast<std::uint64_t>(layer));
  const std::uint64_t positions = std::uint64_t{run.position} + 1;  // that the first row sees
  const auto from =
      static_cast<std::uint32_t>(window == 0 || positions <= window ? 0 : positions - window);
  std::optional<mx::array> sinks;
  if (const mx::array* const found = matrices_.vector({Role::kAttnSinks, layer}); found != nullptr)
    sinks = *found;
  mx::array asked =
      mx::expand_dims(mx::transpose(mx::reshape(queries, {count, heads, dim}), {1, 0, 2}), 0);
  if (kv_form_.rotated) asked = mx::hadamard_transform(asked);

  const std::vector<KvPiece> keys = seen(layer, run, true, from);
  const std::vector<KvPiece> values = seen(layer, run, false, from);
  const float scale = 1.0f / std::sqrt(static_cast<float>(dim));
  const mx::array mixed = [&] {
    if (in_pieces(run) && (keys.size() > 1 || kv_form_.bits != 0))
      return attention_over(asked, keys, values, kv_form_, scale, sinks);
    std::optional<mx::array> mask;
    if (count > 1 && window != 0 && positions + run.count - 1 > window)
      mask = window_mask(run, from, window);
    const auto numbers = [&](std::span<const KvPiece> pieces) {
      return mx::expand_dims(numbers_of(joined(pieces), kv_form_, asked.dtype()), 0);
    };
    return attention_of(asked, numbers(keys), numbers(values), scale, mask, sinks);
  }();
  const mx::array out = kv_form_.rotated ? mx::hadamard_transform(mixed) : mixed;
  return mx::reshape(mx::transpose(mx::squeeze(out, 0), {1, 0, 2}), {count, heads * dim});
}

void MlxDevice::attend(int layer, std::span<const KvRun> runs, FloatView queries, FloatView out) {
  const mx::array all = array_at(queries);
  std::vector<mx::array> parts;
  for (const KvRun& run : runs) {
    const int first = as_int(run.first), end = as_int(run.first + run.count);
    parts.push_back(attended(layer, run, mx::slice(all, {first, 0}, {end, as_int(queries.cols)})));
  }
  put_array(out, parts.size() == 1 ? parts[0] : mx::concatenate(std::move(parts), 0));
}

void MlxDevice::activate(FloatView gate, FloatView up) {
  const mx::array g = array_at(gate), u = array_at(up);
  if (config().activation != model::Activation::kClampedSwiGlu) {
    put_array(gate, mx::multiply(mx::multiply(g, mx::sigmoid(g)), u));
    return;
  }
  const mx::array limit(static_cast<float>(config().swiglu_limit), type_);
  const mx::array below = mx::minimum(g, limit);
  const mx::array beside = mx::add(mx::clip(u, mx::negative(limit), limit), mx::array(1.0f, type_));
  const mx::array curve = mx::sigmoid(mx::multiply(below, mx::array(1.702f, type_)));
  put_array(gate, mx::multiply(mx::multiply(below, curve), beside));
}

void MlxDevice::add(FloatView x, FloatView to) {
  put_array(to, mx::add(array_at(to), array_at(x)));
}

void MlxDevice::route(FloatView scores, const Routing& out) {
  const int used = as_int(config().experts_used), rows = as_int(scores.rows);
  const int all = as_int(config().experts), count = rows * used;
  const bool all_first = config().router == model::RouterKind::kSoftmaxThenTop;
  mx::array values = mx::astype(array_at(scores), mx::float32);
  if (all_first) values = mx::softmax(values, 1, true);
  // Those chosen in ascending order, so that an assignment's place does not depend on the scores.
  const mx::array best =
      mx::slice(mx::argpartition(mx::negative(values), used - 1, 1), {0, 0}, {rows, used});
  const mx::array experts = mx::sort(best, 1);
  mx::array weights = mx::take_along_axis(values, experts, 1);
  if (!all_first) {
    weights = mx::softmax(weights, 1, true);
  } else if (config().router_renormalises) {
    weights = mx::divide(weights, mx::sum(weights, 1, true));
  }
  const mx::array flat = mx::astype(mx::flatten(experts), mx::uint32);
  const mx::array order = mx::argsort(flat);
  assigned_ = mx::take(flat, order);
  put_array(out.rows,
            mx::reshape(mx::floor_divide(order, mx::array(used, mx::uint32)), {count, 1}));
  put_array(out.weights, mx::reshape(mx::take(mx::flatten(weights), order), {count, 1}));
  const mx::array each = mx::expand_dims(mx::arange(0, all + 1, 1, mx::uint32), 1);
  put_array(
      out.begin,
      mx::expand_dims(
          mx::astype(mx::sum(mx::less(mx::expand_dims(*assigned_, 0), each), 1), mx::uint32), 1));
  put_array(out.places, mx::reshape(mx::argsort(order), {rows, used}));
}

void MlxDevice::gather(const Routing& routing, FloatView x, FloatView out) {
  put_array(out, mx::take(array_at(x), mx::flatten(array_at(routing.rows)), 0));
}

void MlxDevice::expert_linear(const Routing&, FloatView x, std::span<const Projection> products,
                              std::span<const TensorKey> next) {
  const mx::array rows = array_at(x);
  for (const Projection& product : products) {
    mx::array out = times_expert(rows, matrices_.of(product.matrix), *assigned_);
    if (product.bias) {
      const mx::array* const bias = matrices_.vector({*product.bias, product.matrix.layer});
      if (bias != nullptr) out = mx::add(out, mx::take(*bias, *assigned_, 0));
    }
    put_array(product.out, std::move(out));
  }
  matrices_.prefetch(next);
}

void MlxDevice::combine(const Routing& routing, FloatView x, FloatView out) {
  const mx::array counted = mx::multiply(array_at(x), array_at(routing.weights));
  const mx::array of_rows = mx::take(counted, array_at(routing.places), 0);  // [rows][used][cols]
  put_array(out, mx::astype(mx::sum(of_rows, 1), type_));
}

void MlxDevice::take(FloatView x, std::span<const std::size_t> rows, FloatView out) {
  const mx::array chosen(rows.begin(), {as_int(rows.size())}, mx::uint32);
  put_array(out, mx::take(array_at(x), chosen, 0));
}

void MlxDevice::logits(TensorKey matrix, FloatView x, std::span<float> out) {
  const mx::array numbers =
      mx::contiguous(mx::astype(times(array_at(x), matrices_.of(matrix)), mx::float32));
  compute({numbers});
  std::memcpy(out.data(), numbers.data<float>(), out.size() * sizeof(float));
}

ChosenPtr MlxDevice::choose(TensorKey matrix, FloatView x, std::span<const ChoiceRule> rules) {
  const mx::array logits = mx::astype(times(array_at(x), matrices_.of(matrix)), mx::float32);
  // Only processors have numbers as wide as Sampler's.
  mx::array tokens = choice_of(logits, rules, runs_on_processor() ? mx::float64 : mx::float32);
  std::vector<mx::array> all = std::exchange(pending_, {});
  std::optional<mx::array> largest = std::exchange(largest_, std::nullopt);
  all.push_back(tokens);
  if (largest) all.push_back(*largest);
  translated([&] { mx::async_eval(std::move(all)); });
  return std::make_unique<MlxChosen>(std::move(tokens), std::move(largest));
}

void MlxDevice::embed_chosen(const Chosen& from, std::span<const std::uint32_t> which,
                             FloatView out) {
  const mx::array& tokens = static_cast<const MlxChosen&>(from).tokens();
  const mx::array places(which.begin(), {as_int(which.size())}, mx::uint32);
  const mx::array ids = mx::maximum(mx::take(tokens, places), mx::array(0, mx::int32));
  put_array(out, rows_of(matrices_.of({Role::kTokenEmbedding}), ids, type_));
}

}  // namespace pajamas::runtime

extern "C" {

__attribute__((visibility("default"))) pajamas::runtime::Device* PAJAMAS_MLX_DEVICE(
    pajamas::runtime::MlxArguments&& arguments) {
  return new pajamas::runtime::MlxDevice(std::move(arguments));
}

__attribute__((visibility("default"))) const char* PAJAMAS_MLX_DESCRIBE() {
  static const std::string text = pajamas::runtime::mlx_description();
  return text.c_str();
}
}
