// The steps of encoding by themselves, for encoders that change weights or scales between them:
// fit and round over whole rows, and rounding column by column with error feedback. Included by
// codec/rows.inl.
#pragma once

#include "codec/encode.inl"

inline void fit_rows_isa(const Encoding& encoding, std::span<const float> weights,
                         std::span<const float> importance, std::uint64_t cols,
                         std::span<FittedBlock> blocks) {
  const float* columns = importance.empty() ? nullptr : importance.data();
  fit_all(*find_format(encoding), weights.data(), columns, cols, blocks.size(),
          [&](std::size_t index, const FittedBlock& fitted) {
            __builtin_memcpy(blocks[index].scales, fitted.scales, sizeof(fitted.scales));
            __builtin_memcpy(blocks[index].mins, fitted.mins, sizeof(fitted.mins));
            blocks[index].d = fitted.d;
            blocks[index].m = fitted.m;
          });
}

inline void round_rows_isa(const Encoding& encoding, std::span<const float> weights,
                           std::span<const float> importance, std::uint64_t cols,
                           std::span<FittedBlock> blocks) {
  const Grid& grid = find_format(encoding)->grid;
  const float* columns = importance.empty() ? nullptr : importance.data();
  for (std::size_t b = 0; b < blocks.size(); ++b) {
    const std::size_t first = b * static_cast<std::size_t>(grid.block);
    round_block(grid, weights.data() + first, columns_of(columns, first, cols), blocks[b]);
  }
}

// E2M1.
struct SmallFloatCodes {};
inline Lanes nearest_codes(const Lanes& ratio, const SmallFloatCodes&) {
  const Lanes code = nearest_e2m1(abs(ratio));
  return select(ratio < splat(0), splat(0) - code, code);
}

// One block of sixteen rows, a row a lane.
struct FeedbackTile {
  alignas(64) float x[FittedBlock::kMaxColumns * kLanes];      // [column][lane]
  alignas(64) float code[FittedBlock::kMaxColumns * kLanes];   //
  alignas(64) float error[FittedBlock::kMaxColumns * kLanes];  //
  alignas(64) float step[FittedBlock::kMaxGroups * kLanes];    // [group][lane]
  alignas(64) float offset[FittedBlock::kMaxGroups * kLanes];  //
};

// What column j loses, by the coefficients of the columns behind it.
inline void pass_on(const Grid& grid, const float* coefficients, int j, const Lanes& error,
                    FeedbackTile& t) {
  store(t.error + j * kLanes, error);
  const float* row = coefficients + j * grid.block;
  for (int k = j + 1; k < grid.block; ++k) {
    store(t.x + k * kLanes, load(t.x + k * kLanes) - error * splat(row[k]));
  }
}

#include "codec/feedback_vectors.inl"

// Every column's error is known before the next one is rounded.
template <class Codes>
inline void round_tile(const Grid& grid, const Codes& codes, const float* coefficients,
                       FeedbackTile& t) {
  for (int j = 0; j < grid.block; ++j) {
    const int group = j / grid.group * kLanes;
    const Lanes step = load(t.step + group), offset = load(t.offset + group);
    const Lanes x = load(t.x + j * kLanes);
    const IntLanes usable = splat(0) < abs(step);
    const Lanes ratio = select(usable, (x - offset) / select(usable, step, splat(1)), splat(0));
    const Lanes code = nearest_codes(ratio, codes);
    Lanes value = step * code;
    if (grid.has_offset()) value = value + offset;
    store(t.code + j * kLanes, code);
    pass_on(grid, coefficients, j, x - value, t);
  }
}

inline void round_feedback_isa(const Encoding& encoding, const FeedbackRows& rows) {
  const Grid& grid = find_format(encoding)->grid;
  const auto size = static_cast<std::size_t>(grid.block);
  FeedbackTile t;
  for (std::size_t first = 0; first < rows.rows; first += kLanes) {
    const std::size_t left = rows.rows - first;
    const std::size_t count = left < kLanes ? left : kLanes;
    for (std::size_t lane = 0; lane < kLanes; ++lane) {  // the last row again where there is none
      const std::size_t row = first + (lane < count ? lane : count - 1);
      for (std::size_t k = 0; k < size; ++k)
        t.x[k * kLanes + lane] = rows.weights[row * rows.stride + k];
      const FittedBlock& block = rows.blocks[row];
      for (int g = 0; g < grid.groups(); ++g) {
        t.step[static_cast<std::size_t>(g) * kLanes + lane] = block.step(g);
        t.offset[static_cast<std::size_t>(g) * kLanes + lane] = block.offset(g);
      }
    }
    if (grid.book.is_vectors()) {
      round_tile_of_vectors(grid, rows.coefficients, t);
    } else if (grid.book.small_float) {
      round_tile(grid, SmallFloatCodes{}, rows.coefficients, t);
    } else if (!grid.book.empty()) {
      round_tile(grid, LevelCodes(grid.book), rows.coefficients, t);
    } else {
      round_tile(grid,
                 code_range(static_cast<float>(grid.min_code), static_cast<float>(grid.max_code)),
                 rows.coefficients, t);
    }
    for (std::size_t lane = 0; lane < count; ++lane) {
      const std::size_t row = first + lane;
      for (std::size_t k = 0; k < size; ++k) {
        rows.weights[row * rows.stride + k] = t.x[k * kLanes + lane];
        rows.errors[row * size + k] = t.error[k * kLanes + lane];
        rows.blocks[row].codes[k] = to_short(t.code[k * kLanes + lane]);
      }
    }
  }
}
