// Rounding with error feedback where columns are set several at a time: the sixteen rows of a tile
// stand side by side, and eight columns of each, which share their signs, are set together.
// Included by codec/steps.inl.
#pragma once

constexpr int kColumnsTogether = 8;

// The powers of two that are divided out of each row, as set_block does.
inline Lanes inverse_units(const Grid& grid, const FeedbackTile& t) {
  Lanes most = splat(0x1p-126f);
  for (int j = 0; j < grid.block; ++j) most = max(most, abs(load(t.x + j * kLanes)));
  IntLanes bits = as_bits(min(most, splat(0x1.8p126f)));
  PJ_EACH_PIECE bits.p[i] = 0x7F000000 - (bits.p[i] & 0x7F800000);
  return from_bits(bits);
}

// Eight columns from `first` on: their weights, and the best entries of each of their vectors.
struct ColumnsTogether {
  int vectors;
  alignas(64) float x[kColumnsTogether * kLanes], w[kColumnsTogether * kLanes];
  Lanes is_odd, step;
  VectorTile tiles[2];
  NearestEntry entries[2][2];  // [variant][vector]
};

template <int kVectors>
inline void nearest_entries(const Grid& grid, ColumnsTogether& c) {
  const Lanes steps[2] = {c.step, c.step};
  NearestEntry found[2][kVectors];
  nearest_entries(c.tiles, grid, steps, found);
  for (int v = 0; v < kVectors; ++v) {
    c.entries[0][v] = found[0][v];
    c.entries[1][v] = found[1][v];
  }
}

inline void look_at(const Grid& grid, const FeedbackTile& t, int first, const Lanes& inv_unit,
                    ColumnsTogether& c) {
  const Lanes step = load(t.step + first / grid.group * kLanes) * inv_unit;
  const Lanes sign = select(step < splat(0), splat(-1), splat(1));
  c.vectors = kColumnsTogether / grid.book.columns;
  c.step = step * sign;
  Lanes minuses = splat(0);
  for (int k = 0; k < kColumnsTogether; ++k) {
    const Lanes x = load(t.x + (first + k) * kLanes) * inv_unit * sign;
    store(c.x + k * kLanes, x);
    store(c.w + k * kLanes, splat(1));
    minuses = minuses + select(x < splat(0), splat(1), splat(0));
  }
  c.is_odd = odd(minuses);
  for (int v = 0; v < c.vectors; ++v) {
    const int at = v * grid.book.columns * kLanes;
    set_columns(c.tiles[v], grid.book, c.x + at, c.w + at);
    c.tiles[v].is_odd = c.is_odd;
  }
  if (c.vectors == 2) return nearest_entries<2>(grid, c);
  nearest_entries<1>(grid, c);
}

// Where the vectors of a whole group are better off with the second variant.
inline IntLanes second_for_group(const Grid& grid, const FeedbackTile& t, int first,
                                 const Lanes& inv_unit, ColumnsTogether& c) {
  Lanes sum[2] = {splat(0), splat(0)};
  for (int j = first; j < first + grid.group; j += kColumnsTogether) {
    look_at(grid, t, j, inv_unit, c);
    sum[0] = sum[0] + c.entries[0][0].error;
    sum[1] = sum[1] + c.entries[1][0].error;
  }
  return sum[1] < sum[0];
}

inline void round_tile_of_vectors(const Grid& grid, const float* coefficients, FeedbackTile& t) {
  const Variants variants = variants_of(grid);
  const Lanes inv_unit = inverse_units(grid, t);
  ColumnsTogether c;
  IntLanes for_group = splat(1) < splat(0);
  for (int first = 0; first < grid.block; first += kColumnsTogether) {
    if (variants == Variants::kWholeGroup && first % grid.group == 0) {
      for_group = second_for_group(grid, t, first, inv_unit, c);
    }
    look_at(grid, t, first, inv_unit, c);
    IntLanes second[2] = {for_group, for_group};
    if (variants == Variants::kAnyVector) {
      second[0] = c.entries[1][0].error < c.entries[0][0].error;
    } else if (variants == Variants::kOneOfPair) {
      const Lanes left = c.entries[1][0].error - c.entries[0][0].error,
                  right = c.entries[1][1].error - c.entries[0][1].error;
      const IntLanes is_right = right < left;
      second[0] = splat(0.5f) < select(is_right, splat(0), c.is_odd);
      second[1] = splat(0.5f) < select(is_right, c.is_odd, splat(0));
    }
    for (int v = 0; v < c.vectors; ++v) {
      const int at = v * grid.book.columns * kLanes;
      write_codes(c.tiles[v], grid.book, c.entries[0][v], c.entries[1][v], second[v], c.x + at,
                  t.code + first * kLanes + at);
    }
    const Lanes step = load(t.step + first / grid.group * kLanes);
    for (int j = first; j < first + kColumnsTogether; ++j) {
      pass_on(grid, coefficients, j, load(t.x + j * kLanes) - step * load(t.code + j * kLanes), t);
    }
  }
}
