#include "text/tokenizer.h"

#include <fmt/format.h>

#include <array>
#include <limits>
#include <unordered_map>

#include "base/error.h"
#include "text/added_tokens.h"
#include "text/bpe.h"
#include "text/byte_alphabet.h"
#include "text/nfc.h"
#include "text/pattern.h"
#include "text/utf8.h"

namespace pajamas::text {
namespace {

using TokenIds = std::unordered_map<std::string_view, std::int32_t>;

[[noreturn]] void corrupt_vocabulary(std::string problem) {
  throw Error(ErrorCode::kCorruptFile, std::move(problem));
}

TokenIds index_tokens(const TokenizerSpec& spec) {
  if (spec.tokens.size() > static_cast<std::size_t>(std::numeric_limits<std::int32_t>::max())) {
    corrupt_vocabulary("the vocabulary has more than 2^31 tokens");
  }
  TokenIds ids;
  ids.reserve(spec.tokens.size());
  for (std::size_t id = 0; id < spec.tokens.size(); ++id) {
    const std::string& token = spec.tokens[id];
    if (token.empty()) continue;
    if (find_invalid_utf8(token) != std::string_view::npos) {
      corrupt_vocabulary(fmt::format("token {} '{}' is not UTF-8", id, printable(token, 40)));
    }
    const auto [found, is_new] = ids.try_emplace(token, static_cast<std::int32_t>(id));
    if (!is_new) {
      corrupt_vocabulary(fmt::format("tokens {} and {} are the same: '{}'", found->second, id,
                                     printable(token, 40)));
    }
  }
  return ids;
}

MergeTable index_merges(const TokenizerSpec& spec, const TokenIds& ids) {
  MergeTable table(spec.merges.size());
  std::string whole;
  for (std::size_t rank = 0; rank < spec.merges.size(); ++rank) {
    const Merge& merge = spec.merges[rank];
    const auto id_of = [&](std::string_view token) {
      const auto found = ids.find(token);
      if (found == ids.end()) {
        corrupt_vocabulary(
            fmt::format("merge {} '{}' needs the token '{}', which is not in the vocabulary", rank,
                        printable(merge.text, 60), printable(token, 60)));
      }
      return found->second;
    };
    if (merge.left_size == 0 || merge.left_size + 1 >= merge.text.size()) {
      corrupt_vocabulary(
          fmt::format("merge {} '{}' is not a pair of tokens", rank, printable(merge.text, 60)));
    }
    whole.assign(merge.left()).append(merge.right());
    table.insert(id_of(merge.left()), id_of(merge.right()),
                 {static_cast<std::uint32_t>(rank), id_of(whole)});
  }
  return table;
}

// Which ids are added tokens, and of which kind; checks them against the vocabulary.
enum class Kind : std::uint8_t { kOrdinary, kAdded, kSpecial };

std::vector<Kind> kinds_of(const TokenizerSpec& spec) {
  std::vector<Kind> kinds(spec.tokens.size(), Kind::kOrdinary);
  for (const AddedToken& token : spec.added_tokens) {
    if (token.id < 0 || static_cast<std::size_t>(token.id) >= kinds.size()) {
      corrupt_vocabulary(fmt::format("the added token '{}' has id {}, beyond the vocabulary",
                                     printable(token.content, 40), token.id));
    }
    const auto id = static_cast<std::size_t>(token.id);
    if (token.content.empty() || spec.tokens[id] != token.content) {
      corrupt_vocabulary(fmt::format("the added token '{}' has id {}, which is '{}'",
                                     printable(token.content, 40), id,
                                     printable(spec.tokens[id], 40)));
    }
    kinds[id] = token.special ? Kind::kSpecial : Kind::kAdded;
  }
  return kinds;
}

std::array<std::int32_t, 256> index_bytes(const TokenIds& ids) {
  std::array<std::int32_t, 256> out{};
  for (std::size_t byte = 0; byte < out.size(); ++byte) {
    const auto found = ids.find(spelling_of_bytes(std::string(1, static_cast<char>(byte))));
    out[byte] = found == ids.end() ? -1 : found->second;
  }
  return out;
}

AddedTokenMatcher make_matcher(const TokenizerSpec& spec, bool normalized) {
  std::vector<AddedToken> tokens;
  std::vector<std::string> content;
  for (const AddedToken& token : spec.added_tokens) {
    if (token.normalized != normalized) continue;
    tokens.push_back(token);
    content.push_back(normalized && spec.nfc ? normalize_nfc(token.content) : token.content);
  }
  return AddedTokenMatcher(tokens, content);
}

std::vector<Pattern> compile(const TokenizerSpec& spec) {
  std::vector<Pattern> patterns;
  for (const std::string& pattern : spec.patterns) patterns.emplace_back(pattern);
  return patterns;
}

}  // namespace

struct Tokenizer::Impl {
  explicit Impl(TokenizerSpec from)
      : spec(std::move(from)),
        ids(with_context(spec.tokens_name, [&] { return index_tokens(spec); })),
        kinds(kinds_of(spec)),
        merges(with_context(spec.merges_name, [&] { return index_merges(spec, ids); })),
        byte_ids(index_bytes(ids)),
        patterns(compile(spec)),
        literal(make_matcher(spec, false)),
        normalized(make_matcher(spec, true)) {
    fill_bytes();
  }

  // The bytes of all tokens in one string: 200,000 small ones would cost more to keep.
  void fill_bytes() {
    ends.reserve(spec.tokens.size());
    for (std::size_t id = 0; id < spec.tokens.size(); ++id) {
      const auto decoded = kinds[id] == Kind::kOrdinary ? bytes_of_spelling(spec.tokens[id])
                                                        : std::optional(spec.tokens[id]);
      bytes += decoded ? *decoded : spec.tokens[id];
      ends.push_back(bytes.size());
    }
  }

  std::string_view bytes_of(std::size_t id) const {
    const std::size_t start = id == 0 ? 0 : ends[id - 1];
    return std::string_view(bytes).substr(start, ends[id] - start);
  }

  TokenizerSpec spec;
  TokenIds ids;  // views into spec.tokens
  std::vector<Kind> kinds;
  MergeTable merges;
  std::array<std::int32_t, 256> byte_ids;
  std::vector<Pattern> patterns;
  AddedTokenMatcher literal;
  AddedTokenMatcher normalized;
  std::string bytes;
  std::vector<std::size_t> ends;
};

namespace {

// One call of encode: the text goes down through the stages, the ids are collected at the end.
template <class Impl>
class Encoder {
 public:
  Encoder(const Impl& impl, bool special, std::vector<std::int32_t>& out)
      : impl_(impl), special_(special), out_(out) {}

  void run(std::string_view text) {
    budget_ = PatternBudget(text.size());
    impl_.literal.split(text, special_, [this](std::int32_t id, std::string_view piece) {
      if (id >= 0) {
        out_.push_back(id);
      } else if (impl_.spec.nfc) {
        section(normalize_nfc(piece));
      } else {
        section(piece);
      }
    });
  }

 private:
  void section(std::string_view text) {
    impl_.normalized.split(text, special_, [this](std::int32_t id, std::string_view piece) {
      if (id >= 0) {
        out_.push_back(id);
      } else {
        pieces(piece, 0);
      }
    });
  }

  // `text` after the first `stage` patterns.
  void pieces(std::string_view text, std::size_t stage) {
    if (impl_.spec.add_prefix_space && stage == impl_.spec.patterns_before_prefix &&
        !text.starts_with(' ')) {
      const std::string prefixed = " " + std::string(text);
      pattern(prefixed, stage);
    } else {
      pattern(text, stage);
    }
  }

  void pattern(std::string_view text, std::size_t stage) {
    if (stage == impl_.patterns.size()) return word(text);
    if (stage == impl_.patterns.size() - impl_.spec.patterns_on_letters) {
      return letters(spelling_of_bytes(text), stage);
    }
    impl_.patterns[stage].split(
        text, budget_, [this, stage](std::string_view piece, bool) { pieces(piece, stage + 1); });
  }

  // The same for the patterns behind ByteLevel.
  void letters(std::string_view spelling, std::size_t stage) {
    if (stage == impl_.patterns.size()) {
      const auto bytes = bytes_of_spelling(spelling);
      PJ_CHECK(bytes.has_value());
      return word(*bytes);
    }
    impl_.patterns[stage].split(spelling, budget_, [this, stage](std::string_view piece, bool) {
      letters(piece, stage + 1);
    });
  }

  void word(std::string_view text) {
    if (impl_.spec.ignore_merges) {
      const auto found = impl_.ids.find(spelling_of_bytes(text));
      if (found != impl_.ids.end() &&
          impl_.kinds[static_cast<std::size_t>(found->second)] != Kind::kSpecial) {
        out_.push_back(found->second);
        return;
      }
    }
    word_.clear();
    bool missing = false;  // the byte before
    for (const char c : text) {
      const std::int32_t id = impl_.byte_ids[static_cast<unsigned char>(c)];
      if (id >= 0) {
        word_.push_back(id);
      } else if (impl_.spec.unk && !(missing && impl_.spec.fuse_unk)) {
        word_.push_back(*impl_.spec.unk);
      }
      missing = id < 0;
    }
    merge_word(impl_.merges, word_, out_);
  }

  const Impl& impl_;
  bool special_;
  std::vector<std::int32_t>& out_;
  std::vector<std::int32_t> word_;
  PatternBudget budget_{0};
};

}  // namespace

Tokenizer::Tokenizer(TokenizerSpec spec) : impl_(std::make_shared<const Impl>(std::move(spec))) {}

std::vector<std::int32_t> Tokenizer::encode(std::string_view utf8, EncodeOptions options) const {
  require_utf8(utf8, "the text");
  std::vector<std::int32_t> out;
  out.reserve(utf8.size() / 3 + 4);
  Encoder(*impl_, options.parse_special, out).run(utf8);
  return out;
}

std::string Tokenizer::decode(std::span<const std::int32_t> ids, bool skip_special) const {
  std::string out;
  for (const std::int32_t id : ids) {
    const std::string_view bytes = token_bytes(id);
    if (!(skip_special && is_special(id))) out += bytes;
  }
  return out;
}

std::string_view Tokenizer::token_bytes(std::int32_t id) const {
  if (id < 0 || static_cast<std::size_t>(id) >= vocab_size()) {
    throw Error(ErrorCode::kUsage, fmt::format("token id {} is beyond the vocabulary", id),
                fmt::format("ids go from 0 to {}", vocab_size() - 1));
  }
  return impl_->bytes_of(static_cast<std::size_t>(id));
}

std::optional<std::int32_t> Tokenizer::find_token(std::string_view content) const {
  const auto found = impl_->ids.find(content);
  if (found == impl_->ids.end()) return std::nullopt;
  return found->second;
}

bool Tokenizer::is_special(std::int32_t id) const noexcept {
  return id >= 0 && static_cast<std::size_t>(id) < impl_->kinds.size() &&
         impl_->kinds[static_cast<std::size_t>(id)] == Kind::kSpecial;
}

std::size_t Tokenizer::vocab_size() const noexcept { return impl_->spec.tokens.size(); }

const TokenizerSpec& Tokenizer::spec() const noexcept { return impl_->spec; }

}  // namespace pajamas::text
