// Importance matrices in files: how large the inputs of each matrix of a model are, column by
// column, as llama.cpp's imatrix tool measures and llama-quantize reads them.
#pragma once

#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

#include "base/output.h"

namespace pajamas::io {

// What one tensor's matrices (one, or one for each expert) were multiplied with.
struct ImatrixEntry {
  std::string name;           // of the weight, as GGUF calls it
  std::uint64_t columns = 0;  // of a row of `sums`
  std::vector<float> counts;  // [matrices]: input rows that were summed
  std::vector<double> sums;   // [matrices][columns]: squares of the inputs

  friend bool operator==(const ImatrixEntry&, const ImatrixEntry&) = default;
};

struct Imatrix {
  std::vector<std::string> datasets;  // the texts that ran
  std::uint64_t chunks = 0;           // pieces of text
  std::uint64_t chunk_size = 0;       // tokens of each; 0 where the file does not say it
  // False of the old form, which keeps neither counts nor the number of experts: an entry is one
  // matrix with all experts' columns in a row, and its count is a number of chunks.
  bool counts_rows = true;
  std::vector<ImatrixEntry> entries;  // by name
};

enum class ImatrixForm {
  kGguf,  // tensors NAME.in_sum2 and NAME.counts
  kDat,   // the form before it
};
// The old form where the name ends in ".dat".
ImatrixForm imatrix_form(const std::filesystem::path& path);

// Tells the forms apart by content. Throws Error{kCorruptFile} where bytes contradict the form, a
// sum has no count, a number is negative or not finite; kUnsupported for a GGUF file that is
// something else; kNotFound, kIo.
Imatrix read_imatrix(const std::filesystem::path& path);

// A file that is written at the end of long work: opened, and its space reserved, before that.
class ImatrixFile {
 public:
  // `plan` has the names and sizes of what will be written, and no more datasets. Throws as
  // OutputFile does.
  ImatrixFile(const std::filesystem::path& path, const Imatrix& plan, OutputOptions options);
  // Throws Error{kUnsupported} for a name that GGUF cannot store, and as OutputFile does.
  void write(const Imatrix& imatrix);

 private:
  ImatrixForm form_;
  OutputFile file_;
};

// The whole file. Entries need not be in order.
std::string imatrix_bytes(const Imatrix& imatrix, ImatrixForm form);

}  // namespace pajamas::io
