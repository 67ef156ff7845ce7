// The files of one output while it is written.
#pragma once

#include <atomic>
#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <span>
#include <vector>

#include "base/output.h"
#include "quantize/plan.h"

namespace pajamas::quantize {

// Whether the output is one file; otherwise it is a folder of named files.
bool is_single_file(const PlannedOutput& plan) noexcept;

// Creates what a plan says, complete but for its weights, under names that only `commit` makes the
// output's. Writing is safe from many threads. Throws what OutputFile and OutputDirectory throw.
class OutputWriter {
 public:
  // `plan` must outlive it.
  OutputWriter(const PlannedOutput& plan, OutputOptions options);

  const PlannedOutput& plan() const noexcept { return plan_; }
  // Null where the output does not have it, or not from a checkpoint.
  const PlannedTensor* find(model::TensorKey key) const noexcept;

  // `offset` counts from the plane's first byte.
  void write(const PlannedPlane& where, std::uint64_t offset, std::span<const std::byte> bytes);
  void commit();

 private:
  const PlannedOutput& plan_;
  std::map<model::TensorKey, std::size_t> index_;
  std::optional<OutputDirectory> folder_;
  std::vector<std::unique_ptr<OutputFile>> files_;
  std::vector<std::atomic<std::uint64_t>> written_;  // bytes of each file
};

}  // namespace pajamas::quantize
