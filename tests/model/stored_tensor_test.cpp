#include "model/stored_tensor.h"

#include <gtest/gtest.h>

#include <fstream>
#include <string>
#include <vector>

#include "base/bytes.h"
#include "io/temp.h"

namespace pajamas::model {
namespace {

// A file of `Element`s that are all different, and a matrix of them that begins at the fifth.
template <class Element>
struct Scattered {
  test::TempFolder folder;
  std::vector<File> files;
  StoredTensor tensor;

  // Steps are counted in elements.
  Scattered(DType dtype, std::uint64_t rows, std::uint64_t cols, std::uint64_t row_step,
            std::uint64_t col_step, std::uint64_t parts = 1) {
    const std::uint64_t per_part = (rows - 1) * row_step + (cols - 1) * col_step + 1;
    std::vector<Element> all(5 + parts * per_part);
    for (std::size_t i = 0; i < all.size(); ++i) all[i] = static_cast<Element>(i * 40503);
    const auto bytes = std::as_bytes(std::span(all));
    files.push_back(
        File::open(folder.write("f", {reinterpret_cast<const char*>(bytes.data()), bytes.size()})));
    constexpr std::uint64_t kSize = sizeof(Element);
    tensor.encoding = {.dtype = dtype};
    tensor.shape = {parts * rows, cols};
    for (std::uint64_t p = 0; p < parts; ++p) {
      Part part;
      part[0] = {0, (5 + p * per_part) * kSize, per_part * kSize, row_step * kSize,
                 col_step * kSize};
      tensor.parts.push_back(part);
    }
  }

  void expect_rows(std::uint64_t first, std::uint64_t count) const {
    const std::uint64_t cols = tensor.shape.cols();
    std::vector<Element> out(count * cols);
    Planes planes;
    planes.plane[0] = std::as_writable_bytes(std::span(out));
    read_stored_rows(files, tensor, first, count, planes);
    std::uint64_t wrong = 0;
    for (std::uint64_t r = 0; r < count; ++r) {
      const auto& at = tensor.parts[(first + r) / tensor.rows_per_part()][0];
      const std::uint64_t row = (first + r) % tensor.rows_per_part();
      for (std::uint64_t c = 0; c < cols; ++c) {
        const std::uint64_t place = at.offset + row * at.row_step + c * at.col_step;
        wrong += out[r * cols + c] != static_cast<Element>(place / sizeof(Element) * 40503);
      }
    }
    EXPECT_EQ(wrong, 0u) << first << " " << count;
  }
};

// Calls of `read` and `pread` of this process so far; nothing where the system does not count them.
std::optional<std::uint64_t> reads_so_far() {
  std::ifstream io("/proc/self/io");
  std::string key;
  for (std::uint64_t value = 0; io >> key >> value;) {
    if (key == "syscr:") return value;
  }
  return std::nullopt;
}

TEST(StoredTensor, ReadsRowsOfTransposedMatrices) {
  // 700 columns of 1,500 rows: two bands and a bit of 1 MiB. Side by side, and every other one.
  for (const std::uint64_t step : {1, 2}) {
    const Scattered<std::uint16_t> s(DType::kBF16, 1500, 700, step, 1500 * step, 2);
    EXPECT_TRUE(s.tensor.is_transposed());
    s.expect_rows(0, 1500);
    s.expect_rows(0, 1);
    s.expect_rows(33, 65);
    s.expect_rows(1499, 1);
    s.expect_rows(1400, 200);  // of two parts
  }
  const Scattered<std::uint32_t> wide(DType::kF32, 37, 5000, 1, 4099);  // far apart: one by one
  wide.expect_rows(0, 37);
  wide.expect_rows(5, 31);
}

TEST(StoredTensor, ReadsRowsWhoseColumnsAreApart) {
  const Scattered<std::uint16_t> s(DType::kF16, 900, 700, 1400, 2);
  EXPECT_FALSE(s.tensor.is_transposed());
  s.expect_rows(0, 900);
  s.expect_rows(899, 1);
  s.expect_rows(100, 37);
}

// A call for every column would be 2,000.
TEST(StoredTensor, ReadsATransposedPartInBands) {
  const auto before = reads_so_far();
  if (!before) GTEST_SKIP() << "the system does not count reads";
  const Scattered<std::uint16_t> s(DType::kBF16, 1000, 2000, 1, 1000);
  const std::uint64_t opened = *reads_so_far();
  s.expect_rows(0, 1000);
  s.expect_rows(500, 500);  // half of each column
  EXPECT_LE(*reads_so_far() - opened, 20u);
}

}  // namespace
}  // namespace pajamas::model
