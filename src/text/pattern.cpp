#include "text/pattern.h"

#define PCRE2_CODE_UNIT_WIDTH 8
#include <fmt/format.h>
#include <pcre2.h>

#include <algorithm>
#include <chrono>
#include <string>

#include "base/error.h"
#include "text/pattern_rewrite.h"
#include "text/utf8.h"

namespace pajamas::text {
namespace {

constexpr std::uint32_t kMatchStepsMin = 1'000'000;  // for one match; more for long texts
constexpr std::uint32_t kMatchStepsMax = 1'000'000'000;
constexpr std::uint32_t kMatchStepsPerByte = 16;
constexpr std::uint32_t kHeapLimitKib = 64 * 1024;  // of the interpreter, where there is no JIT
constexpr std::size_t kJitStackMin = 64 * 1024;
constexpr std::size_t kJitStackMax = 16 * 1024 * 1024;
constexpr std::uint32_t kMaxNesting = 100;
constexpr std::chrono::seconds kTimeBase{5};
constexpr std::chrono::microseconds kTimePerByte{5};

template <auto Free>
struct Deleter {
  template <class T>
  void operator()(T* p) const {
    Free(p);
  }
};
using CompileContext = std::unique_ptr<pcre2_compile_context, Deleter<pcre2_compile_context_free>>;
using MatchContext = std::unique_ptr<pcre2_match_context, Deleter<pcre2_match_context_free>>;
using MatchData = std::unique_ptr<pcre2_match_data, Deleter<pcre2_match_data_free>>;
using JitStack = std::unique_ptr<pcre2_jit_stack, Deleter<pcre2_jit_stack_free>>;
using Code = std::unique_ptr<pcre2_code, Deleter<pcre2_code_free>>;

template <class T>
T allocated(T pointer) {
  if (!pointer) throw Error(ErrorCode::kOutOfMemory, "no memory for a pattern");
  return pointer;
}

std::string message_of(int code) {
  PCRE2_UCHAR text[256] = {};
  pcre2_get_error_message(code, text, sizeof(text));
  return reinterpret_cast<const char*>(text);
}

[[noreturn]] void backtracks_without_end() {
  throw Error(ErrorCode::kUnsupported,
              "the pre-tokenizer pattern backtracks without end on this text",
              "check the pattern in tokenizer.json");
}

// What one thread needs to match one text.
class Matcher {
 public:
  Matcher(const pcre2_code* code, std::string_view text, PatternBudget& budget)
      : code_(code),
        text_(text),
        data_(allocated(MatchData(pcre2_match_data_create_from_pattern(code, nullptr)))),
        context_(allocated(MatchContext(pcre2_match_context_create(nullptr)))),
        budget_(budget) {
    const std::uint64_t steps = kMatchStepsMin + text.size() * std::uint64_t{kMatchStepsPerByte};
    pcre2_set_match_limit(
        context_.get(), static_cast<std::uint32_t>(std::min<std::uint64_t>(steps, kMatchStepsMax)));
    pcre2_set_heap_limit(context_.get(), kHeapLimitKib);
  }

  // Length of the match that starts at `at`; npos where none does.
  std::size_t length_at(std::size_t at) {
    int rc = match(at);
    if (rc == PCRE2_ERROR_JIT_STACKLIMIT && !stack_) {
      // The 32 KiB that compiled code takes from the machine's stack are enough for most texts.
      stack_ = allocated(JitStack(pcre2_jit_stack_create(kJitStackMin, kJitStackMax, nullptr)));
      pcre2_jit_stack_assign(context_.get(), nullptr, stack_.get());
      rc = match(at);
    }
    budget_.spend();
    if (rc == PCRE2_ERROR_NOMATCH) return std::string_view::npos;
    if (rc == PCRE2_ERROR_MATCHLIMIT || rc == PCRE2_ERROR_DEPTHLIMIT ||
        rc == PCRE2_ERROR_HEAPLIMIT || rc == PCRE2_ERROR_JIT_STACKLIMIT) {
      backtracks_without_end();
    }
    if (rc < 0) throw Error(ErrorCode::kUnsupported, "a pattern failed: " + message_of(rc));
    const PCRE2_SIZE* ends = pcre2_get_ovector_pointer(data_.get());
    return ends[1] > at ? ends[1] - at : 0;
  }

 private:
  int match(std::size_t at) {
    return pcre2_match(code_, reinterpret_cast<PCRE2_SPTR>(text_.data()), text_.size(), at,
                       PCRE2_NO_UTF_CHECK, data_.get(), context_.get());
  }

  const pcre2_code* code_;
  std::string_view text_;
  MatchData data_;
  MatchContext context_;
  JitStack stack_;
  PatternBudget& budget_;
};

}  // namespace

PatternBudget::PatternBudget(std::size_t text_bytes)
    : deadline_(std::chrono::steady_clock::now() + kTimeBase + kTimePerByte * text_bytes) {}

void PatternBudget::spend() {
  if ((++attempts_ & 0xF) == 0 && std::chrono::steady_clock::now() > deadline_) {
    backtracks_without_end();
  }
}

struct Pattern::Compiled {
  Code code;
};

Pattern::Pattern(std::string_view pattern) {
  const std::string rewritten = to_pcre2(pattern);
  const auto context = allocated(CompileContext(pcre2_compile_context_create(nullptr)));
  pcre2_set_newline(context.get(), PCRE2_NEWLINE_LF);
  pcre2_set_parens_nest_limit(context.get(), kMaxNesting);
  int code = 0;
  PCRE2_SIZE offset = 0;
  // Anchored: `split` walks the text itself, so that the limits hold for each place.
  Code compiled(
      pcre2_compile(reinterpret_cast<PCRE2_SPTR>(rewritten.data()), rewritten.size(),
                    PCRE2_UTF | PCRE2_MULTILINE | PCRE2_ANCHORED | PCRE2_NEVER_BACKSLASH_C, &code,
                    &offset, context.get()));
  if (!compiled) {
    throw Error(ErrorCode::kCorruptFile,
                fmt::format("the pre-tokenizer pattern does not compile: {}", message_of(code)));
  }
  // Without a JIT (refused by the system) the interpreter gives the same answers, slower.
  pcre2_jit_compile(compiled.get(), PCRE2_JIT_COMPLETE);
  compiled_ = std::make_shared<const Compiled>(Compiled{std::move(compiled)});
}

void Pattern::split(std::string_view text, const Emit& emit) const {
  PatternBudget budget(text.size());
  split(text, budget, emit);
}

void Pattern::split(std::string_view text, PatternBudget& budget, const Emit& emit) const {
  Matcher matcher(compiled_->code.get(), text, budget);
  constexpr std::size_t kNone = std::string_view::npos;
  std::size_t pending = 0;       // start of what no match has taken yet
  std::size_t last_end = kNone;  // where the last match ended
  for (std::size_t at = 0; at <= text.size();) {
    const std::size_t length = matcher.length_at(at);
    // An empty match cuts the text, except right behind another match.
    if (length == kNone || (length == 0 && at == last_end)) {
      if (at == text.size()) break;
      at = decode_code_point(text, at).end;
      continue;
    }
    if (at > pending) emit(text.substr(pending, at - pending), false);
    if (length > 0) emit(text.substr(at, length), true);
    at += length;
    pending = last_end = at;
  }
  if (pending < text.size()) emit(text.substr(pending), false);
}

}  // namespace pajamas::text
