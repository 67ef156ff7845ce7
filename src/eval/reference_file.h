// A reference's distributions on a text, computed once: any number of models are judged by them.
#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <optional>
#include <span>
#include <string_view>
#include <vector>

#include "base/file.h"
#include "base/output.h"
#include "eval/kept_distribution.h"
#include "text/tokenizer.h"

namespace pajamas::eval {

enum class ReferenceForm : std::uint8_t {
  kCompact,  // ours, less than 1 % of the logits
  kCoded,    // llama.cpp's (--kl-divergence-base), half of the logits
};

// Of ids and bytes of all tokens: equal for every form of a model.
std::uint64_t vocabulary_fingerprint(const text::Tokenizer& tokenizer);

struct ReferenceHeader {
  ReferenceForm form = ReferenceForm::kCompact;
  std::uint32_t context = 0;         // tokens of a chunk
  std::uint32_t vocab = 0;           // logits of a position
  std::uint64_t fingerprint = 0;     // of the vocabulary; llama.cpp's form has none: 0
  CompactShape shape{};              // of the compact form
  std::vector<std::int32_t> tokens;  // whole chunks, one after the other

  std::uint64_t chunks() const noexcept { return tokens.size() / context; }
  // Positions of a chunk whose predictions are kept: context / 2 to context - 2.
  std::uint64_t scored() const noexcept { return context - 1 - context / 2; }
};

// Whether the file begins as one of the two forms does; false where it cannot be read.
bool is_reference_file(const std::filesystem::path& path) noexcept;

class ReferenceFile {
 public:
  // Throws Error{kCorruptFile} for a file that is cut or contradicts itself, and as File::open.
  static ReferenceFile open(const std::filesystem::path& path);

  const ReferenceHeader& header() const noexcept { return header_; }
  // `logits` against scored position `index` of all chunks. From any thread. Throws
  // Error{kCorruptFile}, with the position, for bytes that are no distribution.
  PositionScore score(std::uint64_t index, std::span<const float> logits, std::int32_t next) const;

 private:
  ReferenceFile(File file, ReferenceHeader header, std::uint64_t begin);

  File file_;
  ReferenceHeader header_;
  std::uint64_t begin_;  // of the first position
  std::uint64_t bytes_;  // of a position
};

class ReferenceWriter {
 public:
  // `header.shape` is chosen here. Throws as OutputFile.
  ReferenceWriter(const std::filesystem::path& path, ReferenceHeader header, OutputOptions options);

  // Scored position `index` of all chunks, each once, in any order and from any thread.
  void put(std::uint64_t index, std::span<const float> logits, std::int32_t next);
  void commit() { file_.commit(); }

 private:
  ReferenceHeader header_;
  std::vector<std::byte> front_;  // what stands before the first position
  OutputFile file_;
};

}  // namespace pajamas::eval
