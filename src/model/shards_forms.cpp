// The forms in which model directories store a tensor: plain, MLX modules, FP8 tiles, MXFP4 blocks,
// stacks of experts whole, apart, interleaved or transposed.
#include <fmt/format.h>

#include <algorithm>

#include "base/error.h"
#include "model/hparams.h"
#include "model/shards.h"
#include "model/tensor_names.h"
#include "tensor/affine.h"

namespace pajamas::model {
namespace {

using nlohmann::json;
using Kind = HfForm::Kind;

constexpr const char* kModesRead = "modes that are read: affine, mxfp4, mxfp8, nvfp4";
constexpr const char* kNoMatch = "the weights and their configuration do not belong together";

Shape with_dims(std::initializer_list<std::uint64_t> leading, std::span<const std::uint64_t> rest) {
  std::vector<std::uint64_t> dims(leading);
  dims.insert(dims.end(), rest.begin(), rest.end());
  return Shape(dims);
}

// What is stored under one name in this form, where the model needs `shape`.
Shape stored_shape(const HfForm& form, const Shape& shape) {
  const auto d = shape.dims();
  switch (form.kind) {
    case Kind::kWhole:
      return shape;
    case Kind::kEach:
      return Shape(d.subspan(1));
    case Kind::kHalf:
    case Kind::kAlternate:
      return {d[0], 2 * d[1], d[2]};
    case Kind::kTransposed:
      return {d[0], d[2], d[1]};
    case Kind::kTransposedAlternate:
      return {d[0], d[2], 2 * d[1]};
    case Kind::kAlternateColumns:
      return with_dims({d[0]}, std::array{2 * d[1]});
  }
  return shape;
}

bool transposes(const HfForm& form) noexcept {
  return form.kind == Kind::kTransposed || form.kind == Kind::kTransposedAlternate ||
         form.kind == Kind::kAlternateColumns;
}

// Cuts the rows of one expert out of a stored stack: half of them, or every other one.
Part part_of_stack(const StoredTensor& stored, const HfForm& form, std::uint64_t expert,
                   std::uint64_t rows) {
  const std::uint64_t in_storage = form.kind == Kind::kWhole ? rows : 2 * rows;
  const bool alternate = form.kind == Kind::kAlternate;
  const auto side = static_cast<std::uint64_t>(form.part);
  const std::uint64_t first = expert * in_storage + side * (alternate ? 1 : rows);
  Part part = stored.parts[0];
  for (std::size_t p = 0; p < stored.encoding.planes(); ++p) {
    const std::uint64_t sharing = stored.encoding.rows_sharing(p);
    part[p].offset += first / sharing * part[p].row_step;
    part[p].bytes = (rows + sharing - 1) / sharing * part[p].row_step;
    if (alternate) part[p].row_step *= 2;
  }
  return part;
}

// One expert of a transposed stack: columns and rows change their parts.
Part part_of_transposed(const StoredTensor& stored, const HfForm& form, std::uint64_t expert,
                        std::uint64_t rows, std::uint64_t cols) {
  const std::uint64_t element = info(stored.encoding.dtype).block_bytes;
  const std::uint64_t each = form.kind == Kind::kTransposed ? 1 : 2;
  Part part = stored.parts[0];
  part[0].offset += (expert * rows * cols * each + static_cast<std::uint64_t>(form.part)) * element;
  part[0].bytes = rows * cols * element;
  part[0].row_step = each * element;
  part[0].col_step = rows * each * element;
  return part;
}

[[noreturn]] void throw_shape(const Shape& stored, const Shape& wanted) {
  throw Error(ErrorCode::kCorruptFile,
              fmt::format("has shape {}, the configuration says {}", stored.to_string(),
                          wanted.to_string()),
              kNoMatch);
}

}  // namespace

StoredQuantization stored_quantization(const json& config) {
  const json* found = JsonParams(config).find("quantization_config");
  if (found == nullptr || JsonParams(config).has("quantization")) return StoredQuantization::kNone;
  return with_context("quantization_config", [&] {
    const JsonParams params(*found);
    const std::string method = params.text_or("quant_method", "of an unknown kind");
    if (method == "mxfp4") return StoredQuantization::kMxfp4;
    if (method != "fp8") {
      throw Error(
          ErrorCode::kUnsupported,
          fmt::format("weights quantized by \"{}\" are not supported", printable(method, 40)),
          "use the model's BF16 checkpoint; fp8 and mxfp4 are read too");
    }
    const json* block = params.find("weight_block_size");
    if (block == nullptr || *block != json::array({128, 128})) {
      throw Error(ErrorCode::kUnsupported, "only tiles of 128 by 128 are supported",
                  "use the model's BF16 checkpoint")
          .at("weight_block_size");
    }
    if (params.text_or("fmt", "e4m3") != "e4m3") {
      throw Error(ErrorCode::kUnsupported, "only e4m3 is supported").at("fmt");
    }
    return StoredQuantization::kFp8;
  });
}

std::optional<Shards::Found> Shards::find_entry(const std::string& name) const {
  const auto found = by_name_.find(name);
  if (found == by_name_.end()) return std::nullopt;
  return found->second;
}

std::optional<Shards::Found> Shards::take_entry(const std::string& name) {
  const auto found = by_name_.find(name);
  if (found == by_name_.end()) return std::nullopt;
  found->second.taken = true;
  return found->second;
}

Shards::Found Shards::require_entry(const std::string& name, const std::string& beside) {
  if (const auto found = take_entry(name)) return *found;
  throw Error(ErrorCode::kCorruptFile, fmt::format("tensor is missing, {} is there", beside),
              "download or convert the model again")
      .at(printable(name));
}

std::optional<StoredTensor> Shards::take(const TensorSpec& spec) {
  const std::string& whole = is_mlx_ ? spec.mlx : spec.hf;
  if (is_mlx_ || spec.forms.empty()) {
    const auto found = find_entry(whole);
    if (!found) return std::nullopt;
    return with_context(file_name(found->file),
                        [&] { return take_whole(spec, whole, spec.shape); });
  }
  for (const HfForm& form : spec.forms) {
    const std::string name = tensor_name(form.name, spec.key.layer);
    const auto found = find_entry(form.mxfp4 ? name + "_blocks" : name);
    if (!found) continue;
    return with_context(file_name(found->file), [&] { return take_form(spec, form); });
  }
  return std::nullopt;
}

StoredTensor Shards::take_whole(const TensorSpec& spec, const std::string& name,
                                const Shape& shape) {
  const Found weight = *take_entry(name);
  const DType dtype = weight.entry->dtype;
  StoredTensor stored;
  if (is_mlx_ && spec.is_matrix && dtype == DType::kU32) {
    stored = mlx_tensor(spec, name, weight);
  } else if (dtype == DType::kF8E4M3) {
    stored = fp8_tensor(spec.key, name, weight);
  } else {
    stored = contiguous_tensor(spec.key, name, Encoding{.dtype = dtype}, weight.entry->shape,
                               std::array{weight.plane()});
  }
  with_context(name, [&] {
    if (stored.shape != shape) throw_shape(stored.shape, shape);
  });
  return stored;
}

StoredTensor Shards::take_form(const TensorSpec& spec, const HfForm& form) {
  const std::string first = tensor_name(form.name, spec.key.layer);
  const Shape shape = stored_shape(form, spec.shape);
  const std::uint64_t experts = spec.shape[0];
  if (form.kind == Kind::kEach) {
    StoredTensor all;
    for (std::uint64_t e = 0; e < experts; ++e) {
      const std::string name = tensor_name(form.name, spec.key.layer, e);
      if (!find_entry(name)) require_entry(name, first);  // throws
      const StoredTensor one = take_whole(spec, name, shape);
      if (e == 0) {
        all = one;
        all.parts.clear();
      } else if (one.encoding != all.encoding) {
        throw Error(ErrorCode::kUnsupported,
                    fmt::format("is stored as {}, {} as {}", one.encoding.name(), first,
                                all.encoding.name()),
                    "the experts of a layer must be stored alike")
            .at(name);
      }
      all.parts.push_back(one.parts[0]);
      all.part_names.push_back(name);
    }
    all.shape = spec.shape;
    return all;
  }
  StoredTensor whole = form.mxfp4 ? mxfp4_tensor(spec.key, first) : take_whole(spec, first, shape);
  return with_context(first, [&] {
    if (whole.shape != shape) throw_shape(whole.shape, shape);
    const bool plain = whole.encoding.is_plain();
    const std::uint64_t rows = spec.shape.rank() == 3 ? spec.shape[1] : 1;
    if ((transposes(form) && !plain) ||
        (whole.encoding.layout == Layout::kFp8 && rows % Encoding::kFp8Tile != 0)) {
      throw Error(
          ErrorCode::kUnsupported,
          fmt::format("is stored as {}, which cannot be taken apart here", whole.encoding.name()),
          "use the model's BF16 checkpoint");
    }
    StoredTensor stored{spec.key, first, whole.encoding, spec.shape, {}, {}};
    if (form.kind == Kind::kAlternateColumns) {
      Part part = whole.parts[0];
      const std::uint64_t element = info(whole.encoding.dtype).block_bytes;
      part[0].offset += static_cast<std::uint64_t>(form.part) * element;
      part[0].bytes = spec.shape.elements() * element;
      part[0].col_step = 2 * element;
      stored.parts.push_back(part);
      return stored;
    }
    for (std::uint64_t e = 0; e < experts; ++e) {
      stored.parts.push_back(transposes(form)
                                 ? part_of_transposed(whole, form, e, rows, spec.shape[2])
                                 : part_of_stack(whole, form, e, rows));
    }
    return stored;
  });
}

// NAME_blocks [experts, rows, groups, 16] and NAME_scales [experts, rows, groups], bytes both.
StoredTensor Shards::mxfp4_tensor(TensorKey key, const std::string& name) {
  const Found blocks = require_entry(name + "_blocks", name);
  const Found scales = require_entry(name + "_scales", name + "_blocks");
  const Shape& b = blocks.entry->shape;
  const Shape& s = scales.entry->shape;
  const bool consistent = blocks.entry->dtype == DType::kU8 && scales.entry->dtype == DType::kU8 &&
                          b.rank() == 4 && s.rank() == 3 && b[3] == 16 && b[0] == s[0] &&
                          b[1] == s[1] && b[2] == s[2];
  if (!consistent) {
    throw Error(ErrorCode::kCorruptFile,
                fmt::format("blocks {} and scales {} do not make MXFP4 weights", b.to_string(),
                            s.to_string()),
                "download the model again")
        .at(name);
  }
  return contiguous_tensor(key, name, Encoding::mxfp4(), Shape({b[0], b[1], 32 * b[2]}),
                           std::array{blocks.plane(), scales.plane()});
}

// NAME and NAME_scale_inv, one scale a tile of 128 by 128 in every matrix of a stack.
StoredTensor Shards::fp8_tensor(TensorKey key, const std::string& name, const Found& weight) {
  const Found scales = require_entry(name + "_scale_inv", name);
  const auto tiles = [](std::uint64_t n) {
    return (n + Encoding::kFp8Tile - 1) / Encoding::kFp8Tile;
  };
  const Shape& w = weight.entry->shape;
  const Shape& s = scales.entry->shape;
  bool consistent = w.rank() >= 2 && s.rank() == w.rank() && is_plain_float(scales.entry->dtype);
  for (std::size_t i = 0; consistent && i < w.rank(); ++i) {
    consistent = s[i] == (i + 2 < w.rank() ? w[i] : tiles(w[i]));
  }
  // Tiles do not cross from one matrix of a stack to the next.
  if (consistent && w.rank() == 3 && w[1] % Encoding::kFp8Tile != 0) consistent = false;
  if (!consistent) {
    throw Error(ErrorCode::kCorruptFile,
                fmt::format("FP8 weights {} and scales {} do not belong together", w.to_string(),
                            s.to_string()),
                "download the model again")
        .at(name);
  }
  return contiguous_tensor(key, name, Encoding::fp8(scales.entry->dtype), w,
                           std::array{weight.plane(), scales.plane()});
}

// An MLX module: X.weight holds codes, X.scales and, where the mode is affine, X.biases one value a
// group. Bits and group size follow from the shapes and the logical one; config.json must agree.
StoredTensor Shards::mlx_tensor(const TensorSpec& spec, const std::string& name,
                                const Found& weight) {
  const std::string module(module_of(name));
  const Found scales = require_entry(module + ".scales", name);
  const auto biases = take_entry(module + ".biases");
  const std::uint64_t cols = spec.shape.cols();
  const std::uint64_t code_bits = weight.entry->shape.cols() * 32;
  const std::uint64_t groups = scales.entry->shape.cols();
  const DType scale_type = scales.entry->dtype;
  const bool affine = biases.has_value();
  const auto same_rows = [&](const Shape& shape) {
    return shape.rank() == spec.shape.rank() &&
           std::ranges::equal(shape.dims().first(shape.rank() - 1),
                              spec.shape.dims().first(spec.shape.rank() - 1));
  };
  const bool consistent =
      same_rows(weight.entry->shape) && same_rows(scales.entry->shape) &&
      (affine ? scales.entry->shape == biases->entry->shape && scale_type == biases->entry->dtype &&
                    is_plain_float(scale_type)
              : scale_type == DType::kU8) &&
      groups > 0 && cols % groups == 0 && code_bits % cols == 0;
  const std::uint64_t bits = consistent ? code_bits / cols : 0;
  const std::uint64_t group = consistent ? cols / groups : 0;
  const auto small_float = std::ranges::find_if(kSmallFloats, [&](const Encoding& encoding) {
    return encoding.bits == bits && encoding.group_size == group;
  });
  const bool known =
      affine ? is_affine_bits(bits) && is_affine_group(group) : small_float != kSmallFloats.end();
  if (consistent && !known && !affine) {
    throw Error(
        ErrorCode::kUnsupported,
        fmt::format("{} bits in groups of {} without biases are not supported", bits, group),
        kModesRead)
        .at(name);
  }
  if (!known) {
    throw Error(ErrorCode::kCorruptFile,
                fmt::format("codes {} and scales {} do not make a matrix of {}",
                            weight.entry->shape.to_string(), scales.entry->shape.to_string(),
                            spec.shape.to_string()),
                kNoMatch)
        .at(name);
  }
  const Encoding encoding =
      affine ? Encoding::affine(static_cast<int>(bits), static_cast<int>(group), scale_type)
             : *small_float;
  check_against_config(module, encoding);
  std::vector<PlaneLocation> planes{weight.plane(), scales.plane()};
  if (affine) planes.push_back(biases->plane());
  return contiguous_tensor(spec.key, name, encoding, spec.shape, planes);
}

void Shards::check_against_config(const std::string& module, const Encoding& encoding) const {
  if (!quantization_.is_object()) return;
  const auto own = quantization_.find(module);
  const json& settings = own != quantization_.end() && own->is_object() ? *own : quantization_;
  with_context(own != quantization_.end() ? "quantization: " + module : "quantization", [&] {
    const JsonParams params(settings);
    const std::string mode = params.text_or("mode", "affine");
    const auto small_float = std::ranges::find(kSmallFloats, mode, &Encoding::name);
    const bool affine = mode == "affine";
    if (!affine && small_float == kSmallFloats.end()) {
      throw Error(ErrorCode::kUnsupported,
                  fmt::format("mode \"{}\" is not supported", printable(mode, 40)), kModesRead)
          .at(module);
    }
    // What is missing means the mode's usual values, as mlx-lm reads it.
    const Encoding usual = affine ? Encoding::affine(4, 64, DType::kBF16) : *small_float;
    if (usual.layout != encoding.layout ||
        params.count_or("bits", 32, usual.bits) != encoding.bits ||
        params.count_or("group_size", 1024, usual.group_size) != encoding.group_size) {
      throw Error(ErrorCode::kCorruptFile,
                  fmt::format("config.json does not describe the stored {}", encoding.name()),
                  kNoMatch)
          .at(module);
    }
  });
}

}  // namespace pajamas::model
