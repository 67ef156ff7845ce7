// The calls of MLX whose signature moves between its releases, all in one place, and how its types
// are named here.
#pragma once

#include <mlx/array.h>

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>

#include "runtime/mlx/plugin/kv_rows.h"
#include "tensor/encoding.h"

namespace pajamas::runtime {

// A matrix as it is stored, or a stack of them of [experts].
struct MlxMatrix {
  Encoding encoding;
  mlx::core::array weight;  // [experts][rows][words of the packed codes], or [...][cols]
  std::optional<mlx::core::array> scales;
  std::optional<mlx::core::array> biases;
};

mlx::core::Dtype mlx_type(DType type);

// x [n][cols] times the transposed matrix: [n][rows], in x's type.
mlx::core::array times(const mlx::core::array& x, const MlxMatrix& matrix);
// Row i of x with the matrix of expert experts[i]; these ascend.
mlx::core::array times_expert(const mlx::core::array& x, const MlxMatrix& stack,
                              const mlx::core::array& experts);
// Chosen rows of a matrix as numbers of `type`.
mlx::core::array rows_of(const MlxMatrix& matrix, const mlx::core::array& rows,
                         mlx::core::Dtype type);

// Scaled dot products: queries [1][heads][n][dim], keys and values [1][kv_heads][m][dim]. Every
// query sees all of them where `mask` is empty and n is 1, those up to its own place (the last n
// are the queries') where it is empty and n is more, else what the mask [n][m] says.
mlx::core::array attention_of(const mlx::core::array& queries, const mlx::core::array& keys,
                              const mlx::core::array& values, float scale,
                              const std::optional<mlx::core::array>& mask,
                              const std::optional<mlx::core::array>& sinks);

// Rows of keys or values [heads][n][dim] in form.type as codes, these as numbers, and x
// [heads][m][k] with each head's codes or with their transpose.
KvPlanes codes_of(const mlx::core::array& rows, const KvForm& form);
mlx::core::array decoded(const KvPlanes& codes, const KvForm& form, mlx::core::Dtype type);
mlx::core::array times_codes(const mlx::core::array& x, const KvPlanes& codes, const KvForm& form,
                             bool transposed);

// The bytes as an array, in place where MLX can; `keeper` lives as long as it does.
mlx::core::array adopt(const void* bytes, mlx::core::Shape shape, mlx::core::Dtype type,
                       std::shared_ptr<const void> keeper);

// Lets the GPU hold on to as much memory as the system recommends, where there is such a limit, so
// that weights are not moved out between two tokens.
void raise_wired_limit() noexcept;
// The most memory that MLX has had at a time.
std::uint64_t peak_bytes() noexcept;

std::string mlx_description();
// Whether what runs is the processor, where MLX has no arithmetic in 16 bits that is worth having.
bool runs_on_processor();

}  // namespace pajamas::runtime
