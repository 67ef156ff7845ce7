// Any bytes as a tokenizer.json: either an Error, or a tokenizer that gives every text back and can
// be written down.
#include <array>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <string>
#include <string_view>

#include "base/error.h"
#include "text/byte_alphabet.h"
#include "text/nfc.h"
#include "text/tokenizer.h"
#include "text/utf8.h"

namespace {

using namespace pajamas;
using namespace pajamas::text;

constexpr std::size_t kMaxPatterns = 4;

// Whether each byte has a token of its own.
std::array<bool, 256> bytes_with_token(const TokenizerSpec& spec) {
  std::array<bool, 256> out{};
  for (const std::string& token : spec.tokens) {
    const auto bytes = bytes_of_spelling(token);
    if (bytes && bytes->size() == 1) out[static_cast<std::uint8_t>(bytes->front())] = true;
  }
  return out;
}

// Bytes without a token become the unknown token or are left out; nothing else is lost, and
// nothing appears that was not there.
void round_trip(const Tokenizer& tokenizer, std::string_view text) {
  const TokenizerSpec& spec = tokenizer.spec();
  // Added tokens may swallow the space around them, and their text need not be normalized.
  if (!spec.added_tokens.empty() || spec.add_prefix_space || spec.unk) return;
  const std::array<bool, 256> has_token = bytes_with_token(spec);
  const std::string whole = spec.nfc ? normalize_nfc(text) : std::string(text);
  for (const bool special : {false, true}) {
    const std::string back = tokenizer.decode(tokenizer.encode(text, {.parse_special = special}));
    std::size_t at = 0;
    for (const char byte : whole) {
      if (at < back.size() && back[at] == byte) {
        ++at;
      } else if (has_token[static_cast<std::uint8_t>(byte)]) {
        std::abort();
      }
    }
    if (at != back.size()) std::abort();
  }
}

void written_down(const Tokenizer& tokenizer, std::string_view text) {
  const Tokenizer again(parse_tokenizer_json(write_tokenizer_json(tokenizer.spec())));
  if (again.spec().tokens.size() > tokenizer.spec().tokens.size()) std::abort();
  for (const bool special : {false, true}) {
    const EncodeOptions options{.parse_special = special};
    if (again.encode(text, options) != tokenizer.encode(text, options)) std::abort();
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string_view input(reinterpret_cast<const char*>(data), size);
  try {
    TokenizerSpec spec = parse_tokenizer_json(input);
    if (spec.patterns.size() > kMaxPatterns) return 0;
    (void)pre_tokenizer_name(spec);
    const Tokenizer tokenizer(std::move(spec));
    round_trip(tokenizer, "ab 'S 12\r\n\t e\xCC\x81 \xE6\xBC\xA2 <s>x");
    round_trip(tokenizer, utf8_lossy(input.substr(0, 200)));
    written_down(tokenizer, utf8_lossy(input.substr(0, 200)));
  } catch (const Error&) {
  }
  return 0;
}
