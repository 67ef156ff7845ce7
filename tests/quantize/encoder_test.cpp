// What `execute` promises to whoever gives it encoders.
#include "quantize/encoder.h"

#include <gtest/gtest.h>

#include <array>
#include <atomic>
#include <cstring>
#include <filesystem>
#include <map>
#include <mutex>
#include <string>
#include <tuple>
#include <vector>

#include "base/error.h"
#include "base/file.h"
#include "effort.h"
#include "io/temp.h"
#include "paths.h"
#include "quantize/execute.h"
#include "quantize/importance.h"
#include "quantize/plan_input.h"

namespace pajamas::quantize {
namespace {

namespace fs = std::filesystem;
using model::Role;
using model::TensorKey;

// A matrix of an output: the tensor's name there, and the expert.
using Name = std::pair<std::string, int>;

// Rows that were encoded, counted.
struct Seen {
  TensorKey key;
  int layer = -2;  // that was begun when its encoder was asked for
  bool alive = false;
  std::vector<int> rows;
};

// Tells what `execute` does, and encodes as it does by default.
class Recorder : public EncoderSource {
 public:
  Recorder(const model::Checkpoint& checkpoint, bool layered)
      : usual_(checkpoint, kernels::best_kernels()), layered_(layered) {}

  bool layer_by_layer() const noexcept override { return layered_; }
  void begin_layer(int layer) override {
    EXPECT_FALSE(inside_);
    inside_ = true;
    layers_.push_back(layer);
    if (layer == fails_at) throw Error(ErrorCode::kUnsupported, "no statistics");
  }
  void end_layer(int layer) override {
    EXPECT_TRUE(inside_);
    inside_ = false;
    ASSERT_FALSE(layers_.empty());
    EXPECT_EQ(layer, layers_.back());
    for (const auto& [name, seen] : seen_) EXPECT_FALSE(seen.alive) << name.first;
  }
  std::unique_ptr<const RowEncoder> encoder(const PlannedTensor& tensor, int expert) override {
    auto inner = usual_.encoder(tensor, expert);
    const std::lock_guard lock(mutex_);
    const auto [place, fresh] = seen_.try_emplace({tensor.name, expert});
    EXPECT_TRUE(fresh) << tensor.name << " " << expert;
    Seen& seen = place->second;
    seen.key = tensor.spec.key;
    seen.layer = layers_.empty() ? -2 : layers_.back();
    seen.alive = true;
    const std::uint64_t experts = expert < 0 ? 1 : tensor.spec.shape[0];
    seen.rows.resize(tensor.spec.shape.rows() / experts);
    return std::make_unique<Encoder>(*this, seen, std::move(inner), tensor.spec.shape.cols());
  }

  const std::vector<int>& layers() const { return layers_; }
  const std::map<Name, Seen>& seen() const { return seen_; }
  int fails_at = -2;

 private:
  class Encoder : public RowEncoder {
   public:
    Encoder(Recorder& all, Seen& seen, std::unique_ptr<const RowEncoder> inner, std::uint64_t cols)
        : all_(all), seen_(seen), inner_(std::move(inner)), cols_(cols) {}
    ~Encoder() override {
      const std::lock_guard lock(all_.mutex_);
      seen_.alive = false;
    }
    void encode(std::uint64_t first, std::span<const float> rows,
                const Planes& out) const override {
      {
        const std::lock_guard lock(all_.mutex_);
        ASSERT_LE(first + rows.size() / cols_, seen_.rows.size());
        for (std::uint64_t r = 0; r < rows.size() / cols_; ++r) ++seen_.rows[first + r];
      }
      inner_->encode(first, rows, out);
    }
    std::span<const float> importance() const noexcept override { return inner_->importance(); }

   private:
    Recorder& all_;
    Seen& seen_;
    const std::unique_ptr<const RowEncoder> inner_;
    const std::uint64_t cols_;
  };

  NormGainEncoders usual_;
  const bool layered_;
  bool inside_ = false;
  std::mutex mutex_;
  std::vector<int> layers_;
  std::map<Name, Seen> seen_;
};

class Encoders : public testing::Test {
 protected:
  static constexpr const char* kModel = "models/tiny-qwen3-moe";

  Encoders() : input_(load_plan_input(fs::path(source_dir()) / kModel, &checkpoint_)) {}

  // GGUF and MLX under `name`, into which every tensor is encoded.
  Plan plan(const std::string& name) const {
    Recipe gguf;
    gguf.format = Format::kGguf;
    gguf.method = "Q4_K_M";
    gguf.output = folder_.path() / name / "model.gguf";
    Recipe mlx;
    mlx.format = Format::kMlx;
    mlx.method = "4bit";
    mlx.output = folder_.path() / name / "mlx";
    return make_plan(input_, {gguf, mlx}, 1);
  }
  void run(const Plan& plan, EncoderSource* source, int threads) const {
    NoProgress progress;
    const StopFlag stop;
    ExecuteOptions options;
    options.encoders = source;
    execute(plan, *checkpoint_, TaskPool(threads), progress, stop, options);
  }
  std::string written(const std::string& name) const {
    return read_text_file(folder_.path() / name / "model.gguf") +
           read_text_file(folder_.path() / name / "mlx/model.safetensors");
  }

  test::TempFolder folder_;
  std::optional<model::Checkpoint> checkpoint_;
  PlanInput input_;
};

// Each matrix of each output once, a stack's experts apart, each row once, whatever the threads;
// and with the encoders of old the bytes of old.
TEST_F(Encoders, AreAskedForEachMatrixOnce) {
  run(plan("usual"), nullptr, 2);
  const std::vector<int> some{3}, all{1, 3};
  for (const bool layered : {false, true}) {
    for (const int threads : thorough() ? all : some) {
      Recorder recorder(*checkpoint_, layered);
      const std::string name = std::to_string(layered) + std::to_string(threads);
      const Plan wanted = plan(name);
      run(wanted, &recorder, threads);
      EXPECT_TRUE(written(name) == written("usual")) << name;
      std::size_t matrices = 0;
      for (const PlannedOutput& output : wanted.outputs) {
        for (const PlannedTensor& tensor : output.tensors) {
          matrices += tensor.spec.is_stack() ? tensor.spec.shape[0] : 1;
        }
      }
      EXPECT_EQ(recorder.seen().size(), matrices);
      for (const auto& [matrix, seen] : recorder.seen()) {
        EXPECT_TRUE(std::ranges::all_of(seen.rows, [](int n) { return n == 1; })) << matrix.first;
        EXPECT_FALSE(seen.alive);
        EXPECT_EQ(matrix.second >= 0, seen.key.role == Role::kExpertGate ||
                                          seen.key.role == Role::kExpertUp ||
                                          seen.key.role == Role::kExpertDown);
      }
      EXPECT_EQ(recorder.layers().empty(), !layered);
    }
  }
}

TEST_F(Encoders, SeeTheLayersInOrderAndTheOutputLast) {
  Recorder recorder(*checkpoint_, true);
  run(plan("layers"), &recorder, 3);
  const int layers = static_cast<int>(checkpoint_->config().layers);
  std::vector<int> expected;
  for (int layer = -1; layer <= layers; ++layer) expected.push_back(layer);
  EXPECT_EQ(recorder.layers(), expected);
  for (const auto& [matrix, seen] : recorder.seen()) {
    const Role role = seen.key.role;
    const int layer = role == Role::kTokenEmbedding                        ? -1
                      : role == Role::kOutput || role == Role::kOutputNorm ? layers
                                                                           : seen.key.layer;
    EXPECT_EQ(seen.layer, layer) << matrix.first;
  }
}

TEST_F(Encoders, LeaveNothingWhereTheyFail) {
  Recorder recorder(*checkpoint_, true);
  recorder.fails_at = 1;
  try {
    run(plan("failed"), &recorder, 2);
    FAIL();
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), ErrorCode::kUnsupported);
  }
  EXPECT_EQ(recorder.layers(), (std::vector<int>{-1, 0, 1}));
  EXPECT_FALSE(fs::exists(folder_.path() / "failed/model.gguf"));
  EXPECT_FALSE(fs::exists(folder_.path() / "failed/mlx"));
}

// Stores the rows' numbers in place of weights, and those of groups in place of scales.
class TileSource : public EncoderSource {
 public:
  class Encoder : public RowEncoder {
   public:
    explicit Encoder(std::uint64_t cols) : cols_(cols) {}
    void encode(std::uint64_t first, std::span<const float> rows,
                const Planes& out) const override {
      const std::uint64_t count = rows.size() / cols_;
      ASSERT_EQ(first % 128, 0u);
      ASSERT_EQ(out.plane[0].size(), count * cols_);
      const std::uint64_t tiles = (cols_ + 127) / 128;
      ASSERT_EQ(out.plane[1].size(), (count + 127) / 128 * tiles * sizeof(float));
      for (std::uint64_t r = 0; r < count; ++r) {
        std::memset(out.plane[0].data() + r * cols_, static_cast<int>((first + r) % 251), cols_);
      }
      for (std::uint64_t i = 0; i < out.plane[1].size() / sizeof(float); ++i) {
        const auto scale = static_cast<float>(first / 128 * tiles + i);
        std::memcpy(out.plane[1].data() + i * sizeof(float), &scale, sizeof scale);
      }
    }

   private:
    const std::uint64_t cols_;
  };
  std::unique_ptr<const RowEncoder> encoder(const PlannedTensor& tensor, int) override {
    return std::make_unique<Encoder>(tensor.spec.shape.cols());
  }
};

// FP8: 128 rows share a row of scales. They come to the encoder together, and the scales lie in the
// file once. chunks of 288 columns would not be whole tiles by themselves.
TEST(TiledOutput, HasEachSharedScaleOnce) {
  const test::TempFolder folder;
  std::optional<model::Checkpoint> checkpoint;
  const PlanInput input =
      load_plan_input(fs::path(source_dir()) / "models/tiny-gpt-oss", &checkpoint);
  const model::StoredTensor& embedding = checkpoint->get({Role::kTokenEmbedding});
  const std::uint64_t rows = embedding.shape.rows(), cols = embedding.shape.cols();
  ASSERT_NE(64 * 1024 / cols % 128, 0u);
  PlannedTensor tensor{};
  tensor.spec.key = embedding.key;
  tensor.spec.shape = embedding.shape;
  tensor.name = "embedding";
  tensor.encoding = Encoding::fp8(DType::kF32);
  const std::uint64_t tiles = (rows + 127) / 128 * ((cols + 127) / 128);
  tensor.planes[1] = {0, rows * cols};
  PlannedOutput output;
  output.path = folder.path() / "tiles";
  output.tensors.push_back(tensor);
  output.files.push_back({"", "", rows * cols + tiles * sizeof(float)});
  output.file_bytes = output.files[0].bytes;
  Plan plan;
  plan.outputs.push_back(output);
  TileSource source;
  ExecuteOptions options;
  options.encoders = &source;
  NoProgress progress;
  execute(plan, *checkpoint, TaskPool(3), progress, StopFlag(), options);
  const std::string bytes = read_text_file(output.path);
  ASSERT_EQ(bytes.size(), output.file_bytes);
  std::uint64_t wrong = 0;
  for (std::uint64_t i = 0; i < rows * cols; ++i) {
    wrong += static_cast<unsigned char>(bytes[i]) != i / cols % 251;
  }
  EXPECT_EQ(wrong, 0u);
  for (std::uint64_t i = 0; i < tiles; ++i) {
    float scale = -1;
    std::memcpy(&scale, bytes.data() + rows * cols + i * sizeof scale, sizeof scale);
    EXPECT_EQ(scale, static_cast<float>(i));
  }
}

}  // namespace
}  // namespace pajamas::quantize
