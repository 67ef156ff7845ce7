#include "eval/reference_file.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cstring>
#include <utility>

#include "base/bytes.h"
#include "base/error.h"

namespace pajamas::eval {
namespace {

// Compact: magic, u32 context, vocab, chunks, top, samples, u64 fingerprint, i32 tokens[], records.
// llama.cpp's: magic, u32 context, i32 vocab, i32 chunks, i32 tokens[], records.
constexpr std::string_view kCompactMagic{"PJREFER\1", 8};
constexpr std::string_view kCodedMagic = "_logits_";
constexpr std::uint32_t kMinContext = 4;
constexpr std::uint32_t kMaxContext = 1 << 20;
constexpr std::uint32_t kMaxVocab = 1 << 30;
constexpr std::uint64_t kCompactFront = 8 + 5 * 4 + 8;
constexpr std::uint64_t kCodedFront = 8 + 3 * 4;

std::uint64_t position_bytes(const ReferenceHeader& header) {
  return header.form == ReferenceForm::kCompact ? header.shape.bytes() : coded_bytes(header.vocab);
}

void require(bool right, std::string_view what) {
  if (right) return;
  throw Error(ErrorCode::kCorruptFile, fmt::format("the reference's header has {}", what));
}

std::vector<std::byte> front_of(const ReferenceHeader& header) {
  std::vector<std::byte> out;
  const auto bytes = [&](const void* from, std::size_t size) {
    const auto* begin = static_cast<const std::byte*>(from);
    out.insert(out.end(), begin, begin + size);
  };
  const auto word = [&](std::uint32_t value) { bytes(&value, sizeof value); };
  const bool compact = header.form == ReferenceForm::kCompact;
  const std::string_view magic = compact ? kCompactMagic : kCodedMagic;
  bytes(magic.data(), magic.size());
  word(header.context);
  word(header.vocab);
  word(static_cast<std::uint32_t>(header.chunks()));
  if (compact) {
    word(header.shape.top);
    word(header.shape.samples);
    bytes(&header.fingerprint, sizeof header.fingerprint);
  }
  bytes(header.tokens.data(), header.tokens.size() * sizeof(std::int32_t));
  return out;
}

void read_tokens(const File& file, std::uint64_t from, std::uint64_t chunks,
                 ReferenceHeader& header) {
  header.tokens.resize(chunks * header.context);
  file.read_at(from, std::as_writable_bytes(std::span(header.tokens)));
  for (const std::int32_t token : header.tokens) {
    if (token >= 0 && static_cast<std::uint32_t>(token) < header.vocab) continue;
    throw Error(ErrorCode::kCorruptFile,
                fmt::format("the reference has a token {} of {}", token, header.vocab));
  }
}

ReferenceHeader read_header(const File& file, std::uint64_t& begin) {
  std::array<std::byte, kCompactFront> front{};
  require(file.size() >= kCodedFront, "too few bytes");
  file.read_at(0, std::span(front).first(8));
  ReferenceHeader header;
  const std::string_view magic = as_text(std::span(front).first(8));
  require(magic == kCompactMagic || magic == kCodedMagic, "another beginning");
  header.form = magic == kCompactMagic ? ReferenceForm::kCompact : ReferenceForm::kCoded;
  const bool compact = header.form == ReferenceForm::kCompact;
  const std::uint64_t size = compact ? kCompactFront : kCodedFront;
  require(file.size() >= size, "too few bytes");
  file.read_at(0, std::span(front).first(size));
  ByteReader reader(std::span<const std::byte>(front).subspan(8));
  header.context = reader.read<std::uint32_t>();
  header.vocab = reader.read<std::uint32_t>();
  const auto chunks = std::uint64_t{reader.read<std::uint32_t>()};
  require(header.context >= kMinContext && header.context <= kMaxContext, "a context of no use");
  require(header.vocab > 0 && header.vocab <= kMaxVocab, "a vocabulary of no use");
  require(chunks > 0 && chunks <= 1u << 30, "no chunks");
  if (compact) {
    header.shape = {header.vocab, reader.read<std::uint32_t>(), reader.read<std::uint32_t>()};
    header.fingerprint = reader.read<std::uint64_t>();
    require(header.shape.top > 0 && header.shape.top <= header.vocab, "no likeliest tokens");
    require(header.shape.samples <= header.vocab, "more samples than tokens");
  }
  const std::uint64_t tokens = checked_mul(chunks, std::uint64_t{header.context} * 4);
  begin = checked_add(size, tokens);
  const std::uint64_t of_chunk = checked_mul(header.scored(), position_bytes(header));
  const std::uint64_t whole = checked_add(begin, checked_mul(chunks, of_chunk));
  if (file.size() < whole) {
    const std::uint64_t there = file.size() < begin ? 0 : (file.size() - begin) / of_chunk;
    throw Error(ErrorCode::kCorruptFile,
                fmt::format("the reference is cut: {} of {} bytes, {} of {} chunks", file.size(),
                            whole, there, chunks),
                "copy it again, or compute it again with --save-reference");
  }
  require(file.size() == whole, "fewer chunks than the file has bytes");
  read_tokens(file, size, chunks, header);
  return header;
}

}  // namespace

std::uint64_t vocabulary_fingerprint(const text::Tokenizer& tokenizer) {
  std::uint64_t hash = 0xcbf29ce484222325u;  // FNV-1a
  const auto add = [&](const void* from, std::size_t size) {
    const auto* bytes = static_cast<const unsigned char*>(from);
    for (std::size_t i = 0; i < size; ++i) hash = (hash ^ bytes[i]) * 0x100000001b3u;
  };
  for (std::uint32_t id = 0; id < tokenizer.vocab_size(); ++id) {
    const std::string_view bytes = tokenizer.token_bytes(static_cast<std::int32_t>(id));
    if (bytes.empty()) continue;  // padding
    add(&id, sizeof id);
    add(bytes.data(), bytes.size());
  }
  return hash;
}

bool is_reference_file(const std::filesystem::path& path) noexcept {
  try {
    std::error_code code;
    if (!std::filesystem::is_regular_file(path, code)) return false;
    const File file = File::open(path);
    std::array<std::byte, 8> magic{};
    if (file.size() < magic.size()) return false;
    file.read_at(0, magic);
    return as_text(magic) == kCompactMagic || as_text(magic) == kCodedMagic;
  } catch (...) {
    return false;  // whoever opens it says why
  }
}

ReferenceFile::ReferenceFile(File file, ReferenceHeader header, std::uint64_t begin)
    : file_(std::move(file)),
      header_(std::move(header)),
      begin_(begin),
      bytes_(position_bytes(header_)) {}

ReferenceFile ReferenceFile::open(const std::filesystem::path& path) {
  return with_context(printable(path.native(), 300), [&] {
    File file = File::open(path);
    std::uint64_t begin = 0;
    ReferenceHeader header = read_header(file, begin);
    return ReferenceFile(std::move(file), std::move(header), begin);
  });
}

PositionScore ReferenceFile::score(std::uint64_t index, std::span<const float> logits,
                                   std::int32_t next) const {
  PJ_CHECK(index < header_.chunks() * header_.scored() && logits.size() == header_.vocab);
  thread_local std::vector<std::byte> kept;
  kept.resize(bytes_);
  return with_context(printable(file_.path().native(), 300), [&] {
    file_.read_at(begin_ + index * bytes_, kept);
    return with_context(fmt::format("position {}", index), [&] {
      return header_.form == ReferenceForm::kCompact
                 ? score_compact(header_.shape, kept, logits, next)
                 : score_coded(kept, logits, next);
    });
  });
}

namespace {
ReferenceHeader shaped(ReferenceHeader header) {
  PJ_CHECK(!header.tokens.empty() && header.tokens.size() % header.context == 0);
  if (header.form == ReferenceForm::kCompact) header.shape = CompactShape::of(header.vocab);
  return header;
}
}  // namespace

ReferenceWriter::ReferenceWriter(const std::filesystem::path& path, ReferenceHeader header,
                                 OutputOptions options)
    : header_(shaped(std::move(header))),
      front_(front_of(header_)),
      file_(path, front_.size() + header_.chunks() * header_.scored() * position_bytes(header_),
            options) {
  file_.write_at(0, front_);
}

void ReferenceWriter::put(std::uint64_t index, std::span<const float> logits, std::int32_t next) {
  PJ_CHECK(index < header_.chunks() * header_.scored() && logits.size() == header_.vocab);
  thread_local std::vector<std::byte> kept;
  const std::uint64_t bytes = position_bytes(header_);
  kept.resize(bytes);
  if (header_.form == ReferenceForm::kCompact) {
    keep_compact(header_.shape, logits, next, index, kept);
  } else {
    keep_coded(logits, kept);
  }
  file_.write_at(front_.size() + index * bytes, kept);
}

}  // namespace pajamas::eval
