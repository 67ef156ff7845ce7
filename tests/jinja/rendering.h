// Templates rendered with what they cost.
#pragma once

#include <chrono>
#include <ctime>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/error.h"
#include "jinja/interpreter.h"

namespace pajamas::jinja {

struct Rendering {
  std::string text;
  std::optional<Error> error;
  std::size_t steps = 0;
  double seconds = 0;
};

using Variables = std::vector<std::pair<std::string, Value>>;

// Parses and renders. `steps` and `seconds` are those of rendering alone.
inline Rendering render(std::string_view source, const Variables& variables = {},
                        std::size_t max_steps = kMaxSteps, const StopFlag* stop = nullptr) {
  Rendering out;
  const auto program = parse(source);
  const auto began = std::chrono::steady_clock::now();
  const Budget budget(stop, program->bytes, max_steps);
  try {
    auto dict = make_counted<Dict>();
    for (const auto& [name, value] : variables) dict->set(Value::string(name), value);
    const Value context = Value::object(Kind::kDict, std::move(dict));
    out.text = std::string(Interpreter(*program, context, std::tm{}).run());
  } catch (const Error& error) {
    out.error = error;
  }
  out.steps = budget.steps();
  out.seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - began).count();
  return out;
}

inline double seconds_to_parse(const std::string& source) {
  const auto began = std::chrono::steady_clock::now();
  parse(source);
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - began).count();
}

// How long a step takes in this build on this machine, sanitizers and all.
inline double seconds_per_step() {
  static const double seconds = [] {
    const Rendering one =
        render("{% for i in range(100000) %}{{ [i, 'a' ~ i] | length }}{% endfor %}");
    return one.seconds / static_cast<double>(one.steps);
  }();
  return seconds;
}

inline std::string repeated(std::string_view text, std::size_t times) {
  std::string out;
  for (std::size_t i = 0; i < times; ++i) out += text;
  return out;
}

}  // namespace pajamas::jinja
