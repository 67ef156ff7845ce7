// Every kernel table against the definition, over any weights, any stored bytes and any
// activations: the same bytes, codes and floats. A number that is none is like any other that is
// none.
#include <algorithm>
#include <bit>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "codec/codec.h"
#include "codec/fitted.h"
#include "codec/sample_weights.h"
#include "kernels/table.h"

namespace {

using namespace pajamas;
using kernels::Int8Form;
using kernels::Int8Kernels;
using kernels::KernelTable;

// The input's bytes, and when they are used up numbers that follow from them.
class Source {
 public:
  Source(const std::uint8_t* data, std::size_t size) : data_(data), left_(size) {
    for (std::size_t i = 0; i < size; ++i) state_ = (state_ ^ data[i]) * 0x100000001B3u;
  }
  std::uint8_t byte() {
    if (left_ > 0) {
      --left_;
      return *data_++;
    }
    state_ = state_ * 6364136223846793005u + 1442695040888963407u;
    return static_cast<std::uint8_t>(state_ >> 56);
  }
  std::uint32_t word() {
    std::uint32_t word = 0;
    for (int i = 0; i < 4; ++i) word = word << 8 | byte();
    return word;
  }
  // Any finite float; half of them of ordinary size.
  float number() {
    const std::uint32_t bits = word();
    if (bits % 2 == 0) return static_cast<float>(static_cast<std::int32_t>(bits)) * 0x1p-31f;
    const float value = std::bit_cast<float>(bits);
    return std::isfinite(value) ? value : 0.0f;
  }
  std::vector<float> numbers(std::size_t count) {
    std::vector<float> all(count);
    for (float& value : all) value = number();
    return all;
  }

 private:
  const std::uint8_t* data_;
  std::size_t left_;
  std::uint64_t state_ = 0xCBF29CE484222325u;
};

void require(bool same, std::string_view what, std::string_view table, const Encoding& encoding) {
  if (same) return;
  std::fprintf(stderr, "%.*s differs: %.*s, %s\n", static_cast<int>(what.size()), what.data(),
               static_cast<int>(table.size()), table.data(), test::full_name(encoding).c_str());
  std::abort();
}

bool same_floats(std::span<const float> a, std::span<const float> b) {
  for (std::size_t i = 0; i < a.size(); ++i) {
    if (std::isnan(a[i]) && std::isnan(b[i])) continue;
    if (std::bit_cast<std::uint32_t>(a[i]) != std::bit_cast<std::uint32_t>(b[i])) return false;
  }
  return true;
}

struct Case {
  Encoding encoding;
  std::size_t rows, cols;
};

void compare_encoders(const Case& c, Source& source) {
  const std::vector<float> weights = source.numbers(c.rows * c.cols);
  std::vector<float> importance;
  if (source.byte() % 2 == 0) {
    for (std::size_t i = 0; i < c.cols; ++i) importance.push_back(std::abs(source.number()));
  }
  test::Stored expected(c.encoding, c.rows, c.cols);
  codec::encode_rows(c.encoding, weights, importance, c.cols, expected.planes());
  for (const KernelTable* table : kernels::all_kernels()) {
    if (!table->supported(cpu_features())) continue;
    test::Stored stored(c.encoding, c.rows, c.cols);
    table->encode_rows(c.encoding, weights, importance, c.cols, stored.planes());
    require(stored == expected, "encode_rows", table->name, c.encoding);
  }
}

void compare_feedback(const Case& c, Source& source) {
  if (c.encoding.layout == Layout::kMxfp8) return;
  const auto size = static_cast<std::size_t>(codec::grid_of(c.encoding).block);
  std::vector<float> weights = source.numbers(c.rows * size), coefficients(size * size);
  for (float& weight : weights) weight = std::fmod(weight, 8.0f);
  for (float& k : coefficients) k = std::fmod(source.number(), 1.0f) / static_cast<float>(size);
  std::vector<codec::FittedBlock> fitted(c.rows);
  codec::fit(c.encoding, weights, {}, fitted);
  const auto run = [&](const KernelTable& table, std::vector<float>& changed,
                       std::vector<float>& errors) {
    std::vector<codec::FittedBlock> blocks = fitted;
    table.round_feedback(c.encoding, {changed.data(), c.rows, size, coefficients.data(),
                                      blocks.data(), errors.data()});
    std::vector<std::int16_t> codes;
    for (const codec::FittedBlock& block : blocks) {
      codes.insert(codes.end(), block.codes, block.codes + size);
    }
    return codes;
  };
  std::vector<float> expected = weights, expected_errors(weights.size());
  const auto codes = run(kernels::kernels_by_name("ref"), expected, expected_errors);
  for (const KernelTable* table : kernels::all_kernels()) {
    if (!table->supported(cpu_features())) continue;
    std::vector<float> changed = weights, errors(weights.size());
    const bool same = run(*table, changed, errors) == codes && same_floats(changed, expected) &&
                      same_floats(errors, expected_errors);
    require(same, "round_feedback", table->name, c.encoding);
  }
}

test::Stored any_bytes(const Case& c, Source& source) {
  test::Stored stored(c.encoding, c.rows, c.cols);
  const unsigned mask = source.byte() % 2 == 0 ? 0xFF : 0xBF;  // or floats below 2
  for (auto& plane : stored.plane) {
    for (std::byte& byte : plane) byte = static_cast<std::byte>(source.byte() & mask);
  }
  return stored;
}

void compare_decoders(const Case& c, const test::Stored& stored) {
  std::vector<float> expected(c.rows * c.cols), values(c.rows * c.cols);
  codec::decode_rows(c.encoding, stored.planes(), c.cols, expected);
  for (const KernelTable* table : kernels::all_kernels()) {
    if (!table->supported(cpu_features())) continue;
    table->decode_rows(c.encoding, stored.planes(), c.cols, values);
    require(same_floats(values, expected), "decode_rows", table->name, c.encoding);
  }
}

// The fused product against decoding first, each table by itself.
void compare_float_products(const Case& c, const test::Stored& stored, Source& source) {
  std::vector<float> x = source.numbers(c.cols), decoded(c.rows * c.cols);
  for (float& value : x) value = std::fmod(value, 1024.0f);
  codec::decode_rows(c.encoding, stored.planes(), c.cols, decoded);
  for (const KernelTable* table : kernels::all_kernels()) {
    if (!table->supported(cpu_features())) continue;
    const kernels::PackedDot fused = table->math->packed_dot(c.encoding, c.cols);
    if (fused == nullptr) continue;
    std::vector<float> expected(c.rows), out(c.rows);
    kernels::PackedRows args{
        c.encoding.group_size, c.encoding.dtype, {}, {}, c.rows, c.cols, x.data(), out.data()};
    for (std::size_t p = 0; p < c.encoding.planes(); ++p) {
      args.plane[p] = stored.plane[p].data();
      args.plane_row_bytes[p] = c.encoding.plane_row_bytes(p, c.cols);
    }
    fused(args);
    table->math->dot_tile({decoded.data(), c.rows, c.cols, x.data(), 1, c.cols, c.cols, false,
                           expected.data(), c.rows});
    require(same_floats(out, expected), "packed_dot", table->name, c.encoding);
  }
}

// Activations rounded as one set of products wants them.
struct Tile {
  std::vector<std::int8_t> q;
  std::vector<float> scales, sums;
  std::vector<std::int32_t> base;
  std::vector<kernels::Int8Extra> extras;
  std::vector<std::uint32_t> counts;
  kernels::Int8Tile view;

  Tile(const Int8Kernels& set, const Int8Form& form, std::span<const float> x, std::size_t rows)
      : q(x.size()), counts(rows) {
    const std::size_t cols = x.size() / rows, groups = cols / kernels::kInt8Group;
    scales.resize(groups * rows);
    base.resize(cols / form.group * rows);
    sums.resize(base.size());
    extras.resize(groups * rows);
    const kernels::Int8TileOut out{rows,        q.data(),      scales.data(), base.data(),
                                   sums.data(), extras.data(), counts.data()};
    for (std::size_t m = 0; m < rows; ++m) set.round(&x[m * cols], cols, form, m, out);
    view = {rows, q.data(), scales.data(), base.data(), sums.data(), extras.data(), counts.data()};
  }
};

void compare_int8_products(const Case& c, const test::Stored& stored, Source& source) {
  const std::size_t count = 1 + source.byte() % kernels::kInt8TileRows;
  std::vector<float> x = source.numbers(count * c.cols);
  for (float& value : x) value = std::fmod(value, 4096.0f);
  kernels::Int8Weights weights{c.encoding, {}, {}, c.rows, c.cols};
  for (std::size_t p = 0; p < c.encoding.planes(); ++p) {
    weights.plane[p] = stored.plane[p].data();
    weights.row_step[p] = c.encoding.plane_row_bytes(p, c.cols);
  }
  std::vector<float> expected;
  const auto sets = kernels::all_int8_kernels();
  for (std::size_t s = sets.size(); s-- > 0;) {  // the definition is the last
    const Int8Kernels& set = *sets[s];
    if (!set.supported(cpu_features())) continue;
    const Int8Form form = set.form(c.encoding, c.cols);
    if (form.group == 0) continue;
    const Tile tile(set, form, x, count);
    std::vector<float> out(count * c.rows);
    if (expected.empty()) {  // the definition takes any number of rows
      set.multiply(weights, tile.view, {out.data(), c.rows});
      expected = out;
    } else {
      const std::size_t few = std::min(count, kernels::kInt8DirectRows);
      const Tile direct(set, form, std::span(x).first(few * c.cols), few);
      std::vector<float> first(few * c.rows);
      set.multiply(weights, direct.view, {first.data(), c.rows});
      require(same_floats(first, std::span(expected).first(first.size())), "multiply", set.name,
              c.encoding);
    }
    if (set.panel_rows == 0) continue;
    std::vector<std::byte> memory(set.panel_bytes(form, c.cols) + 64);
    void* panel = memory.data();
    std::size_t room = memory.size();
    std::align(64, room - 64, panel, room);
    for (std::size_t row = 0; row < c.rows; row += set.panel_rows) {
      kernels::Int8Weights part = weights;
      part.rows = std::min(set.panel_rows, c.rows - row);
      for (std::size_t p = 0; p < c.encoding.planes(); ++p) {
        part.plane[p] += row * weights.row_step[p];
      }
      set.unpack(part, static_cast<std::byte*>(panel));
      set.multiply_panel(form, static_cast<const std::byte*>(panel), part.rows, c.cols, tile.view,
                         {out.data() + row, c.rows});
    }
    require(same_floats(out, expected), "multiply_panel", set.name, c.encoding);
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  static const std::vector<Encoding> encodings = test::packed_encodings();
  Source source(data, size);
  Case c;
  c.encoding = encodings[source.byte() % encodings.size()];
  c.rows = 1 + source.byte() % 20;
  c.cols = c.encoding.block_cols() * (1 + source.byte() % (256 / c.encoding.block_cols() + 1));
  switch (source.byte() % 4) {
    case 0:
      compare_encoders(c, source);
      break;
    case 1:
      compare_feedback(c, source);
      break;
    default: {
      const test::Stored stored = any_bytes(c, source);
      compare_decoders(c, stored);
      compare_float_products(c, stored, source);
      compare_int8_products(c, stored, source);
    }
  }
  return 0;
}
