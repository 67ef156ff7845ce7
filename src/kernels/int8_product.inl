// The products of int8.h over the formats of int8_formats.inl. The including file also defines
//   dot<kWide>(sum, codes, q)   adds the products of every lane's four codes with the four q
//   kWideShift                  what `dot` takes off wide codes to make them signed
//   fused(a, b, c), real(x), zero_words, words_at (one word to all lanes), store_lanes
//   kPanelTile                  activation rows that multiply_panel keeps in registers
#pragma once

template <class F>
inline constexpr int kBiasOf = F::kBias - (F::kWide ? kWideShift : 0);

template <class F>
inline constexpr Int8Form kFormOf{F::kOrder, F::kGroup, kBiasOf<F>, F::kOffset, F::kWide};

// Where a tile's numbers for one group of 32 begin.
struct TileAt {
  std::size_t rows;  // of the tile: the distance from one word of columns to the next
  const std::int8_t* q;
  const float* scales;
  const std::int32_t* base;
  const float* sums;

  static TileAt first(const Int8Tile& tile, std::size_t m) noexcept {
    return {tile.rows, tile.q + 4 * m, tile.scales + m, tile.base + m, tile.sums + m};
  }
  // Columns are counted in groups of 32; `parts` steps to each.
  TileAt group(std::size_t g, std::size_t parts) const noexcept {
    return {rows, q + g * kInt8Group * rows, scales + g * rows, base + g * parts * rows,
            sums + g * parts * rows};
  }
};

// Adds one group of 32 columns of kLanes rows times kT activation rows.
template <bool kWide, int kParts, bool kBase, bool kOffset, int kT>
[[gnu::always_inline]] inline void add_group(const Word* codes, const Real* step,
                                             const Real* offset, const TileAt& x,
                                             Real (&sums)[kT]) noexcept {
  const std::int8_t* q = x.q;
#pragma GCC unroll 2
  for (int part = 0; part < kParts; ++part) {
    const std::size_t at = static_cast<std::size_t>(part) * x.rows;
    Word whole[kT];
#pragma GCC unroll 16
    for (int m = 0; m < kT; ++m) whole[m] = kBase ? words_at(x.base + at + m) : zero_words();
#pragma GCC unroll 8
    for (int i = 0; i < 8 / kParts; ++i) {
      const Word code = codes[part * (8 / kParts) + i];
#pragma GCC unroll 16
      for (int m = 0; m < kT; ++m) whole[m] = dot<kWide>(whole[m], code, q + 4 * m);
      q += 4 * x.rows;
    }
#pragma GCC unroll 16
    for (int m = 0; m < kT; ++m) {
      sums[m] = fused(to_real(whole[m]), multiply(step[part], real_at(x.scales + m)), sums[m]);
      if constexpr (kOffset) sums[m] = fused(offset[part], real_at(x.sums + at + m), sums[m]);
    }
  }
}

[[gnu::always_inline]] inline void set_rows(const Int8Weights& w, std::size_t row,
                                            LaneRows& rows) noexcept {
  for (std::size_t p = 0; p < w.encoding.planes(); ++p) {
    rows.bytes[p] = w.encoding.plane_row_bytes(p, w.cols);
    for (std::size_t lane = 0; lane < kLanes; ++lane) {
      const std::size_t r = row + lane < w.rows ? row + lane : w.rows - 1;
      rows.at[p][lane] = w.plane[p] + r * w.row_step[p];
    }
  }
}

// The extras of kT activation rows that are still to come, and their sums.
template <int kT>
struct Extras {
  const Int8Extra* next[kT];
  const Int8Extra* end[kT];
  Real sums[kT];

  Extras(const Int8Tile& tile, std::size_t m, std::size_t cols) noexcept {
    for (std::size_t i = 0; i < kT; ++i) {
      next[i] = tile.extras + (m + i) * (cols / kInt8Group);
      end[i] = next[i] + tile.extra_counts[m + i];
      sums[i] = real(0);
    }
  }
};

// Adds one extra, whose group's codes and steps are at hand.
template <bool kWide, int kParts>
inline Real with_extra(const Int8Extra& extra, const Word* codes, const Real* steps,
                       Real sum) noexcept {
  const Word whole = dot<kWide>(words_at(&extra.base), codes[extra.word], extra.q);
  const Real step = steps[kParts == 1 ? 0 : extra.word / 4];
  return fused(to_real(whole), multiply(step, real_at(&extra.scale)), sum);
}
// The same, out of the way of the code around it: extras are rare.
template <bool kWide, int kParts>
[[gnu::noinline]] Real apart_extra(const Int8Extra& extra, const Word* codes, const Real* steps,
                                   Real sum) noexcept {
  return with_extra<kWide, kParts>(extra, codes, steps, sum);
}

// Groups g and later of a block of one activation row, straight from the registers that it is
// unpacked to.
template <class F, int g>
[[gnu::always_inline]] inline void add_groups(const typename F::Raw& raw, std::size_t first,
                                              std::size_t groups, const TileAt& x, Real (&sums)[1],
                                              Extras<1>& extras) noexcept {
  constexpr std::size_t kParts = kInt8Group / F::kGroup;
  if (static_cast<std::size_t>(g) >= groups) return;
  Word codes[8];
  F::template codes<g>(raw, codes);
  constexpr int kAt = g * static_cast<int>(kParts);
  add_group<F::kWide, static_cast<int>(kParts), kBiasOf<F> != 0, F::kOffset>(
      codes, raw.step + kAt, raw.offset + (F::kOffset ? kAt : 0), x.group(g, kParts), sums);
  if (extras.next[0] != extras.end[0] && extras.next[0]->group == first + g) {
    Word kept[8];
    for (int i = 0; i < 8; ++i) kept[i] = codes[i];
    extras.sums[0] = apart_extra<F::kWide, static_cast<int>(kParts)>(
        *extras.next[0]++, kept, raw.step + kAt, extras.sums[0]);
  }
  if constexpr (static_cast<std::size_t>(g + 1) < F::kBlock / kInt8Group) {
    add_groups<F, g + 1>(raw, first, groups, x, sums, extras);
  }
}

template <int kT>
[[gnu::always_inline]] inline void store_sums(const Real (&sums)[kT], std::size_t rows,
                                              std::size_t m, const Int8Out& out,
                                              std::size_t row) noexcept {
#pragma GCC unroll 16
  for (int i = 0; i < kT; ++i) {
    store_lanes(out.out + (m + static_cast<std::size_t>(i)) * out.out_stride + row, sums[i], rows);
  }
}

inline std::size_t least(std::size_t a, std::size_t b) noexcept { return a < b ? a : b; }

// Asks for what the next panel of rows has in a block's place. The rows of the small planes
// (scales, offsets) are neighbours, and too short to ask for one by one: each block asks for its
// share of them together.
template <std::size_t kBlock, std::size_t kPlanes>
struct Prefetch {
  std::size_t bytes[kPlanes];
  const std::byte* next[kPlanes];

  Prefetch(const Int8Weights& w, const LaneRows& rows) noexcept {
    for (std::size_t p = 0; p < kPlanes; ++p) {
      bytes[p] = w.encoding.plane_row_bytes(p, kBlock) * (p == 0 ? 1 : kLanes);
      next[p] = rows.at[p][0] + kLanes * w.row_step[p];
    }
  }
  [[gnu::always_inline]] void block(std::size_t row_step, std::size_t col) const noexcept {
    for (std::size_t lane = 0; lane < kLanes; ++lane) {
      ask(next[0] + lane * row_step + col * bytes[0] / kBlock, bytes[0]);
    }
    for (std::size_t p = 1; p < kPlanes; ++p) ask(next[p] + col * bytes[p] / kBlock, bytes[p]);
  }
  [[gnu::always_inline]] static void ask(const std::byte* from, std::size_t count) noexcept {
    for (std::size_t at = 0; at < count; at += 64) __builtin_prefetch(from + at, 0, 2);
  }
};

// One activation row: what is unpacked is used once, and stays in registers.
template <class F>
inline void direct_row(const Int8Weights& w, std::size_t row, const Int8Tile& tile,
                       const Int8Out& out) noexcept {
  constexpr std::size_t kParts = kInt8Group / F::kGroup;
  LaneRows rows;
  set_rows(w, row, rows);
  const TileAt x = TileAt::first(tile, 0);
  const Prefetch<F::kBlock, F::kPlanes> ahead(w, rows);
  Real sums[1] = {real(0)};
  Extras<1> extras(tile, 0, w.cols);
  for (std::size_t col = 0; col < w.cols; col += F::kBlock) {
    const std::size_t cols = least(F::kBlock, w.cols - col);
    typename F::Raw raw;
    ahead.block(w.row_step[0], col);
    F::load(rows, w.encoding, col, cols, raw);
    const std::size_t group = col / kInt8Group;
    add_groups<F, 0>(raw, group, cols / kInt8Group, x.group(group, kParts), sums, extras);
  }
  sums[0] = plus(sums[0], extras.sums[0]);
  store_sums(sums, least(kLanes, w.rows - row), 0, out, row);
}

// A panel: for every group of 32 columns eight words of codes, the steps, the offsets.
inline std::size_t group_words(const Int8Form& form) noexcept {
  const std::size_t parts = kInt8Group / form.group;
  return 8 + parts * (form.has_offset ? 2 : 1);
}
inline std::size_t panel_bytes(const Int8Form& form, std::size_t cols) noexcept {
  return cols / kInt8Group * group_words(form) * sizeof(Word);
}

template <class F>
inline constexpr std::size_t kWordsOf = 8 + kInt8Group / F::kGroup*(F::kOffset ? 2 : 1);

template <class F, int g>
[[gnu::always_inline]] inline void unpack_groups(const typename F::Raw& raw, std::size_t groups,
                                                 std::byte* panel) noexcept {
  constexpr std::size_t kParts = kInt8Group / F::kGroup;
  if (static_cast<std::size_t>(g) >= groups) return;
  Word codes[8];
  F::template codes<g>(raw, codes);
  std::byte* to = panel + g * kWordsOf<F> * sizeof(Word);
  for (std::size_t i = 0; i < 8; ++i) store_words(to + i * sizeof(Word), codes[i]);
  to += 8 * sizeof(Word);
  for (std::size_t p = 0; p < kParts; ++p, to += sizeof(Word)) {
    store_reals(to, raw.step[g * kParts + p]);
  }
  if constexpr (F::kOffset) {
    for (std::size_t p = 0; p < kParts; ++p, to += sizeof(Word)) {
      store_reals(to, raw.offset[g * kParts + p]);
    }
  }
  if constexpr (static_cast<std::size_t>(g + 1) < F::kBlock / kInt8Group) {
    unpack_groups<F, g + 1>(raw, groups, panel);
  }
}

template <class F>
[[gnu::noinline]] void unpack_block(const LaneRows& rows, const Encoding& encoding, std::size_t col,
                                    std::size_t cols, std::byte* panel) noexcept {
  typename F::Raw raw;
  F::load(rows, encoding, col, cols, raw);
  unpack_groups<F, 0>(raw, cols / kInt8Group, panel);
}

template <class F>
struct Unpack {
  static void run(const Int8Weights& w, std::byte* panel) noexcept {
    LaneRows rows;
    set_rows(w, 0, rows);
    for (std::size_t col = 0; col < w.cols; col += F::kBlock) {
      unpack_block<F>(rows, w.encoding, col, least(F::kBlock, w.cols - col),
                      panel + col / kInt8Group * kWordsOf<F> * sizeof(Word));
    }
  }
};

template <std::size_t kWords>
[[gnu::always_inline]] inline const Word* group_of(const std::byte* panel, std::size_t g) noexcept {
  return reinterpret_cast<const Word*>(panel + g * kWords * sizeof(Word));
}

// Adds `groups` groups of a panel, of which the first is group `first` of the row.
template <bool kWide, int kParts, bool kBase, bool kOffset, int kT>
inline void add_panel(const std::byte* panel, std::size_t first, std::size_t groups, TileAt x,
                      Real (&all)[kT], Extras<kT>& extras) noexcept {
  constexpr std::size_t kWords = 8 + kParts * (kOffset ? 2 : 1);
  Real sums[kT];
#pragma GCC unroll 16
  for (int i = 0; i < kT; ++i) sums[i] = all[i];
  for (std::size_t g = 0; g < groups; ++g) {
    const Word* codes = group_of<kWords>(panel, g);
    const auto* steps = reinterpret_cast<const Real*>(codes + 8);
    add_group<kWide, kParts, kBase, kOffset>(codes, steps, steps + kParts, x, sums);
    x = x.group(1, kParts);
  }
#pragma GCC unroll 16
  for (int i = 0; i < kT; ++i) all[i] = sums[i];
  for (int i = 0; i < kT; ++i) {
    for (; extras.next[i] != extras.end[i] && extras.next[i]->group < first + groups;
         ++extras.next[i]) {
      const Word* codes = group_of<kWords>(panel, extras.next[i]->group - first);
      const auto* steps = reinterpret_cast<const Real*>(codes + 8);
      extras.sums[i] = with_extra<kWide, kParts>(*extras.next[i], codes, steps, extras.sums[i]);
    }
  }
}
template <bool kWide, int kParts, bool kBase, bool kOffset, int kT>
[[gnu::noinline]] void add_block(const std::byte* panel, std::size_t first, std::size_t groups,
                                 const TileAt& x, Real (&sums)[kT], Extras<kT>& extras) noexcept {
  add_panel<kWide, kParts, kBase, kOffset>(panel, first, groups, x, sums, extras);
}

// kT activation rows: each block becomes a panel in the nearest cache, so that only the unpacking
// is compiled for every format.
template <class F, int kT>
inline void direct_rows(const Int8Weights& w, std::size_t row, const Int8Tile& tile,
                        const Int8Out& out) noexcept {
  constexpr std::size_t kParts = kInt8Group / F::kGroup;
  LaneRows rows;
  set_rows(w, row, rows);
  const TileAt x = TileAt::first(tile, 0);
  const Prefetch<F::kBlock, F::kPlanes> ahead(w, rows);
  Real sums[kT];
  for (int i = 0; i < kT; ++i) sums[i] = real(0);
  Extras<kT> extras(tile, 0, w.cols);
  alignas(64) std::byte panel[F::kBlock / kInt8Group * kWordsOf<F> * sizeof(Word)];
  for (std::size_t col = 0; col < w.cols; col += F::kBlock) {
    const std::size_t cols = least(F::kBlock, w.cols - col), group = col / kInt8Group;
    ahead.block(w.row_step[0], col);
    unpack_block<F>(rows, w.encoding, col, cols, panel);
    add_block<F::kWide, static_cast<int>(kParts), kBiasOf<F> != 0, F::kOffset>(
        panel, group, cols / kInt8Group, x.group(group, kParts), sums, extras);
  }
  for (int i = 0; i < kT; ++i) sums[i] = plus(sums[i], extras.sums[i]);
  store_sums(sums, least(kLanes, w.rows - row), 0, out, row);
}

static_assert(kInt8DirectRows == 4);
template <class F>
struct Direct {
  static void run(const Int8Weights& w, const Int8Tile& tile, const Int8Out& out) noexcept {
    for (std::size_t row = 0; row < w.rows; row += kLanes) {
      if (tile.rows == 1) direct_row<F>(w, row, tile, out);
      if (tile.rows == 2) direct_rows<F, 2>(w, row, tile, out);
      if (tile.rows == 3) direct_rows<F, 3>(w, row, tile, out);
      if (tile.rows == 4) direct_rows<F, 4>(w, row, tile, out);
    }
  }
};

template <bool kWide, int kParts, bool kBase, bool kOffset, int kT>
inline void panel_rows(const std::byte* panel, std::size_t rows, std::size_t cols,
                       const Int8Tile& tile, std::size_t m, const Int8Out& out) noexcept {
  Real sums[kT];
#pragma GCC unroll 16
  for (int i = 0; i < kT; ++i) sums[i] = real(0);
  Extras<kT> extras(tile, m, cols);
  add_panel<kWide, kParts, kBase, kOffset>(panel, 0, cols / kInt8Group, TileAt::first(tile, m),
                                           sums, extras);
#pragma GCC unroll 16
  for (int i = 0; i < kT; ++i) sums[i] = plus(sums[i], extras.sums[i]);
  store_sums(sums, rows, m, out, 0);
}

template <bool kWide, int kParts, bool kBase, bool kOffset>
inline void panel_tile(const std::byte* panel, std::size_t rows, std::size_t cols,
                       const Int8Tile& tile, const Int8Out& out) noexcept {
  std::size_t m = 0;
  for (; m + kPanelTile <= tile.rows; m += kPanelTile) {
    panel_rows<kWide, kParts, kBase, kOffset, kPanelTile>(panel, rows, cols, tile, m, out);
  }
  if constexpr (kPanelTile > 6) {
    for (; m + 6 <= tile.rows; m += 6) {
      panel_rows<kWide, kParts, kBase, kOffset, 6>(panel, rows, cols, tile, m, out);
    }
  }
  if constexpr (kPanelTile > 3) {
    for (; m + 3 <= tile.rows; m += 3) {
      panel_rows<kWide, kParts, kBase, kOffset, 3>(panel, rows, cols, tile, m, out);
    }
  }
  for (; m < tile.rows; ++m) {
    panel_rows<kWide, kParts, kBase, kOffset, 1>(panel, rows, cols, tile, m, out);
  }
}

inline void multiply_panel(const Int8Form& form, const std::byte* panel, std::size_t rows,
                           std::size_t cols, const Int8Tile& tile, const Int8Out& out) noexcept {
  if (form.wide) {
    if (form.has_offset) {
      return panel_tile<true, 1, kWideShift != 0, true>(panel, rows, cols, tile, out);
    }
    return panel_tile<true, 1, kWideShift == 0, false>(panel, rows, cols, tile, out);
  }
  if (form.group == 16) {
    if (form.has_offset) return panel_tile<false, 2, false, true>(panel, rows, cols, tile, out);
    return panel_tile<false, 2, true, false>(panel, rows, cols, tile, out);
  }
  if (form.has_offset) return panel_tile<false, 1, false, true>(panel, rows, cols, tile, out);
  return panel_tile<false, 1, true, false>(panel, rows, cols, tile, out);
}

template <class F>
using FormatOf = std::conditional_t<F::kFormat.grid.block == 32, FormatOf32<F>, FormatOf256<F>>;

template <template <class> class Action, class... F, class... Arguments>
inline void with_block_format(codec::FormatList<F...>, DType type,
                              const Arguments&... arguments) noexcept {
  (void)((F::kFormat.type == type && (Action<FormatOf<F>>::run(arguments...), true)) || ...);
}
template <template <class> class Action, std::size_t kAt = 0, class... Arguments>
inline void with_affine_format(int bits, const Arguments&... arguments) noexcept {
  if constexpr (kAt < kAffineBits.size()) {
    if (bits == kAffineBits[kAt]) return Action<FormatAffine<kAffineBits[kAt]>>::run(arguments...);
    with_affine_format<Action, kAt + 1>(bits, arguments...);
  }
}

// Calls Action<F>::run with the format of an encoding; `form` has said that there is one.
template <template <class> class Action, class... Arguments>
inline void with_format(const Encoding& e, const Arguments&... arguments) noexcept {
  if (e.is_affine()) return with_affine_format<Action>(e.bits, arguments...);
  if (e.layout == Layout::kMxfp4) return Action<FormatE2m1Planes<codec::Mxfp4>>::run(arguments...);
  if (e.layout == Layout::kNvfp4) return Action<FormatE2m1Planes<codec::Nvfp4>>::run(arguments...);
  if (e.layout != Layout::kStream) return;
  if (unpack_of(e.dtype) == nullptr) {
    with_block_format<Action>(codec::WholeNumberFormats{}, e.dtype, arguments...);
  } else if (buffered_group(e.dtype) == 16) {
    Action<FormatBuffered<16>>::run(arguments...);
  } else {
    Action<FormatBuffered<32>>::run(arguments...);
  }
}

template <class F>
struct FormGetter {
  static void run(Int8Form* const& out) noexcept { *out = kFormOf<F>; }
};
inline Int8Form form_of(const Encoding& encoding, std::size_t cols) noexcept {
  Int8Form form;
  form.group = 0;
  if (cols % kInt8Group == 0) with_format<FormGetter>(encoding, &form);
  return form;
}

inline void multiply_direct(const Int8Weights& w, const Int8Tile& tile,
                            const Int8Out& out) noexcept {
  with_format<Direct>(w.encoding, w, tile, out);
}
inline void unpack_panel(const Int8Weights& w, std::byte* panel) noexcept {
  with_format<Unpack>(w.encoding, w, panel);
}
