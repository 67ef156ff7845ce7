// Chat templates of unknown origin: any bytes either render or end in an Error.
#include <cstddef>
#include <cstdint>
#include <ctime>
#include <string_view>

#include "base/error.h"
#include "text/chat_template.h"

namespace {

constexpr std::size_t kSteps =
    2'000'000;  // sanitizers are slow; fuzz_rendering looks at the limits

// A conversation with everything that templates look for.
const pajamas::text::Json& context() {
  static const auto json = pajamas::text::Json::parse(R"({
    "messages": [{"role": "system", "content": "S\u00fc"},
                 {"role": "user", "content": "<think>a</think>b"},
                 {"role": "assistant", "content": "c", "tool_calls": [
                   {"function": {"name": "f", "arguments": {"x": [1, 2.5, null, true]}}}]},
                 {"role": "tool", "content": "r"}],
    "tools": [{"type": "function", "function": {"name": "f", "description": "d", "parameters": {
      "type": "object", "properties": {"x": {"type": "array", "items": {"type": "string"}}}}}}],
    "add_generation_prompt": true, "bos_token": "<s>", "n": 7, "s": "Hello", "l": [3, 1, 2]})");
  return json;
}

}  // namespace

// A zero byte divides the template from a context of its own in JSON.
extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  const auto zero = text.find('\0');
  std::tm now{};
  now.tm_year = 124;
  now.tm_mday = 26;
  try {
    const pajamas::text::ChatTemplate chat(std::string(text.substr(0, zero)));
    if (zero == std::string_view::npos) {
      chat.render(context(), now, nullptr, kSteps);
    } else if (const auto own = pajamas::text::Json::parse(text.substr(zero + 1), nullptr, false);
               !own.is_discarded()) {
      chat.render(own, now, nullptr, kSteps);
    }
  } catch (const pajamas::Error& error) {
    // An internal error is a bug: let the fuzzer see it.
    if (error.code() == pajamas::ErrorCode::kInternal) throw;
  }
  return 0;
}
