// Templates rendered with what they cost.
#pragma once

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

// Of the processor, for this program: other programs on the machine do not count.
inline double now_in_seconds() { return static_cast<double>(std::clock()) / CLOCKS_PER_SEC; }

// Parses and renders. `steps` and `seconds` are those of rendering alone.
inline Rendering render(std::string_view source, const Variables& variables = {},
                        std::size_t max_steps = kMaxSteps, const StopFlag* stop = nullptr) {
  Rendering out;
  const auto program = parse(source);
  const double began = now_in_seconds();
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
  out.seconds = now_in_seconds() - began;
  return out;
}

inline double seconds_to_parse(const std::string& source) {
  const double began = now_in_seconds();
  parse(source);
  return now_in_seconds() - began;
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
