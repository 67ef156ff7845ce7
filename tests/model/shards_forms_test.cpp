// Every form in which experts are published, written down element by element, against what is read.
#include <gtest/gtest.h>

#include <functional>

#include "base/bytes.h"
#include "model/checkpoint.h"
#include "model/model_folder.h"

namespace pajamas::model {
namespace {

using nlohmann::json;
using test::Bytes;
using test::expect_error;
using test::Experts;
using test::ModelFolder;
using test::TinyShape;

// What plane `p` of a row of the whole stack must hold.
using RowOf = std::function<std::string(std::size_t p, std::uint64_t row)>;

// Reads ranges that begin and end anywhere, also across experts.
void expect_rows(const Checkpoint& checkpoint, const StoredTensor& tensor, const RowOf& expected) {
  const std::uint64_t rows = tensor.shape.rows(), cols = tensor.shape.cols();
  const std::uint64_t part = tensor.rows_per_part();
  for (const std::uint64_t count : {std::uint64_t{1}, std::uint64_t{3}, part - 1, part + 2, rows}) {
    for (std::uint64_t first = 0; first + count <= rows; first += count == 1 ? 5 : 17) {
      std::string bytes[Encoding::kMaxPlanes], wanted;
      Planes out;
      for (std::size_t p = 0; p < tensor.encoding.planes(); ++p) {
        bytes[p].resize(count * tensor.encoding.plane_row_bytes(p, cols));
        out.plane[p] = std::as_writable_bytes(std::span(bytes[p]));
      }
      checkpoint.prefetch_rows(tensor, first, count);
      checkpoint.read_rows(tensor, first, count, out);
      for (std::size_t p = 0; p < tensor.encoding.planes(); ++p) {
        wanted.clear();
        for (std::uint64_t r = 0; r < count; ++r) wanted += expected(p, first + r);
        ASSERT_TRUE(bytes[p] == wanted)
            << tensor.name << " plane " << p << " rows " << first << " + " << count;
      }
    }
  }
}

void expect_experts(const Checkpoint& checkpoint, const Experts& experts) {
  for (const auto& [role, name] : test::kExpertRoles) {
    const Bytes& b = experts.of(role);
    const StoredTensor& tensor = checkpoint.get({role, 0});
    EXPECT_EQ(tensor.encoding, Encoding{DType::kBF16});
    EXPECT_EQ(tensor.shape, Shape({b.experts, b.rows, b.row_bytes / 2}));
    EXPECT_EQ(tensor.bytes(), b.data.size());
    expect_rows(checkpoint, tensor,
                [&](std::size_t, std::uint64_t row) { return b.row(row / b.rows, row % b.rows); });
  }
}

const TinyShape kShape;
const std::string kStem = test::kExpertsName;

TEST(ExpertForms, OneTensorForEachExpert) {
  const Experts experts(kShape);
  ModelFolder folder(test::tiny_moe_config("qwen3_moe", kShape));
  store_each(experts, folder);
  expect_experts(folder.open(), experts);
}

TEST(ExpertForms, GateAndUpAsHalves) {
  const Experts experts(kShape);
  ModelFolder folder(test::tiny_moe_config("qwen3_moe", kShape));
  store_halves(experts, folder);
  expect_experts(folder.open(), experts);
}

class GptOssFolder : public testing::Test {
 protected:
  static constexpr TinyShape kShape{3, 96, 160};

  GptOssFolder() : biases(kShape), folder(test::tiny_moe_config("gpt_oss", kShape)) {
    store_biases(kShape, biases, folder);
  }
  void expect_biases(const Checkpoint& checkpoint) const {
    for (const auto& [role, bytes] : {std::pair{Role::kExpertGateBias, &biases.gate},
                                      {Role::kExpertUpBias, &biases.up},
                                      {Role::kExpertDownBias, &biases.down}}) {
      const StoredTensor& tensor = checkpoint.get({role, 0});
      EXPECT_EQ(tensor.parts.size(), 1u);
      expect_rows(checkpoint, tensor,
                  [&, b = bytes](std::size_t, std::uint64_t row) { return b->row(0, row); });
    }
  }

  test::ExpertBiases biases;
  ModelFolder folder;
};

TEST_F(GptOssFolder, TransposedWithGateAndUpInTurn) {
  const Experts experts(kShape);
  store_transposed(experts, folder);
  const Checkpoint checkpoint = folder.open();
  expect_experts(checkpoint, experts);
  expect_biases(checkpoint);
}

TEST_F(GptOssFolder, Mxfp4WithRowsInTurn) {
  const test::Mxfp4Experts experts(kShape);
  store_mxfp4(kShape, experts, folder);
  const Checkpoint checkpoint = folder.open();
  expect_biases(checkpoint);
  for (const auto& [role, name] : test::kExpertRoles) {
    const test::Mxfp4Bytes& b = experts.of(role);
    const StoredTensor& tensor = checkpoint.get({role, 0});
    EXPECT_EQ(tensor.encoding, Encoding::mxfp4());
    EXPECT_EQ(tensor.shape, Shape({b.codes.experts, b.codes.rows, 2 * b.codes.row_bytes}));
    EXPECT_EQ(tensor.bytes(), b.codes.data.size() + b.scales.data.size());
    expect_rows(checkpoint, tensor, [&](std::size_t p, std::uint64_t row) {
      return (p == 0 ? b.codes : b.scales).row(row / b.codes.rows, row % b.codes.rows);
    });
  }
}

TEST_F(GptOssFolder, NamesWhatIsMissingOrDoesNotFit) {
  const auto broken = [&](ErrorCode code, const std::string& named, const auto& change) {
    ModelFolder copy(folder.config);
    store_biases(kShape, biases, copy);
    store_mxfp4(kShape, test::Mxfp4Experts(kShape), copy);
    change(copy);
    expect_error(code, named, [&] { copy.open(); });
  };
  const auto corrupt = ErrorCode::kCorruptFile;
  broken(corrupt, kStem + "gate_up_proj_scales",
         [](ModelFolder& m) { m.tensors.erase(kStem + "gate_up_proj_scales"); });
  broken(corrupt, kStem + "down_proj_scales",
         [](ModelFolder& m) { m.tensors.erase(kStem + "down_proj_scales"); });
  broken(corrupt, kStem + "gate_up_proj",
         [](ModelFolder& m) { m.tensors.erase(kStem + "gate_up_proj_blocks"); });
  broken(corrupt, kStem + "gate_up_proj_bias",
         [](ModelFolder& m) { m.tensors.erase(kStem + "gate_up_proj_bias"); });
  // Scales of another number of groups, blocks of 8 bytes, scales that are no bytes.
  broken(corrupt, kStem + "down_proj", [](ModelFolder& m) {
    m.tensors[kStem + "down_proj_scales"].shape = {3, 96, 5};
  });
  broken(corrupt, kStem + "gate_up_proj", [](ModelFolder& m) {
    m.tensors[kStem + "gate_up_proj_blocks"].shape = {3, 192, 10, 8};
  });
  broken(corrupt, kStem + "down_proj",
         [](ModelFolder& m) { m.tensors[kStem + "down_proj_scales"].dtype = DType::kI8; });
  // Consistent in itself, for a model of another size.
  broken(corrupt, kStem + "gate_up_proj", [](ModelFolder& m) {
    m.config["num_local_experts"] = 3, m.config["num_experts"] = 7,
    m.config["intermediate_size"] = 64;
  });
  broken(corrupt, kStem + "gate_up_proj_bias", [](ModelFolder& m) {
    m.tensors[kStem + "gate_up_proj_bias"].shape = {192, 3};
  });
  // Two forms at once: one of them would be ignored.
  broken(ErrorCode::kUnsupported, kStem + "down_proj", [](ModelFolder& m) {
    m.add(kStem + "down_proj", DType::kBF16, {3, 96, 160}, Bytes(3, 96, 320).data);
  });
}

TEST_F(GptOssFolder, TransposedOnlyAsPlainNumbersOfTheRightShape) {
  const auto broken = [&](ErrorCode code, const std::string& named, const auto& change) {
    ModelFolder copy(folder.config);
    store_biases(kShape, biases, copy);
    store_transposed(Experts(kShape), copy);
    change(copy);
    expect_error(code, named, [&] { copy.open(); });
  };
  broken(ErrorCode::kCorruptFile, kStem + "down_proj", [](ModelFolder& m) {
    m.tensors[kStem + "down_proj"].shape = {3, 160, 96};  // not transposed
  });
  broken(ErrorCode::kCorruptFile, kStem + "gate_up_proj", [](ModelFolder& m) {
    m.tensors[kStem + "gate_up_proj"].shape = {3, 192, 160};
  });
  broken(ErrorCode::kUnsupported, kStem + "down_proj",
         [](ModelFolder& m) { m.tensors[kStem + "down_proj"].dtype = DType::kI16; });
  broken(ErrorCode::kUnsupported, kStem + "down_proj", [](ModelFolder& m) {
    m.add(kStem + "down_proj", DType::kF8E4M3, {3, 128, 160}, Bytes(3, 128, 160).data);
    m.add(kStem + "down_proj_scale_inv", DType::kF32, {3, 1, 2}, Bytes(3, 1, 8).data);
    m.add(kStem + "gate_up_proj", DType::kBF16, {3, 160, 256}, Bytes(3, 160, 512).data);
    m.add(kStem + "gate_up_proj_bias", DType::kBF16, {3, 256}, Bytes(1, 3, 512).data);
    m.config["intermediate_size"] = 128;
  });
}

TEST(ExpertForms, NamesWhatIsMissingOrDoesNotFit) {
  const auto broken = [&](bool halves, ErrorCode code, const std::string& named,
                          const auto& change) {
    ModelFolder folder(test::tiny_moe_config("qwen3_moe", kShape));
    const Experts experts(kShape);
    halves ? store_halves(experts, folder) : store_each(experts, folder);
    change(folder);
    expect_error(code, named, [&] { folder.open(); });
  };
  const auto corrupt = ErrorCode::kCorruptFile, unsupported = ErrorCode::kUnsupported;
  broken(false, corrupt, kStem + "1.up_proj.weight",
         [](ModelFolder& m) { m.tensors.erase(kStem + "1.up_proj.weight"); });
  broken(false, corrupt, kStem + "2.down_proj.weight",
         [](ModelFolder& m) { m.tensors.erase(kStem + "2.down_proj.weight"); });
  broken(false, corrupt, "gate_proj.weight",
         [](ModelFolder& m) { m.tensors.erase(kStem + "0.gate_proj.weight"); });
  broken(false, unsupported, kStem + "3.up_proj.weight", [](ModelFolder& m) {
    m.add(kStem + "3.up_proj.weight", DType::kBF16, {144, 160}, Bytes(1, 144, 320).data);
  });
  broken(false, corrupt, kStem + "2.gate_proj.weight", [](ModelFolder& m) {
    m.tensors[kStem + "2.gate_proj.weight"].shape = {160, 144};
  });
  // As long in bytes, so that only the type tells them apart.
  broken(false, unsupported, kStem + "1.down_proj.weight",
         [](ModelFolder& m) { m.tensors[kStem + "1.down_proj.weight"].dtype = DType::kF16; });
  broken(false, unsupported, kStem + "gate_up_proj", [](ModelFolder& m) {
    m.add(kStem + "gate_up_proj", DType::kBF16, {3, 288, 160}, Bytes(3, 288, 320).data);
  });
  broken(true, corrupt, kStem + "gate_up_proj", [](ModelFolder& m) {
    m.tensors[kStem + "gate_up_proj"].shape = {3, 160, 288};
  });
  broken(true, corrupt, kStem + "gate_up_proj", [](ModelFolder& m) {
    m.tensors[kStem + "gate_up_proj"].shape = {864, 160};
  });
  broken(true, corrupt, kStem + "down_proj",
         [](ModelFolder& m) { m.tensors.erase(kStem + "down_proj"); });
  broken(true, corrupt, kStem + "down_proj", [](ModelFolder& m) {
    m.tensors[kStem + "down_proj"].shape = {3, 144, 160};
  });
  broken(true, unsupported, kStem + "gate_up_proj",
         [](ModelFolder& m) { m.tensors[kStem + "gate_up_proj"].dtype = DType::kU16; });
  // FP8 says where its scales are missing.
  broken(false, corrupt, kStem + "0.gate_proj.weight_scale_inv", [](ModelFolder& m) {
    m.add(kStem + "0.gate_proj.weight", DType::kF8E4M3, {144, 160}, Bytes(1, 144, 160).data);
  });
}

std::uint64_t tiles(std::uint64_t n) { return (n + 127) / 128; }

// FP8 of a matrix and the scales of its tiles, as the model needs them.
struct Fp8Stack {
  Fp8Stack(std::uint64_t experts, std::uint64_t rows, std::uint64_t cols, DType type)
      : scale_type(type),
        codes(experts, rows, cols),
        scales(experts, tiles(rows), tiles(cols) * info(type).block_bytes) {}

  // Each row has its own copy of the scales of its tiles.
  std::string row(std::size_t plane, std::uint64_t row) const {
    const std::uint64_t e = row / codes.rows, r = row % codes.rows;
    return plane == 0 ? codes.row(e, r) : scales.row(e, r / 128);
  }
  void store(ModelFolder& folder, const std::string& name) const {
    folder.add(name, DType::kF8E4M3, {codes.experts, codes.rows, codes.row_bytes}, codes.data);
    folder.add(name + "_scale_inv", scale_type,
               {scales.experts, scales.rows, tiles(codes.row_bytes)}, scales.data);
  }
  void store_one(ModelFolder& folder, const std::string& name, std::uint64_t e) const {
    folder.add(name, DType::kF8E4M3, {codes.rows, codes.row_bytes},
               codes.data.substr(e * codes.rows * codes.row_bytes, codes.rows * codes.row_bytes));
    folder.add(
        name + "_scale_inv", scale_type, {scales.rows, tiles(codes.row_bytes)},
        scales.data.substr(e * scales.rows * scales.row_bytes, scales.rows * scales.row_bytes));
  }

  DType scale_type;
  Bytes codes, scales;
};

void expect_fp8(const Checkpoint& checkpoint, TensorKey key, const Fp8Stack& stack) {
  const StoredTensor& tensor = checkpoint.get(key);
  EXPECT_EQ(tensor.encoding, Encoding::fp8(stack.scale_type));
  expect_rows(checkpoint, tensor,
              [&](std::size_t p, std::uint64_t row) { return stack.row(p, row); });
}

json fp8_config(const TinyShape& shape) {
  json config = test::tiny_moe_config("qwen3_moe", shape);
  config["quantization_config"] = {
      {"quant_method", "fp8"}, {"fmt", "e4m3"}, {"weight_block_size", {128, 128}}};
  return config;
}

// Neither rows nor columns are multiples of 128: each expert's last tiles are cut.
TEST(Fp8Forms, OneTensorForEachExpertWithCutTiles) {
  for (const DType scale_type : {DType::kBF16, DType::kF32}) {
    ModelFolder folder(fp8_config(kShape));
    const Fp8Stack gate(3, 144, 160, scale_type), up(3, 144, 160, scale_type),
        down(3, 160, 144, scale_type), q(1, 16, 160, scale_type);
    for (std::uint64_t e = 0; e < 3; ++e) {
      const std::string stem = kStem + std::to_string(e);
      gate.store_one(folder, stem + ".gate_proj.weight", e);
      up.store_one(folder, stem + ".up_proj.weight", e);
      down.store_one(folder, stem + ".down_proj.weight", e);
    }
    q.store_one(folder, "model.layers.0.self_attn.q_proj.weight", 0);
    const Checkpoint checkpoint = folder.open();
    expect_fp8(checkpoint, {Role::kExpertGate, 0}, gate);
    expect_fp8(checkpoint, {Role::kExpertUp, 0}, up);
    expect_fp8(checkpoint, {Role::kExpertDown, 0}, down);
    expect_fp8(checkpoint, {Role::kAttnQ, 0}, q);
  }
}

TEST(Fp8Forms, HalvesOfAStack) {
  constexpr TinyShape kWide{3, 256, 256};
  ModelFolder folder(fp8_config(kWide));
  const Fp8Stack both(3, 512, 256, DType::kBF16), down(3, 256, 256, DType::kBF16);
  both.store(folder, kStem + "gate_up_proj");
  down.store(folder, kStem + "down_proj");
  const Checkpoint checkpoint = folder.open();
  for (const auto& [role, half] : {std::pair{Role::kExpertGate, 0u}, {Role::kExpertUp, 1u}}) {
    const std::uint64_t skip = half * 256;
    expect_rows(checkpoint, checkpoint.get({role, 0}), [&](std::size_t p, std::uint64_t row) {
      return both.row(p, row / 256 * 512 + skip + row % 256);
    });
  }
  expect_fp8(checkpoint, {Role::kExpertDown, 0}, down);
}

TEST(Fp8Forms, RefusesTilesThatDoNotFit) {
  const auto broken = [](ErrorCode code, const TinyShape& shape, const auto& change) {
    ModelFolder folder(fp8_config(shape));
    const Fp8Stack both(3, 2 * shape.rows, shape.cols, DType::kF32),
        down(3, shape.cols, shape.rows, DType::kF32);
    both.store(folder, kStem + "gate_up_proj");
    down.store(folder, kStem + "down_proj");
    change(folder);
    expect_error(code, kStem + "gate_up_proj", [&] { folder.open(); });
  };
  const auto nothing = [](ModelFolder&) {};
  // A tile holds rows of two experts, or of gate and up.
  broken(ErrorCode::kCorruptFile, {3, 96, 256}, nothing);
  broken(ErrorCode::kUnsupported, {3, 64, 256}, nothing);
  constexpr TinyShape kGood{3, 128, 256};
  broken(ErrorCode::kCorruptFile, kGood, [](ModelFolder& m) {
    m.tensors[kStem + "gate_up_proj_scale_inv"].shape = {3, 1, 4};
  });
  broken(ErrorCode::kCorruptFile, kGood, [](ModelFolder& m) {
    m.add(kStem + "gate_up_proj_scale_inv", DType::kF32, {3, 3, 2}, Bytes(3, 3, 8).data);
  });
  broken(ErrorCode::kCorruptFile, kGood, [](ModelFolder& m) {
    m.tensors[kStem + "gate_up_proj_scale_inv"].shape = {3, 4};
  });
  broken(ErrorCode::kCorruptFile, kGood,
         [](ModelFolder& m) { m.tensors[kStem + "gate_up_proj_scale_inv"].dtype = DType::kI32; });
  broken(ErrorCode::kCorruptFile, kGood,
         [](ModelFolder& m) { m.tensors.erase(kStem + "gate_up_proj_scale_inv"); });
}

}  // namespace
}  // namespace pajamas::model
