#include "hub/headers.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>

#include "base/bytes.h"
#include "base/file.h"

namespace pajamas::hub {
namespace {

namespace fs = std::filesystem;

constexpr std::uint64_t kLengthBytes = 8;
constexpr std::uint64_t kFirstBytes = 256u << 10;       // most shards' headers are shorter
constexpr std::uint64_t kMaxHeaderBytes = 100'000'000;  // longer ones the reader refuses
constexpr std::uint64_t kFirstGgufBytes = 1u << 20;
constexpr std::uint64_t kMaxGgufBytes = 64u << 20;

}  // namespace

HeaderFiles::HeaderFiles(const Settings& settings, const ModelId& id, const std::string& commit,
                         const Cache& cache, Watch watch)
    : settings_(settings),
      id_(id),
      commit_(commit),
      cache_(cache),
      watch_(watch),
      snapshot_(folder_.path() / cache.folder().filename() / "snapshots" / commit) {
  fs::create_directories(snapshot_);
}

void HeaderFiles::link(const std::string& path) const {
  const fs::path target = snapshot_ / path;
  fs::create_directories(target.parent_path());
  fs::create_symlink(fs::absolute(cache_.snapshot(commit_) / path), target);
}

void HeaderFiles::add_small(const std::vector<std::string>& paths) const {
  for (const std::string& path : paths) link(path);
}

std::vector<RepoFile> HeaderFiles::missing(const std::vector<RepoFile>& files) const {
  std::vector<RepoFile> rest;
  for (const RepoFile& file : files) {
    if (cache_.has(commit_, file.path)) {
      link(file.path);
    } else {
      rest.push_back(file);
    }
  }
  return rest;
}

void HeaderFiles::extend(const std::vector<RepoFile>& files,
                         const std::vector<ByteRange>& ranges) const {
  std::vector<FileRange> pieces;
  for (std::size_t i = 0; i < files.size(); ++i) {
    const ByteRange range{std::min(ranges[i].first, files[i].size),
                          std::min(ranges[i].end, files[i].size)};
    if (range.first < range.end) pieces.push_back({files[i].path, range, files[i].size, {}});
  }
  if (pieces.empty()) return;
  fetch_ranges(settings_, id_, commit_, pieces, "reading headers", watch_);
  for (const FileRange& piece : pieces) {
    const fs::path path = snapshot_ / piece.path;
    if (fs::exists(path)) fs::resize_file(path, piece.range.first);
    AppendFile(path).append(as_byte_span(piece.bytes));
    fs::resize_file(path, piece.total);
  }
}

void HeaderFiles::add_safetensors(const std::vector<RepoFile>& files) const {
  const std::vector<RepoFile> rest = missing(files);
  extend(rest, std::vector<ByteRange>(rest.size(), ByteRange{0, kFirstBytes}));
  std::vector<RepoFile> longer;
  std::vector<ByteRange> ranges;
  for (const RepoFile& file : rest) {
    if (file.size <= kFirstBytes) continue;
    std::array<std::byte, kLengthBytes> raw{};
    File::open(snapshot_ / file.path).read_at(0, raw);
    const auto length = load_le<std::uint64_t>(raw.data());
    if (length <= kFirstBytes - kLengthBytes || length > kMaxHeaderBytes) continue;
    longer.push_back(file);
    ranges.push_back({kFirstBytes, kLengthBytes + length});
  }
  extend(longer, ranges);
}

void HeaderFiles::add_gguf(const std::vector<RepoFile>& files,
                           const HeaderIsComplete& is_complete) const {
  const std::vector<RepoFile> rest = missing(files);
  std::uint64_t longest = 0;
  for (const RepoFile& file : rest) longest = std::max(longest, file.size);
  for (std::uint64_t from = 0, to = kFirstGgufBytes; from < longest && to <= kMaxGgufBytes;
       from = to, to *= 4) {
    extend(rest, std::vector<ByteRange>(rest.size(), ByteRange{from, to}));
    if (is_complete(snapshot_ / files.front().path)) return;
  }
}

}  // namespace pajamas::hub
