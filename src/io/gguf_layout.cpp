#include <fmt/format.h>

#include <set>

#include "base/bytes.h"
#include "base/error.h"
#include "io/gguf.h"
#include "io/gguf_limits.h"
#include "io/gguf_values.h"

namespace pajamas::io {
namespace {

void check_spec(const GgufSpec& spec) {
  if (spec.name.size() > kMaxGgufTensorName) {
    throw Error(ErrorCode::kUnsupported, fmt::format("the name has {} bytes, GGUF allows {}",
                                                     spec.name.size(), kMaxGgufTensorName));
  }
  if (info(spec.dtype).gguf_id < 0) {
    throw Error(ErrorCode::kUnsupported,
                fmt::format("GGUF cannot store {}", info(spec.dtype).name));
  }
  if (spec.shape.cols() % info(spec.dtype).block_elems != 0) {
    throw Error(ErrorCode::kUnsupported,
                fmt::format("rows of {} are no multiple of {}'s block of {}", spec.shape.cols(),
                            info(spec.dtype).name, info(spec.dtype).block_elems));
  }
}

// Name, extents with the row first, type, and the offset within the data section.
void append_tensor(std::string& out, const GgufSpec& spec, std::uint64_t offset) {
  append_string(out, spec.name);
  append_number(out, static_cast<std::uint32_t>(spec.shape.rank()));
  for (std::size_t i = spec.shape.rank(); i-- > 0;) append_number(out, spec.shape[i]);
  append_number(out, static_cast<std::uint32_t>(info(spec.dtype).gguf_id));
  append_number(out, offset);
}

}  // namespace

std::uint64_t gguf_tensor_bytes(DType dtype, const Shape& shape) {
  return checked_mul(shape.elements() / info(dtype).block_elems, info(dtype).block_bytes);
}

GgufLayout lay_out_gguf(const GgufMetadata& metadata, std::span<const GgufSpec> tensors,
                        std::uint64_t alignment) {
  // A reader learns any other alignment from this key alone.
  PJ_CHECK(metadata.find_unsigned(kGgufAlignmentKey).value_or(kGgufAlignment) == alignment);
  GgufLayout layout;
  std::string& header = layout.header;
  header = kGgufMagic;
  append_number(header, kGgufVersion);
  append_number(header, static_cast<std::uint64_t>(tensors.size()));
  append_number(header, static_cast<std::uint64_t>(metadata.pairs().size()));
  for (const GgufPair& pair : metadata.pairs()) {
    append_string(header, pair.key);
    append_value(header, pair.value);
  }
  std::set<std::string_view> names;
  std::uint64_t end = 0;
  for (const GgufSpec& spec : tensors) {
    with_context(printable(spec.name), [&] {
      check_spec(spec);
      if (!names.insert(spec.name).second) {
        throw Error(ErrorCode::kUnsupported, "two tensors would have this name");
      }
      append_tensor(header, spec, end);
      layout.offsets.push_back(end);
      end = align_up(checked_add(end, gguf_tensor_bytes(spec.dtype, spec.shape)), alignment);
    });
  }
  header.resize(align_up(header.size(), alignment), '\0');
  for (std::uint64_t& offset : layout.offsets) offset = checked_add(offset, header.size());
  layout.file_bytes = checked_add(end, header.size());
  return layout;
}

}  // namespace pajamas::io
