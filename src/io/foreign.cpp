#include "io/foreign.h"

#include <algorithm>
#include <array>
#include <string_view>

#include "base/bytes.h"
#include "base/error.h"

namespace pajamas::io {
namespace {

struct Signature {
  std::string_view start;
  std::string_view what;
  std::string_view hint;
};

constexpr std::string_view kDownload = "download the file itself";
constexpr std::array<Signature, 5> kSignatures{{
    {"version https://git-lfs", "is a Git LFS pointer, not the file it stands for",
     "run `git lfs pull`, or download the file itself"},
    {"<!DOCTYPE", "is a web page", kDownload},
    {"<!doctype", "is a web page", kDownload},
    {"<html", "is a web page", kDownload},
    {"PK\x03\x04", "is a zip archive, such as PyTorch writes",
     "give a model with .safetensors or .gguf files"},
}};

}  // namespace

void refuse_foreign(const File& file) {
  std::array<std::byte, 32> buffer{};
  const auto start = std::span(buffer).first(std::min<std::uint64_t>(buffer.size(), file.size()));
  file.read_at(0, start);
  for (const Signature& signature : kSignatures) {
    if (as_text(start).starts_with(signature.start)) {
      throw Error(ErrorCode::kCorruptFile, std::string(signature.what),
                  std::string(signature.hint));
    }
  }
}

}  // namespace pajamas::io
