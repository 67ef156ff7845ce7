// The extents of a tensor, in PyTorch order: the last one is the row, contiguous in every format.
#pragma once

#include <array>
#include <cstdint>
#include <initializer_list>
#include <span>
#include <string>

namespace pajamas {

// One to four extents. GGUF lists them the other way round; only `io/` knows that.
class Shape {
 public:
  static constexpr std::size_t kMaxRank = 4;

  Shape() = default;
  Shape(std::initializer_list<std::uint64_t> dims);
  // Throws Error{kCorruptFile} for more than kMaxRank extents, or if their product overflows.
  explicit Shape(std::span<const std::uint64_t> dims);

  std::size_t rank() const noexcept { return rank_; }
  std::uint64_t operator[](std::size_t i) const noexcept { return dims_[i]; }
  std::span<const std::uint64_t> dims() const noexcept { return {dims_.data(), rank_}; }

  // Elements of one row, rows of the whole tensor (all leading extents together), and both.
  // A scalar (rank 0) is one row of one element.
  std::uint64_t cols() const noexcept { return rank_ == 0 ? 1 : dims_[rank_ - 1]; }
  std::uint64_t rows() const noexcept;
  std::uint64_t elements() const noexcept { return rows() * cols(); }

  std::string to_string() const;  // "[3584, 512]"

  friend bool operator==(const Shape&, const Shape&) = default;

 private:
  std::array<std::uint64_t, kMaxRank> dims_{};
  std::size_t rank_ = 0;
};

}  // namespace pajamas
