#include "quantize/output_writer.h"

#include "base/bytes.h"

namespace pajamas::quantize {
namespace {

// How much is written to one file before the disk is told to begin.
constexpr std::uint64_t kWritebackBytes = 32 << 20;

}  // namespace

bool is_single_file(const PlannedOutput& plan) noexcept {
  return plan.files.size() == 1 && plan.files[0].name.empty();
}

OutputWriter::OutputWriter(const PlannedOutput& plan, OutputOptions options)
    : plan_(plan), written_(plan.files.size()) {
  for (std::size_t i = 0; i < plan.tensors.size(); ++i) {
    if (plan.tensors[i].content.empty()) index_.emplace(plan.tensors[i].spec.key, i);
  }
  const bool single = is_single_file(plan);
  if (!single) folder_.emplace(plan.path, options);
  for (const PlannedFile& file : plan.files) {
    files_.push_back(
        single ? std::make_unique<OutputFile>(plan.path, file.bytes, options)
               : std::make_unique<OutputFile>(folder_->create_file(file.name, file.bytes)));
    files_.back()->write_at(0, as_byte_span(file.header));
  }
  for (const PlannedTensor& tensor : plan.tensors) {
    if (!tensor.content.empty()) write(tensor.planes[0], 0, as_byte_span(tensor.content));
  }
}

const PlannedTensor* OutputWriter::find(model::TensorKey key) const noexcept {
  const auto found = index_.find(key);
  return found == index_.end() ? nullptr : &plan_.tensors[found->second];
}

void OutputWriter::write(const PlannedPlane& where, std::uint64_t offset,
                         std::span<const std::byte> bytes) {
  files_[where.file]->write_at(where.offset + offset, bytes);
  const std::uint64_t before = written_[where.file].fetch_add(bytes.size());
  if (before / kWritebackBytes != (before + bytes.size()) / kWritebackBytes) {
    files_[where.file]->start_writeback();
  }
}

void OutputWriter::commit() {
  for (const SmallFile& small : plan_.small_files) {
    OutputFile file = folder_->create_file(small.name, small.content.size());
    file.write_at(0, as_byte_span(small.content));
    file.commit();
  }
  for (auto& file : files_) file->commit();
  if (folder_) folder_->commit();
}

}  // namespace pajamas::quantize
