#include "io/imatrix.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <map>
#include <utility>

#include "base/bytes.h"
#include "base/error.h"
#include "base/file.h"
#include "io/gguf.h"
#include "io/gguf_values.h"

namespace pajamas::io {
namespace {

constexpr std::string_view kSums = ".in_sum2", kCounts = ".counts";
constexpr std::string_view kType = "imatrix";
// No model has more tensors, and no name is longer: what says so is no old form.
constexpr std::int32_t kMaxEntries = 1 << 20;
constexpr std::int32_t kMaxName = 1 << 12;

[[noreturn]] void fail(std::string problem) {
  throw Error(ErrorCode::kCorruptFile, std::move(problem),
              "make it again with llama-pajamas imatrix");
}

void check_values(const std::vector<float>& values, const char* what) {
  for (const float v : values) {
    if (!std::isfinite(v) || v < 0) fail(fmt::format("a {} is {}", what, v));
  }
}

// --- GGUF ----------------------------------------------------------------------------------------

std::vector<float> read_floats(const GgufFile& file, const GgufTensor& tensor) {
  if (tensor.dtype != DType::kF32) fail("the numbers are not float32");
  std::vector<float> values(tensor.bytes / sizeof(float));
  file.files()[tensor.file].read_at(tensor.offset, std::as_writable_bytes(std::span(values)));
  return values;
}

Imatrix of_gguf(const GgufFile& file) {
  const GgufMetadata& keys = file.metadata();
  const std::string* type = keys.find_string("general.type");
  if (type == nullptr || *type != kType) {
    throw Error(ErrorCode::kUnsupported, "is a GGUF file, but no importance matrix",
                "give a file that llama-pajamas imatrix or llama-imatrix wrote");
  }
  Imatrix result;
  if (const auto* datasets = keys.find_strings("imatrix.datasets")) result.datasets = *datasets;
  result.chunks = keys.find_unsigned("imatrix.chunk_count").value_or(0);
  result.chunk_size = keys.find_unsigned("imatrix.chunk_size").value_or(0);
  std::map<std::string_view, std::pair<const GgufTensor*, const GgufTensor*>> pairs;
  for (const GgufTensor& tensor : file.tensors()) {
    const std::string_view name = tensor.name;
    if (name.ends_with(kSums)) pairs[name.substr(0, name.size() - kSums.size())].first = &tensor;
    if (name.ends_with(kCounts)) {
      pairs[name.substr(0, name.size() - kCounts.size())].second = &tensor;
    }
  }
  for (const auto& [name, pair] : pairs) {
    const auto& [sums, counts] = pair;
    with_context(printable(name), [&, &entry_name = name, sum = sums, count = counts] {
      if (sum == nullptr || count == nullptr) {
        fail(fmt::format("has no {}", sum == nullptr ? kSums : kCounts));
      }
      ImatrixEntry entry{std::string(entry_name), sum->shape.cols(), read_floats(file, *count), {}};
      if (entry.counts.size() != sum->shape.rows()) {
        fail(fmt::format("has {} sums and {} counts", sum->shape.rows(), entry.counts.size()));
      }
      const std::vector<float> values = read_floats(file, *sum);
      check_values(values, "sum");
      check_values(entry.counts, "count");
      entry.sums.assign(values.begin(), values.end());
      result.entries.push_back(std::move(entry));
    });
  }
  return result;
}

struct GgufForm {
  GgufMetadata metadata;
  std::vector<GgufSpec> tensors;
};

GgufForm gguf_form(const Imatrix& imatrix) {
  GgufForm form;
  form.metadata.add("general.type", std::string(kType));
  form.metadata.add("imatrix.datasets", GgufArray(imatrix.datasets));
  form.metadata.add("imatrix.chunk_count", static_cast<std::uint32_t>(imatrix.chunks));
  form.metadata.add("imatrix.chunk_size", static_cast<std::uint32_t>(imatrix.chunk_size));
  for (const ImatrixEntry& entry : imatrix.entries) {
    const std::uint64_t matrices = entry.counts.size();
    const bool one = matrices == 1;
    form.tensors.push_back({entry.name + std::string(kSums), DType::kF32,
                            one ? Shape{entry.columns} : Shape{matrices, entry.columns}});
    form.tensors.push_back(
        {entry.name + std::string(kCounts), DType::kF32, one ? Shape{1} : Shape{matrices, 1}});
  }
  return form;
}

std::string gguf_bytes(const Imatrix& imatrix) {
  const GgufForm form = gguf_form(imatrix);
  const GgufLayout layout = lay_out_gguf(form.metadata, form.tensors);
  std::string out = layout.header;
  out.resize(layout.file_bytes, '\0');
  auto* const bytes = reinterpret_cast<std::byte*>(out.data());
  for (std::size_t i = 0; i < imatrix.entries.size(); ++i) {
    const ImatrixEntry& entry = imatrix.entries[i];
    for (std::size_t j = 0; j < entry.sums.size(); ++j) {
      store_le(bytes + layout.offsets[2 * i] + j * sizeof(float),
               static_cast<float>(entry.sums[j]));
    }
    for (std::size_t j = 0; j < entry.counts.size(); ++j) {
      store_le(bytes + layout.offsets[2 * i + 1] + j * sizeof(float), entry.counts[j]);
    }
  }
  return out;
}

// --- the form before -----------------------------------------------------------------------------

// Reads a file forward; every length is compared with what is left of it before it is used.
class Reader {
 public:
  explicit Reader(const File& file) : file_(file) {}

  std::uint64_t left() const { return file_.size() - offset_; }
  std::int32_t number() {
    std::byte raw[sizeof(std::int32_t)];
    take(raw);
    return load_le<std::int32_t>(raw);
  }
  std::string text(std::int32_t length, std::int32_t most) {
    if (length < 0 || length > most) fail(fmt::format("a name of {} bytes", length));
    std::string out(require(static_cast<std::uint64_t>(length), 1), '\0');
    take(std::as_writable_bytes(std::span(out)));
    return out;
  }
  std::vector<float> floats(std::int32_t count) {
    if (count <= 0) fail(fmt::format("{} numbers", count));
    std::vector<float> out(require(static_cast<std::uint64_t>(count), sizeof(float)));
    take(std::as_writable_bytes(std::span(out)));
    return out;
  }

 private:
  std::uint64_t require(std::uint64_t count, std::uint64_t bytes_each) const {
    if (count > left() / bytes_each) fail("the file ends too soon");
    return count;
  }
  void take(std::span<std::byte> out) {
    require(out.size(), 1);
    file_.read_at(offset_, out);
    offset_ += out.size();
  }

  const File& file_;
  std::uint64_t offset_ = 0;
};

Imatrix of_dat(const File& file) {
  Reader reader(file);
  Imatrix result;
  result.counts_rows = false;
  const std::int32_t entries = reader.number();
  if (entries <= 0 || entries > kMaxEntries) fail("is no importance matrix");
  for (std::int32_t i = 0; i < entries; ++i) {
    ImatrixEntry entry;
    entry.name = reader.text(reader.number(), kMaxName);
    with_context(printable(entry.name), [&] {
      const std::int32_t calls = reader.number();
      if (calls < 0) fail(fmt::format("was seen {} times", calls));
      const std::vector<float> values = reader.floats(reader.number());
      check_values(values, "sum");
      entry.columns = values.size();
      entry.counts = {static_cast<float>(calls)};
      entry.sums.assign(values.begin(), values.end());
    });
    result.entries.push_back(std::move(entry));
  }
  // The oldest files end here.
  if (reader.left() > 0) {
    result.chunks = static_cast<std::uint64_t>(std::max(0, reader.number()));
    result.datasets.push_back(reader.text(reader.number(), 1 << 20));
  }
  std::ranges::sort(result.entries, {}, &ImatrixEntry::name);
  const auto twice =
      std::ranges::adjacent_find(result.entries, std::ranges::equal_to{}, &ImatrixEntry::name);
  if (twice != result.entries.end()) {
    fail(fmt::format("{} is there twice", printable(twice->name)));
  }
  return result;
}

std::string dat_bytes(const Imatrix& imatrix) {
  std::string out;
  const auto number = [&](auto value) { append_number(out, static_cast<std::int32_t>(value)); };
  const auto text = [&](const std::string& value) {
    number(value.size());
    out += value;
  };
  const auto chunk = static_cast<double>(std::max<std::uint64_t>(1, imatrix.chunk_size));
  number(imatrix.entries.size());
  for (const ImatrixEntry& entry : imatrix.entries) {
    text(entry.name);
    // What is read is divided by the number of chunks that saw most: a mean.
    const double most = *std::ranges::max_element(entry.counts);
    const double calls = std::ceil(most / chunk);
    number(calls);
    number(entry.sums.size());
    for (std::size_t i = 0; i < entry.sums.size(); ++i) {
      const double count = entry.counts[i / entry.columns];
      const double mean = count > 0 ? entry.sums[i] / count : 1;
      append_number(out, static_cast<float>(mean * calls));
    }
  }
  number(imatrix.chunks);
  text(imatrix.datasets.empty() ? std::string() : imatrix.datasets.front());
  return out;
}

}  // namespace

ImatrixForm imatrix_form(const std::filesystem::path& path) {
  return path.extension() == ".dat" ? ImatrixForm::kDat : ImatrixForm::kGguf;
}

Imatrix read_imatrix(const std::filesystem::path& path) {
  const std::string place = printable(path.native(), 300);
  if (looks_like_gguf(path)) {
    const GgufFile file = GgufFile::open(path);
    return with_context(place, [&] { return of_gguf(file); });
  }
  const File file = File::open(path);
  return with_context(place, [&] { return of_dat(file); });
}

std::string imatrix_bytes(const Imatrix& imatrix, ImatrixForm form) {
  Imatrix sorted = imatrix;
  std::ranges::sort(sorted.entries, {}, &ImatrixEntry::name);
  return form == ImatrixForm::kGguf ? gguf_bytes(sorted) : dat_bytes(sorted);
}

ImatrixFile::ImatrixFile(const std::filesystem::path& path, const Imatrix& plan,
                         OutputOptions options)
    : form_(imatrix_form(path)), file_(path, imatrix_bytes(plan, form_).size(), options) {}

void ImatrixFile::write(const Imatrix& imatrix) {
  file_.write_at(0, as_byte_span(imatrix_bytes(imatrix, form_)));
  file_.commit();
}

}  // namespace pajamas::io
