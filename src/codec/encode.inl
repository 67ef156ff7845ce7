// Fit, round and pack over runs of blocks. Included by codec/rows.inl.
#pragma once

#include "codec/fit_vectors.inl"

// A run of blocks of a tensor: rows of `cols` columns lie behind one another.
struct Run {
  const float* weights;     // of the first block
  const float* importance;  // of a row, or null
  std::uint64_t cols;
  std::uint64_t first;  // column of the first block, counted from the start of some row
};

template <bool kWeighted>
inline void set_weights(Tile& t, const Grid& grid) {
  if constexpr (!kWeighted) {
    t.sum_w = splat(static_cast<float>(t.n));
    return;
  }
  t.sum_w = splat(0);
  for (int k = 0; k < t.n; ++k) t.sum_w = t.sum_w + load(t.w + k * kLanes);
  // Only ratios within a block matter: an average of 1 keeps every sum in range. A block whose
  // columns never matter is fitted as if all mattered alike.
  const Lanes mean =
      block_sum(t.sum_w, grid.groups()) * splat(1.0f / static_cast<float>(grid.block));
  const Lanes inv = inverse(mean);
  // A little for every column keeps the systems solvable where importances are zero.
  const Lanes floor_w = select(splat(0) < inv, splat(1e-6f), splat(1));
  t.sum_w = splat(0);
  for (int k = 0; k < t.n; ++k) {
    const Lanes w = load(t.w + k * kLanes) * inv + floor_w;
    store(t.w + k * kLanes, w);
    t.sum_w = t.sum_w + w;
  }
}

// Divides a power of two out of every block, so that nothing below overflows or vanishes.
inline void normalise(Tile& t, const Grid& grid) {
  Lanes most = splat(0);
  const Lanes limit = splat(0x1.8p126f);  // twice this is the widest range that stays finite
  for (int k = 0; k < t.n; ++k) {
    const Lanes x = min(max(load(t.x + k * kLanes), splat(0) - limit), limit);
    store(t.x + k * kLanes, x);
    most = max(most, abs(x));
  }
  IntLanes bits = as_bits(max(block_max(most, grid.groups()), splat(0x1p-126f)));
  PJ_EACH_PIECE bits.p[i] &= 0x7F800000;
  t.unit = from_bits(bits);
  PJ_EACH_PIECE bits.p[i] = 0x7F000000 - bits.p[i];
  t.inv_unit = from_bits(bits);
  for (int k = 0; k < t.n; ++k) store(t.x + k * kLanes, load(t.x + k * kLanes) * t.inv_unit);
}

template <bool kWeighted>
inline void centre(Tile& t) {
  Lanes sum = splat(0);
  for (int k = 0; k < t.n; ++k) sum = sum + weighted<kWeighted>(t, k, load(t.x + k * kLanes));
  t.mean = sum * inverse(t.sum_w);
  t.sum_x = t.sum_xx = splat(0);
  for (int k = 0; k < t.n; ++k) {
    const Lanes x = load(t.x + k * kLanes) - t.mean, wx = weighted<kWeighted>(t, k, x);
    store(t.x + k * kLanes, x);
    t.sum_x = t.sum_x + wx;
    t.sum_xx = t.sum_xx + wx * x;
  }
}

// Without an offset. `codes`: a CodeRange or LevelCodes.
template <bool kWeighted, class Codes>
inline StoredFit fit_codes(const Tile& t, const Grid& grid, const Effort& effort,
                           const Codes& codes) {
  // Several levels fit weights that are all alike; the groups of a block have to agree on one.
  Lanes noise = splat(0);
  for (int k = 0; !grid.book.empty() && grid.groups() > 1 && k < t.n; ++k) {
    const Lanes x = load(t.x + k * kLanes);
    noise = noise + weighted<kWeighted>(t, k, x * x) * splat(1e-6f);
  }
  const SymmetricFit ideal = fit_symmetric<kWeighted>(t, codes, effort.symmetric, noise);
  if (grid.groups() == 1) return store_symmetric<kWeighted>(t, grid, codes, ideal);
  return store_scales<kWeighted>(t, grid, codes, ideal, effort.block);
}

// The weights must have been set.
template <bool kWeighted>
inline StoredFit fit_tile(Tile& t, const Format& format) {
  const Grid& grid = format.grid;
  const Effort& effort = format.effort;
  normalise(t, grid);
  t.mean = splat(0);
  if (grid.scale_type == DType::kF8E8M0) return store_power_of_two<kWeighted>(t);
  if (grid.scale_type == DType::kF8E4M3) return store_e4m3<kWeighted>(t, grid);
  if (grid.has_offset()) {
    centre<kWeighted>(t);
    if (grid.groups() == 1) {
      if (grid.max_code == 255) return store_pairs<kWeighted>(t, grid, effort.pairs);
      return store_affine<kWeighted>(t, grid, effort.phases, effort.affine);
    }
    const AffineFit ideal =
        fit_affine<kWeighted>(t, static_cast<float>(grid.max_code), effort.affine);
    return store_scales_and_mins<kWeighted>(t, grid, ideal, effort.block, effort.pairs);
  }
  if (!grid.book.empty()) return fit_codes<kWeighted>(t, grid, effort, LevelCodes(grid.book));
  return fit_codes<kWeighted>(
      t, grid, effort,
      code_range(static_cast<float>(grid.min_code), static_cast<float>(grid.max_code)));
}

inline void read_fit(const Tile& t, const StoredFit& fit, const Grid& grid, FittedBlock* blocks,
                     int count) {
  alignas(64) float d[kLanes], m[kLanes], scale[kLanes], mins[kLanes];
  const Lanes in_units = fit.d * t.unit * splat(1 / grid.unit);
  store(d, to_stored(grid.scale_type, in_units) * splat(grid.unit));
  store(m, to_stored(grid.scale_type, fit.m * t.unit));
  store(scale, fit.scale);
  store(mins, fit.min);
  const int groups = grid.groups();
  for (int b = 0; b < count; ++b) {
    blocks[b].d = d[b * groups];
    blocks[b].m = m[b * groups];
    for (int g = 0; g < groups; ++g) {
      blocks[b].scales[g] = static_cast<std::int8_t>(scale[b * groups + g]);
      blocks[b].mins[g] = static_cast<std::uint8_t>(mins[b * groups + g]);
    }
  }
}

// Fits 1 to kLanes / groups blocks.
inline void fit_run(const Format& format, const Run& run, FittedBlock* blocks, int count) {
  const Grid& grid = format.grid;
  Tile t;
  t.n = grid.group;
  const auto stride = static_cast<std::size_t>(t.n);
  const int full = kLanes / grid.groups();
  if (count == full) {
    transpose_in(run.weights, stride, t.n, t.x);
  } else {  // the last blocks: zeros in the lanes that are left
    alignas(64) float padded[Tile::kMaxColumns * kLanes] = {};
    __builtin_memcpy(padded, run.weights,
                     static_cast<std::size_t>(count) * static_cast<std::size_t>(grid.block) * 4);
    transpose_in(padded, stride, t.n, t.x);
  }
  if (run.importance == nullptr) {
    set_weights<false>(t, grid);
    read_fit(t, fit_tile<false>(t, format), grid, blocks, count);
    return;
  }
  alignas(64) float importance[Tile::kMaxColumns * kLanes] = {};
  const auto block = static_cast<std::uint64_t>(grid.block);
  for (int b = 0; b < count; ++b) {
    const std::uint64_t column = (run.first + static_cast<std::uint64_t>(b) * block) % run.cols;
    __builtin_memcpy(importance + static_cast<std::uint64_t>(b) * block, run.importance + column,
                     block * 4);
  }
  transpose_in(importance, stride, t.n, t.w);
  set_weights<true>(t, grid);
  read_fit(t, fit_tile<true>(t, format), grid, blocks, count);
}

inline float nearest_code(float ratio, float low, float high) {
  ratio = ratio < low ? low : ratio;
  ratio = high < ratio ? high : ratio;
  return (ratio + 12582912.0f) - 12582912.0f;
}

inline float nearest_e2m1(float ratio) {
  const float magnitude = ratio < 0 ? -ratio : ratio;
  const float coarse = magnitude < 4 ? 12582912.0f : magnitude < 8 ? 25165824.0f : 50331648.0f;
  const float code = (magnitude + coarse) - coarse;
  const float most = code < 12 ? code : 12;
  return ratio < 0 ? -most : most;
}

inline float nearest_level(const CodeBook& book, float ratio) {
  auto nearest = static_cast<float>(book.levels[0]);
  for (std::size_t i = 1; i < book.levels.size(); ++i) {
    const auto below = static_cast<float>(book.levels[i - 1]);
    const auto level = static_cast<float>(book.levels[i]);
    nearest = 0.5f * (below + level) < ratio ? level : nearest;
  }
  return nearest;
}

inline float nearest_code_of(const Grid& grid, float ratio) {
  if (grid.book.small_float) return nearest_e2m1(ratio);
  if (!grid.book.empty()) return nearest_level(grid.book, ratio);
  return nearest_code(ratio, static_cast<float>(grid.min_code), static_cast<float>(grid.max_code));
}

// `importance`: of these columns, or null; it counts only where a code sets several of them.
inline void round_block(const Grid& grid, const float* weights, const float* importance,
                        FittedBlock& block) {
  if (grid.book.is_vectors()) return round_vectors(grid, weights, importance, block);
  const auto low = static_cast<float>(grid.min_code), high = static_cast<float>(grid.max_code);
  for (int g = 0; g < grid.groups(); ++g) {
    const float* w = weights + g * grid.group;
    std::int16_t* codes = block.codes + g * grid.group;
    const float step = block.step(g);
    const float offset = block.offset(g);
    if (step == 0) {
      for (int i = 0; i < grid.group; ++i) codes[i] = to_short(nearest_code_of(grid, 0));
    } else if (grid.book.small_float) {
      for (int i = 0; i < grid.group; ++i) codes[i] = to_short(nearest_e2m1(w[i] / step));
    } else if (!grid.book.empty()) {
      for (int i = 0; i < grid.group; ++i)
        codes[i] = to_short(nearest_level(grid.book, w[i] / step));
    } else {
      for (int i = 0; i < grid.group; ++i) {
        codes[i] = to_short(nearest_code((w[i] - offset) / step, low, high));
      }
    }
  }
}

// 16 rows at a time, whose blocks below one another share their importance; returns how many blocks
// were fitted. A lane computes the same whatever its neighbours are.
template <class Done>
inline std::size_t fit_columns(const Format& format, const float* weights, const float* importance,
                               std::uint64_t cols, std::size_t count, const Done& done) noexcept {
  const Grid& grid = format.grid;
  const auto block = static_cast<std::size_t>(grid.block);
  const auto lanes = static_cast<std::size_t>(kLanes);
  const std::size_t per_row = cols / block;
  const std::size_t rows = count / per_row / lanes * lanes;
  FittedBlock fitted[kLanes];
  Tile t;
  t.n = grid.group;
  for (std::size_t column = 0; rows > 0 && column < per_row; ++column) {
    for (int k = 0; k < t.n; ++k) {
      store(t.w + k * kLanes, splat(importance[column * block + static_cast<std::size_t>(k)]));
    }
    set_weights<true>(t, grid);
    for (std::size_t row = 0; row < rows; row += lanes) {
      transpose_in(weights + row * cols + column * block, cols, t.n, t.x);
      read_fit(t, fit_tile<true>(t, format), grid, fitted, kLanes);
      for (std::size_t lane = 0; lane < lanes; ++lane) {
        done((row + lane) * per_row + column, fitted[lane]);
      }
    }
  }
  return rows * per_row;
}

// The importance of the columns from the one at `index` on, counted from the start of some row.
inline const float* columns_of(const float* importance, std::uint64_t index, std::uint64_t cols) {
  return importance == nullptr ? nullptr : importance + index % cols;
}

// Calls done(index, FittedBlock&) with the scales of each of `count` blocks, in any order.
template <class Done>
inline void fit_all(const Format& format, const float* weights, const float* importance,
                    std::uint64_t cols, std::size_t count, const Done& done) noexcept {
  const Grid& grid = format.grid;
  const auto block = static_cast<std::size_t>(grid.block);
  const auto full = static_cast<std::size_t>(kLanes / grid.groups());
  FittedBlock fitted[kLanes];
  std::size_t first = 0;
  for (; grid.book.is_vectors() && first < count; ++first) {
    fit_vectors(format, weights + first * block, columns_of(importance, first * block, cols),
                fitted[0]);
    done(first, fitted[0]);
  }
  if (importance != nullptr && grid.groups() == 1) {
    first = fit_columns(format, weights, importance, cols, count, done);
  }
  for (; first < count; first += full) {
    const std::size_t now = count - first < full ? count - first : full;
    const Run run{weights + first * block, importance, cols, first * block};
    fit_run(format, run, fitted, static_cast<int>(now));
    for (std::size_t b = 0; b < now; ++b) done(first + b, fitted[b]);
  }
}

struct EncodeBlocks {
  const Format& format;
  const float* weights;
  const float* importance;
  std::uint64_t cols;
  std::size_t count;
  const Planes& planes;

  template <class Codec>
  void operator()(const Codec& codec) const noexcept {
    const auto block = static_cast<std::size_t>(format.grid.block);
    fit_all(format, weights, importance, cols, count, [&](std::size_t index, FittedBlock& fitted) {
      round_block(format.grid, weights + index * block, columns_of(importance, index * block, cols),
                  fitted);
      codec.pack_at(fitted, planes, index);
    });
  }
};

inline void encode_rows_isa(const Encoding& encoding, std::span<const float> weights,
                            std::span<const float> importance, std::uint64_t cols,
                            const Planes& planes) {
  if (encoding.is_plain()) return from_floats(encoding.dtype, weights, planes.plane[0]);
  if (encoding.layout == Layout::kMxfp8) return encode_mxfp8(weights, importance, cols, planes);
  const std::size_t count = weights.size() / encoding.block_cols();
  const float* columns = importance.empty() ? nullptr : importance.data();
  with_codec(encoding,
             EncodeBlocks{*find_format(encoding), weights.data(), columns, cols, count, planes});
}
