// Facts: llama.cpp, include/llama.h, enum llama_ftype.
#include "cli/model_summary.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <filesystem>
#include <map>

#include "base/error.h"
#include "quantize/method.h"

namespace pajamas::cli {
namespace {

namespace fs = std::filesystem;

constexpr std::uint64_t kGuessed = 1024;  // added to a file type that the file did not name
constexpr std::uint64_t kUsualGroup = 64;

// Those that are no methods of ours.
struct FileType {
  std::uint64_t number;
  std::string_view name;
};
constexpr std::array<FileType, 3> kOtherFileTypes{{{39, "NVFP4"}, {40, "Q1_0"}, {41, "Q2_0"}}};

std::string method_name(const Encoding& encoding) {
  switch (encoding.layout) {
    case Layout::kAffine:
      return encoding.group_size == kUsualGroup
                 ? fmt::format("{}bit", encoding.bits)
                 : fmt::format("{}bit-g{}", encoding.bits, encoding.group_size);
    case Layout::kMxfp4:
      return "MXFP4";
    case Layout::kMxfp8:
      return "MXFP8";
    case Layout::kNvfp4:
      return "NVFP4";
    case Layout::kFp8:
      return "FP8";
    case Layout::kStream:
      break;
  }
  return encoding.name();
}

std::string most_common(const model::Checkpoint& checkpoint) {
  std::map<std::string, std::uint64_t> weights;
  for (const model::StoredTensor& tensor : checkpoint.tensors()) {
    weights[method_name(tensor.encoding)] += tensor.shape.elements();
  }
  const auto most = std::ranges::max_element(weights, {}, [](const auto& w) { return w.second; });
  return most == weights.end() ? "" : most->first;
}

}  // namespace

std::string file_type_name(std::uint64_t file_type) {
  const std::uint64_t number = file_type & ~kGuessed;
  for (const quantize::GgufMethodInfo& method : quantize::gguf_methods()) {
    if (method.file_type == number) return std::string(method.name);
  }
  for (const FileType& type : kOtherFileTypes) {
    if (type.number == number) return std::string(type.name);
  }
  return {};
}

std::string quantization_name(const model::Checkpoint& checkpoint) {
  if (checkpoint.gguf() != nullptr) {
    std::string name;
    try {
      const auto type = checkpoint.gguf()->find_unsigned("general.file_type");
      if (type) name = file_type_name(*type);
    } catch (const Error&) {  // no number: nothing depends on it
    }
    if (!name.empty()) return name;
  }
  return most_common(checkpoint);
}

bool is_quantized(const model::Checkpoint& checkpoint) {
  const bool published = checkpoint.container() == model::Container::kHuggingFace;
  return std::ranges::any_of(checkpoint.tensors(), [&](const model::StoredTensor& tensor) {
    return !tensor.encoding.is_plain() && !(published && tensor.encoding.is_mxfp4());
  });
}

std::uint64_t file_bytes(const model::Checkpoint& checkpoint) {
  std::uint64_t bytes = 0;
  for (const File& file : checkpoint.files()) bytes += file.size();
  return bytes;
}

std::string short_name(const std::string& model) {
  constexpr std::size_t kLongest = 100;
  std::error_code code;
  const fs::path whole = fs::weakly_canonical(model, code);
  if (code || !fs::exists(whole, code)) return printable(model, kLongest);
  const fs::path name =
      whole.filename().empty() ? whole.parent_path().filename() : fs::path(model).filename();
  return printable(
      name.empty() || name == "." || name == ".." ? whole.filename().native() : name.native(),
      kLongest);
}

}  // namespace pajamas::cli
