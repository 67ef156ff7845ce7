#include "quantize/execute.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <array>
#include <filesystem>
#include <fstream>

#include "base/error.h"
#include "base/file.h"
#include "io/safetensors.h"
#include "io/temp.h"
#include "paths.h"
#include "quantize/plan_helpers.h"
#include "weights/row_reader.h"

namespace pajamas::quantize {
namespace {

class Execute : public testing::Test {
 protected:
  void SetUp() override {
    folder_ = fs::temp_directory_path() / ("pajamas-execute-" + std::to_string(::getpid()));
    fs::remove_all(folder_);
    fs::create_directories(folder_);
  }
  void TearDown() override { fs::remove_all(folder_); }

  std::vector<Recipe> recipes(const std::string& name, const std::string& gguf,
                              const std::string& mlx) const {
    Recipe first;
    first.format = Format::kGguf;
    first.method = gguf;
    first.output = folder_ / name / "model.gguf";
    Recipe second;
    second.format = Format::kMlx;
    second.method = mlx;
    second.output = folder_ / name / "mlx";
    return {first, second};
  }

  // Quantizes `model` and returns the bytes of both weight files.
  std::string quantize(const fs::path& model, const std::vector<Recipe>& wanted,
                       int threads) const {
    std::optional<model::Checkpoint> checkpoint;
    const PlanInput input = load_plan_input(model, &checkpoint);
    const Plan plan = make_plan(input, wanted, threads);
    NoProgress progress;
    const StopFlag stop;
    execute(plan, *checkpoint, TaskPool(threads), progress, stop, {});
    EXPECT_EQ(fs::file_size(wanted[0].output), plan.outputs[0].file_bytes);
    return read_text_file(wanted[0].output) +
           read_text_file(wanted[1].output / "model.safetensors");
  }

  fs::path copy_of_tiny() const {
    fs::copy(kTiny, folder_ / "copy", fs::copy_options::recursive);
    return folder_ / "copy";
  }

  std::size_t entries(const fs::path& folder) const {
    if (!fs::exists(folder)) return 0;
    return static_cast<std::size_t>(
        std::distance(fs::directory_iterator(folder), fs::directory_iterator()));
  }

  fs::path folder_;
};

TEST_F(Execute, GivesTheSameBytesForAnyNumberOfThreads) {
  const std::string one = quantize(kTiny, recipes("one", "Q4_K_M", "4bit"), 1);
  const std::string three = quantize(kTiny, recipes("three", "Q4_K_M", "4bit"), 3);
  EXPECT_TRUE(one == three);
}

// The stored values of an F32 output are the checkpoint's, whatever path they took.
TEST_F(Execute, F32KeepsEveryValue) {
  const auto wanted = recipes("exact", "F32", "bf16");
  quantize(kTiny, wanted, 2);
  const model::Checkpoint original = model::Checkpoint::open(kTiny);
  for (const fs::path& output : {wanted[0].output, wanted[1].output}) {
    const model::Checkpoint copy = model::Checkpoint::open(output);
    weights::RowReader from(original, kernels::best_kernels());
    weights::RowReader to(copy, kernels::best_kernels());
    for (const model::StoredTensor& tensor : original.tensors()) {
      const std::uint64_t rows = tensor.shape.rows();
      std::vector<float> a(tensor.shape.elements());
      std::vector<float> b(tensor.shape.elements());
      from.read(tensor, 0, rows, a);
      to.read(copy.get(tensor.key), 0, rows, b);
      EXPECT_EQ(a, b) << tensor.name;
    }
  }
}

TEST_F(Execute, RefusesAnExistingOutputAndKeepsIt) {
  const auto wanted = recipes("taken", "Q8_0", "8bit");
  fs::create_directories(wanted[0].output.parent_path());
  std::ofstream(wanted[0].output) << "precious";
  EXPECT_THROW(quantize(kTiny, wanted, 1), Error);
  EXPECT_EQ(read_text_file(wanted[0].output), "precious");
  EXPECT_EQ(entries(wanted[0].output.parent_path()), 1u);
}

TEST_F(Execute, ForceReplacesOutputsButNeverTheModelThatIsRead) {
  const fs::path source = copy_of_tiny();
  std::optional<model::Checkpoint> checkpoint;
  const PlanInput input = load_plan_input(source, &checkpoint);
  const auto force = [&](const std::vector<Recipe>& wanted) {
    ExecuteOptions options;
    options.output.replace = true;
    NoProgress progress;
    const StopFlag stop;
    execute(make_plan(input, wanted, 1), *checkpoint, TaskPool(1), progress, stop, options);
  };
  std::vector<Recipe> wanted = recipes("out", "Q8_0", "8bit");
  force(wanted);
  EXPECT_NO_THROW(force(wanted));  // a file for a file, a folder for a folder
  for (const fs::path& place : {source, source / ".", folder_}) {
    wanted[1].output = place;
    EXPECT_THROW(force({wanted[1]}), Error) << place;
  }
  wanted[0].output = source / "model.safetensors";
  EXPECT_THROW(force({wanted[0]}), Error);
  EXPECT_TRUE(read_text_file(source / "model.safetensors") ==
              read_text_file(kTiny / "model.safetensors"));
}

TEST_F(Execute, NamesTheTensorOfAWeightThatIsNotANumber) {
  const fs::path model = copy_of_tiny();
  {
    std::fstream file(model / "model.safetensors", std::ios::in | std::ios::out | std::ios::binary);
    file.seekp(-2, std::ios::end);
    file.write("\xc0\x7f", 2);  // a bf16 NaN
  }
  const auto wanted = recipes("nan", "Q4_0", "4bit");
  try {
    quantize(model, wanted, 2);
    FAIL();
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), ErrorCode::kCorruptFile);
    EXPECT_NE(error.place().find(".weight"), std::string::npos) << error.what();
  }
  EXPECT_EQ(entries(wanted[0].output.parent_path()), 0u);
}

// Writes over the stored bytes of a tensor of a model directory.
void overwrite(const fs::path& folder, std::string_view name, std::uint64_t at,
               std::string_view bytes) {
  for (const auto& entry : fs::directory_iterator(folder)) {
    if (entry.path().extension() != ".safetensors") continue;
    const auto shard = io::SafetensorsFile::open(entry.path());
    for (const io::SafetensorsEntry& tensor : shard.entries()) {
      if (tensor.name != name) continue;
      std::fstream file(entry.path(), std::ios::in | std::ios::out | std::ios::binary);
      file.seekp(static_cast<std::streamoff>(tensor.offset + at));
      file.write(bytes.data(), static_cast<std::streamsize>(bytes.size()));
      return;
    }
  }
  ADD_FAILURE() << "there is no " << name;
}

constexpr std::string_view kDown = "model.layers.0.mlp.down_proj.weight";

TEST_F(Execute, RefusesAWeightThatF16DoesNotHold) {
  const fs::path model = copy_of_tiny();
  overwrite(model, kDown, 2 * (768 + 77), "\xC3\x47");  // BF16: 99840
  const auto wanted = recipes("f16", "F16", "bf16");
  try {
    quantize(model, wanted, 2);
    FAIL();
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), ErrorCode::kUnsupported);
    EXPECT_EQ(error.problem(), "weight 77 of row 1 is 99840, F16 ends at 65504");
    EXPECT_NE(error.place().find(kDown), std::string::npos) << error.what();
    // What the hint names fits, as below.
    EXPECT_NE(error.hint().find("--tensor-type 'blk.0.ffn_down.weight=BF16'"), std::string::npos);
  }
  EXPECT_FALSE(fs::exists(folder_ / "f16"));
  auto mended = wanted;
  constexpr std::array kBoth{Format::kGguf, Format::kMlx};
  mended[0].overrides.push_back(parse_type_override("blk.0.ffn_down.weight=BF16", kBoth));
  EXPECT_NO_THROW(quantize(model, mended, 2));
}

// Blocks have scales of F16: what they hold is their own affair, and it is found out.
TEST_F(Execute, RefusesABlockWhoseScaleHasNoRoom) {
  const fs::path model = copy_of_tiny();
  overwrite(model, kDown, 2 * (768 + 77), "\x40\x4B");  // BF16: 1.2582912e7
  for (const char* method : {"Q4_0", "Q5_1"}) {
    const auto wanted = recipes(method, method, "4bit");
    test::expect_error(ErrorCode::kUnsupported, "which ends at 65504",
                       [&] { quantize(model, wanted, 2); });
    EXPECT_EQ(entries(folder_ / method), 0u);
  }
  EXPECT_NO_THROW(quantize(model, recipes("k", "Q6_K", "4bit"), 2));
}

TEST_F(Execute, RefusesScalesOfMlxThatHaveNoRoom) {
  const fs::path model = copy_of_tiny();
  overwrite(model, kDown, 2 * (768 + 77), "\xC3\x47");
  auto config = nlohmann::json::parse(read_text_file(model / "config.json"));
  config["torch_dtype"] = "float16";
  std::ofstream(model / "config.json") << config.dump();
  test::expect_error(ErrorCode::kUnsupported, "take --method bf16",
                     [&] { quantize(model, recipes("mlx", "Q8_0", "4bit"), 2); });
  EXPECT_NO_THROW(quantize(model, recipes("bf16", "Q8_0", "bf16"), 2));
}

// What is taken over bit for bit is not decoded, and yet no number that is none passes.
TEST_F(Execute, NamesARepackedScaleThatIsNotANumber) {
  fs::copy(fs::path(source_dir()) / "models/tiny-gpt-oss", folder_ / "oss",
           fs::copy_options::recursive);
  overwrite(folder_ / "oss", "model.layers.1.mlp.experts.down_proj_scales", 4, "\xFF");
  const auto wanted = recipes("nan", "Q4_0", "4bit");
  test::expect_error(ErrorCode::kCorruptFile, "model.layers.1.mlp.experts.down_proj",
                     [&] { quantize(folder_ / "oss", wanted, 2); });
  EXPECT_EQ(entries(folder_ / "nan"), 0u);
}

class Notes final : public Progress {
 public:
  void begin(std::string_view, std::uint64_t, std::string_view) override {}
  void advance(std::uint64_t) override {}
  void end() override {}
  void note(std::string_view text) override { all.emplace_back(text); }
  std::vector<std::string> all;
};

TEST_F(Execute, TellsOfTensorsThatBecomeZeros) {
  const fs::path model = copy_of_tiny();
  std::string tiny;
  for (int i = 0; i < 768 * 256; ++i) tiny += "\x80\x2F";  // BF16: 2.3e-10
  overwrite(model, kDown, 0, tiny);
  for (const char* method : {"F16", "Q4_0", "BF16"}) {
    std::optional<model::Checkpoint> checkpoint;
    const PlanInput input = load_plan_input(model, &checkpoint);
    Notes notes;
    const StopFlag stop;
    const Recipe wanted = recipes(method, method, "4bit")[0];
    execute(make_plan(input, {wanted}, 1), *checkpoint, TaskPool(1), notes, stop, {});
    if (std::string_view(method) == "BF16") {
      EXPECT_TRUE(notes.all.empty());
    } else {
      ASSERT_EQ(notes.all.size(), 1u);
      EXPECT_NE(notes.all[0].find("blk.0.ffn_down.weight"), std::string::npos) << notes.all[0];
    }
  }
}

TEST_F(Execute, LeavesNothingWhenStopped) {
  std::optional<model::Checkpoint> checkpoint;
  const PlanInput input = load_plan_input(kTiny, &checkpoint);
  const auto wanted = recipes("stopped", "Q4_0", "4bit");
  const Plan plan = make_plan(input, wanted, 2);
  NoProgress progress;
  StopFlag stop;
  stop.request();
  try {
    execute(plan, *checkpoint, TaskPool(2), progress, stop, {});
    FAIL();
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), ErrorCode::kInterrupted);
  }
  EXPECT_EQ(entries(wanted[0].output.parent_path()), 0u);
}

// All rows of one tensor, a string a plane.
std::array<std::string, Encoding::kMaxPlanes> stored_bytes(const model::Checkpoint& checkpoint,
                                                           const model::StoredTensor& tensor) {
  std::array<std::string, Encoding::kMaxPlanes> bytes;
  Planes planes;
  for (std::size_t p = 0; p < tensor.encoding.planes(); ++p) {
    bytes[p].resize(tensor.shape.rows() * tensor.encoding.plane_row_bytes(p, tensor.shape.cols()));
    planes.plane[p] = std::as_writable_bytes(std::span(bytes[p]));
  }
  checkpoint.read_rows(tensor, 0, tensor.shape.rows(), planes);
  return bytes;
}

// The checkpoint interleaves gate and up, and both formats store them apart: every nibble and every
// scale is there again, wherever the format keeps it.
TEST_F(Execute, Mxfp4ExpertsStayBitForBitAtAnyNumberOfThreads) {
  const fs::path source = fs::path(source_dir()) / "models/tiny-gpt-oss";
  const auto wanted = recipes("one", "Q4_0", "4bit");
  const std::string one = quantize(source, wanted, 1);
  EXPECT_TRUE(one == quantize(source, recipes("three", "Q4_0", "4bit"), 3));

  const model::Checkpoint original = model::Checkpoint::open(source);
  const model::Checkpoint gguf = model::Checkpoint::open(wanted[0].output);
  const model::Checkpoint mlx = model::Checkpoint::open(wanted[1].output);
  std::size_t experts = 0;
  for (const model::StoredTensor& tensor : original.tensors()) {
    if (tensor.encoding != Encoding::mxfp4()) continue;
    ++experts;
    const auto from = stored_bytes(original, tensor);
    ASSERT_EQ(mlx.get(tensor.key).encoding, Encoding::mxfp4());
    EXPECT_TRUE(stored_bytes(mlx, mlx.get(tensor.key)) == from) << tensor.name;
    ASSERT_EQ(gguf.get(tensor.key).encoding, Encoding{DType::kMXFP4});
    const std::string blocks = stored_bytes(gguf, gguf.get(tensor.key))[0];
    ASSERT_EQ(blocks.size(), from[1].size() * 17);
    const auto nibble = [](char byte, std::size_t high) {
      return static_cast<unsigned char>(byte) >> 4 * high & 15;
    };
    for (std::size_t b = 0; b < from[1].size(); ++b) {
      ASSERT_EQ(blocks[b * 17], from[1][b]) << tensor.name;
      for (std::size_t i = 0; i < 32; ++i) {
        ASSERT_EQ(nibble(blocks[b * 17 + 1 + i % 16], i / 16),
                  nibble(from[0][b * 16 + i / 2], i % 2))
            << tensor.name << " block " << b << " column " << i;
      }
    }
  }
  EXPECT_EQ(experts, 12u);
}

}  // namespace
}  // namespace pajamas::quantize
