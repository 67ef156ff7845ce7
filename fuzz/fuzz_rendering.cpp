// Templates of unknown origin over large values and values that share nested ones: whatever they
// do, it ends in time and within the memory that the budget says (jinja/budget.h).
#include <sanitizer/allocator_interface.h>

#include <atomic>
#include <chrono>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <ctime>
#include <string>
#include <string_view>

#include "base/error.h"
#include "jinja/interpreter.h"

namespace {

using namespace pajamas::jinja;

constexpr std::size_t kSteps = 1'000'000;
constexpr double kSeconds = 5;  // a hundred times what that takes with sanitizers
constexpr std::size_t kOutside =
    64 * 1000 * 1000;  // bytes that are not the budget's: errors, the stack

// What was there before the counting began may be freed while it goes on.
std::atomic<std::size_t> allocated{std::size_t{1} << 30};
std::atomic<std::size_t> most_allocated{0};

void on_malloc(const volatile void*, std::size_t size) {
  const std::size_t now = allocated += size;
  if (now > most_allocated) most_allocated = now;
}
void on_free(const volatile void* memory) {
  if (memory) allocated -= __sanitizer_get_allocated_size(const_cast<const void*>(memory));
}

Value shared(Kind kind) {
  Value value = Value::integer(1);
  for (int i = 0; i < 60; ++i) {
    Vector<Value> items{value, value};
    value = kind == Kind::kList ? Value::list(std::move(items)) : Value::tuple(std::move(items));
  }
  return value;
}

Value repeated(std::string_view text, int times) {
  String out;
  for (int i = 0; i < times; ++i) out += text;
  return Value::string(std::move(out));
}

Value variables() {
  auto dict = make_counted<Dict>();
  Vector<Value> numbers;
  for (int i = 0; i < 10000; ++i) numbers.push_back(Value::integer((i * 7919) % 10007));
  dict->set(Value::string("l"), Value::list(std::move(numbers)));
  dict->set(Value::string("s"), repeated("ab Cd\n", 30000));
  dict->set(Value::string("w"), repeated("\xc3\xa4\xe2\x82\xac ", 30000));
  dict->set(Value::string("a"), shared(Kind::kList));
  dict->set(Value::string("b"), shared(Kind::kList));
  dict->set(Value::string("t"), shared(Kind::kTuple));
  dict->set(Value::string("u"), shared(Kind::kTuple));
  return Value::object(Kind::kDict, std::move(dict));
}

void require(bool holds, const char* what) {
  if (holds) return;
  std::fprintf(stderr, "a rendering takes too much %s\n", what);
  std::abort();
}

void render(std::string_view source) {
  const auto program = parse(source);
  const Budget budget(nullptr, program->bytes, kSteps);
  Interpreter(*program, variables(), std::tm{}).run();
}

}  // namespace

extern "C" int LLVMFuzzerInitialize(int*, char***) {
  __sanitizer_install_malloc_and_free_hooks(on_malloc, on_free);
  return 0;
}

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::size_t before = allocated;
  most_allocated = before;
  const auto began = std::chrono::steady_clock::now();
  try {
    render({reinterpret_cast<const char*>(data), size});
  } catch (const pajamas::Error& error) {
    if (error.code() == pajamas::ErrorCode::kInternal) throw;
  }
  const std::chrono::duration<double> took = std::chrono::steady_clock::now() - began;
  require(took.count() < kSeconds, "time");
  require(most_allocated < before + kMaxMemory + kOutside, "memory");
  return 0;
}
