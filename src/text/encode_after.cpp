#include "text/encode_after.h"

#include <algorithm>

namespace pajamas::text {
namespace {

bool begins_character(std::string_view text, std::size_t at) {
  return at == text.size() || (static_cast<unsigned char>(text[at]) & 0xC0) != 0x80;
}

bool begins_added_token(const Tokenizer& tokenizer, std::string_view text) {
  const auto& added = tokenizer.spec().added_tokens;
  return std::any_of(added.begin(), added.end(), [&](const AddedToken& token) {
    return !token.content.empty() && text.starts_with(token.content);
  });
}

}  // namespace

std::vector<std::int32_t> encode_after(const Tokenizer& tokenizer,
                                       std::span<const std::int32_t> known, std::string_view utf8,
                                       bool at_end) {
  std::vector<std::size_t> ends{0};  // ends[i]: bytes that the first i ids spell
  for (const std::int32_t id : known) {
    const std::string_view bytes = tokenizer.token_bytes(id);
    if (!utf8.substr(ends.back()).starts_with(bytes)) break;
    ends.push_back(ends.back() + bytes.size());
  }
  std::size_t kept = ends.size() - 1;
  const auto may_part = [&](std::size_t at) {
    return at == utf8.size() || begins_added_token(tokenizer, utf8.substr(at)) ||
           (at_end && kept == known.size() && begins_character(utf8, at));
  };
  while (kept > 0 && !may_part(ends[kept])) --kept;
  std::vector<std::int32_t> ids(known.begin(), known.begin() + static_cast<std::ptrdiff_t>(kept));
  const std::vector<std::int32_t> rest =
      tokenizer.encode(utf8.substr(ends[kept]), {.parse_special = true});
  ids.insert(ids.end(), rest.begin(), rest.end());
  return ids;
}

}  // namespace pajamas::text
