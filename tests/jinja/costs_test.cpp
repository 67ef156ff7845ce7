// Every filter, test, method and operator over large values and values that share nested ones: each
// pays what it costs before it costs it.
#include <fmt/format.h>
#include <gtest/gtest.h>

#include <map>
#include <string>
#include <vector>

#include "jinja/rendering.h"

namespace pajamas::jinja {
namespace {

// Of the large values no operation can read all: what ends has paid for something cheaper.
constexpr std::size_t kSteps = 100'000;

// `levels` lists (tuples), each twice in the next: 2^levels nodes to whoever walks over them.
Value shared(Kind kind, int levels) {
  const auto of = [&](Vector<Value> items) {
    return kind == Kind::kList ? Value::list(std::move(items)) : Value::tuple(std::move(items));
  };
  Value value = of({Value::integer(1)});
  for (int i = 0; i < levels; ++i) value = of({value, value});
  return value;
}

Value dict_of(std::size_t n) {
  auto dict = make_counted<Dict>();
  for (std::size_t i = 0; i < n; ++i) {
    dict->set(Value::string(fmt::format("key{}", i)), Value::integer(static_cast<Int>(i % 7)));
  }
  return Value::object(Kind::kDict, std::move(dict));
}

// What the operations are tried on; those that end in 2 are equal to those that end in 1 and share
// no memory with them.
const Variables& subjects() {
  static const Variables all = [] {
    Vector<Value> numbers, texts, pairs;
    for (int i = 0; i < 100000; ++i) {
      numbers.push_back(Value::integer((i * 7919) % 100003));
      texts.push_back(Value::string(fmt::format("text {}", i % 1000)));
      pairs.push_back(Value::tuple({Value::integer(i % 10), Value::string("value")}));
    }
    const std::string words = repeated("ab Cd\n", 700'000),
                      wide = repeated("\u00e4\u20ac ", 700'000);
    auto nested = make_counted<Dict>();
    nested->set(Value::string("a"), shared(Kind::kList, 60));
    auto nested2 = make_counted<Dict>();
    nested2->set(Value::string("a"), shared(Kind::kList, 60));
    return Variables{
        {"words", Value::string(words)},
        {"words2", Value::string(words)},
        {"spaces", Value::string(repeated(" ", 4'000'000))},
        {"wide", Value::string(wide)},
        {"digits", Value::string(repeated("1", 4'000'000))},
        {"same", Value::string(repeated("a", 4'000'000))},
        {"almost", Value::string(repeated("a", 1'000'000) + "b" + repeated("a", 1'000'000))},
        {"marks", Value::string(repeated("<a>{}%s&' ", 400'000))},
        {"letters", Value::string(repeated("A", 4'000'000))},
        {"tabs", Value::string(repeated("\t", 4'000'000))},
        {"numbers", Value::list(numbers)},
        {"texts", Value::list(texts)},
        {"pairs", Value::list(pairs)},
        {"lists1", shared(Kind::kList, 60)},
        {"lists2", shared(Kind::kList, 60)},
        {"tuples1", shared(Kind::kTuple, 60)},
        {"tuples2", shared(Kind::kTuple, 60)},
        {"nested1", Value::object(Kind::kDict, nested)},
        {"nested2", Value::object(Kind::kDict, nested2)},
        {"dict", dict_of(50'000)},
        {"dict2", dict_of(50'000)},
    };
  }();
  return all;
}

const std::vector<std::string>& names() {
  static const std::vector<std::string> all = [] {
    std::vector<std::string> out;
    for (const auto& [name, value] : subjects()) out.push_back(name);
    return out;
  }();
  return all;
}

// Evaluates, and takes what comes out lazily to its end.
std::string whole(const std::string& expression) {
  return "{% set r = " + expression +
         " %}{% if r is not string and r is iterable %}{% for x in r %}{% endfor %}{% endif %}";
}

// Seconds; below it the machine decides, not the operation. Sanitizers make allocating and freeing
// dearer than steps.
#ifdef __has_feature
constexpr double kAnyway = __has_feature(address_sanitizer) ? 0.05 : 0.005;
#else
constexpr double kAnyway = 0.005;
#endif

// The least of several times: what else runs on the machine only ever adds.
std::size_t expect_paid(const std::string& source) {
  const auto paid_by = [](const Rendering& rendering) {
    return kAnyway + 10 * seconds_per_step() * static_cast<double>(rendering.steps);
  };
  Rendering one = render(source, subjects(), kSteps);
  for (int again = 0; again < 5 && one.seconds >= paid_by(one); ++again) {
    one = render(source, subjects(), kSteps);
  }
  const double paid = paid_by(one);
  EXPECT_LT(one.seconds, paid) << source << ": " << one.steps << " steps, "
                               << (one.error ? one.error->what() : "ended");
  if (one.error) {
    EXPECT_NE(one.error->code(), ErrorCode::kInternal) << source;
  }
  return !one.error;
}

// Arguments that make an operation work harder than it does without any.
const std::multimap<std::string_view, std::string>& arguments() {
  static const std::multimap<std::string_view, std::string> all = {
      {"batch", "3"},
      {"batch", "10**9, 'x'"},
      {"center", "10**7"},
      {"center", "10**30"},
      {"count", "same"},
      {"count", "almost"},
      {"count", "lists2"},
      {"default", "words, true"},
      {"divisibleby", "3"},
      {"endswith", "words2"},
      {"eq", "lists2"},
      {"eq", "nested2"},
      {"eq", "tuples2"},
      {"eq", "words2"},
      {"eq", "dict2"},
      {"expandtabs", "10**6"},
      {"find", "almost"},
      {"find", "'c'"},
      {"find", "'ab', 1000000"},
      {"format", "*numbers"},
      {"format", "words"},
      {"format_map", "dict"},
      {"get", "tuples2"},
      {"get", "words"},
      {"ge", "lists2"},
      {"groupby", "0"},
      {"groupby", "'a'"},
      {"gt", "lists2"},
      {"in", "[lists2]"},
      {"in", "words"},
      {"in", "numbers"},
      {"in", "dict"},
      {"indent", "2"},
      {"indent", "10**6"},
      {"indent", "words"},
      {"index", "'c'"},
      {"index", "lists2"},
      {"int", "0, 16"},
      {"join", "words"},
      {"join", "texts"},
      {"join", "', '"},
      {"le", "lists2"},
      {"ljust", "10**7, 'x'"},
      {"lstrip", "words2"},
      {"lt", "lists2"},
      {"map", "'upper'"},
      {"map", "'string'"},
      {"map", "'list'"},
      {"map", "'center', 6 * 10**7"},
      {"map", "attribute='a.b'"},
      {"max", "attribute='0'"},
      {"ne", "lists2"},
      {"partition", "almost"},
      {"partition", "'\\n\\n'"},
      {"reject", "'in', numbers"},
      {"rejectattr", "'0', 'eq', lists2"},
      {"removeprefix", "words2"},
      {"removesuffix", "words2"},
      {"replace", "'a', 'xx'"},
      {"replace", "'', 'x'"},
      {"replace", "almost, ''"},
      {"rfind", "almost"},
      {"rindex", "'~'"},
      {"rjust", "10**7"},
      {"round", "2"},
      {"rpartition", "almost"},
      {"rsplit", "'a'"},
      {"rsplit", "none, 100"},
      {"rstrip", "words2"},
      {"sameas", "lists2"},
      {"select", "'eq', lists2"},
      {"select", "'string'"},
      {"selectattr", "'0', 'in', numbers"},
      {"slice", "3"},
      {"slice", "10**7"},
      {"sort", "true"},
      {"sort", "attribute='0,1'"},
      {"split", "'a'"},
      {"split", "almost"},
      {"split", "none, 2"},
      {"splitlines", "true"},
      {"startswith", "words2"},
      {"startswith", "(words2, same, 'x')"},
      {"strip", "words2"},
      {"strip", "wide"},
      {"sum", "start=[]"},
      {"sum", "'0'"},
      {"tojson", "indent=2"},
      {"tojson", "indent=words"},
      {"tojson", "sort_keys=true"},
      {"trim", "words2"},
      {"trim", "wide"},
      {"truncate", "1000000"},
      {"unique", "true"},
      {"unique", "attribute='0'"},
      {"urlencode", ""},
      {"zfill", "10**7"},
  };
  return all;
}

std::vector<std::string> with_arguments(std::string_view name) {
  std::vector<std::string> out = {""};
  const auto [begin, end] = arguments().equal_range(name);
  for (auto it = begin; it != end; ++it) out.push_back("(" + it->second + ")");
  return out;
}

class Costs : public testing::Test {
 protected:
  static void SetUpTestSuite() { subjects(), seconds_per_step(); }
};

TEST_F(Costs, OfFilters) {
  std::size_t ended = 0;
  for (const auto table :
       {text_filters(), number_filters(), sequence_filters(), select_filters()}) {
    for (std::size_t i = 0; i < table.size; ++i) {
      const std::string filter(table.begin[i].name);
      for (const auto& name : names()) ended += expect_paid(whole(name + " | " + filter));
      for (const auto& args : with_arguments(filter)) {
        for (const char* name : {"words", "wide", "same", "numbers", "lists1", "dict"}) {
          ended += expect_paid(whole(name + (" | " + filter + args)));
        }
      }
    }
  }
  EXPECT_GT(ended, 100u);
}

TEST_F(Costs, OfTests) {
  std::size_t ended = 0;
  for (std::size_t i = 0; i < tests().size; ++i) {
    const std::string test(tests().begin[i].name);
    if (test.find_first_of("<>=!") != std::string::npos) continue;  // only by select and its like
    for (const auto& args : with_arguments(test)) {
      for (const auto& name : names()) ended += expect_paid(whole(name + " is " + test + args));
    }
  }
  EXPECT_GT(ended, 100u);
}

TEST_F(Costs, OfMethods) {
  std::size_t ended = 0;
  const auto try_all = [&](Table<MethodDef> table, const std::vector<std::string>& on) {
    for (std::size_t i = 0; i < table.size; ++i) {
      const std::string method(table.begin[i].name);
      for (const auto& args : with_arguments(method)) {
        const std::string call = "." + method + (args.empty() ? "()" : args);
        for (const auto& name : on) ended += expect_paid(whole(name + call));
      }
    }
  };
  try_all(string_methods(),
          {"words", "spaces", "wide", "digits", "same", "marks", "letters", "tabs"});
  try_all(dict_methods(), {"dict", "nested1"});
  try_all(sequence_methods(), {"numbers", "texts", "lists1", "tuples1", "range(100000)"});
  EXPECT_GT(ended, 50u);
}

// What is paid for reading a text through is what it takes.
TEST_F(Costs, OfReading) {
  const Variables texts = {
      {"words", Value::string(repeated("ab Cd\n", 7'000))},
      {"wide", Value::string(repeated("ä€ Ω", 7'000))},
      {"marks", Value::string(repeated("<a>{{}}%%&' ", 4'000))},
      {"spaces", Value::string(repeated(" ", 40'000))},
  };
  const auto expect_even = [&](const std::string& expression) {
    Rendering one = render(whole(expression), texts);
    const double paid = 0.001 + 6 * seconds_per_step() * static_cast<double>(one.steps);
    for (int again = 0; again < 5 && one.seconds >= paid; ++again) {  // others use the machine too
      one = render(whole(expression), texts);
    }
    EXPECT_LT(one.seconds, paid) << expression << ": " << one.steps << " steps";
  };
  for (const auto& [name, value] : texts) {
    for (std::size_t i = 0; i < text_filters().size; ++i) {
      expect_even(name + " | " + std::string(text_filters().begin[i].name));
    }
    expect_even(name + " | sort");
    expect_even(name + " | unique");
    expect_even(name + " | groupby('x')");
    for (std::size_t i = 0; i < string_methods().size; ++i) {
      const std::string method(string_methods().begin[i].name);
      for (const auto& args : with_arguments(method)) {
        if (args.find_first_of("dx") != std::string::npos) continue;  // names of other values
        expect_even(name + "." + method + (args.empty() ? "()" : args));
      }
    }
  }
}

TEST_F(Costs, OfOperators) {
  const std::string pairs[][2] = {{"words", "words2"},
                                  {"wide", "words"},
                                  {"same", "almost"},
                                  {"lists1", "lists2"},
                                  {"tuples1", "tuples2"},
                                  {"nested1", "nested2"},
                                  {"dict", "dict2"},
                                  {"numbers", "texts"},
                                  {"numbers", "numbers"},
                                  {"marks", "numbers"},
                                  {"marks", "words"},
                                  {"dict.items()", "dict2.items()"},
                                  {"dict.keys()", "dict2.keys()"},
                                  {"numbers", "10**6"},
                                  {"words", "10**6"},
                                  {"words", "10**30"},
                                  {"[]", "10**30"}};
  for (const auto& [a, b] : pairs) {
    for (const char* op : {"==", "!=", "<", "<=", ">", ">=", "in", "not in", "+", "-", "*", "/",
                           "//", "%", "**", "~", "and", "or"}) {
      expect_paid(whole(a + " " + op + " " + b));
      expect_paid(whole(b + " " + op + " " + a));
    }
    expect_paid(whole("{" + a + ": 1, " + b + ": 2}"));
    expect_paid(whole("{'a': " + a + "} == {'a': " + b + "}"));
    expect_paid(whole("[" + a + ", " + b + "] | sort"));
    expect_paid(whole("dict([[" + a + ", 1], [" + b + ", 2]])"));
    expect_paid("{{ " + a + " }}");
    expect_paid(whole("(" + a + ")[::-1]"));
    expect_paid(whole("(" + a + ")[10:-10]"));
    expect_paid(whole("(" + a + ")[" + b + "]"));
  }
  for (const auto& name : names()) {
    expect_paid(whole("dict(" + name + ")"));
    expect_paid(whole("namespace(" + name + ")"));
    expect_paid(whole("cycler(*" + name + ")"));
    expect_paid(whole("range(*" + name + ")"));
    expect_paid(whole("strftime_now(" + name + ")"));
    expect_paid(whole("raise_exception(" + name + ")"));
    expect_paid("{% for x in " + name + " %}{{ loop.changed(x) }}{% endfor %}");
    expect_paid("{% for x in " + name + " if x %}{{ loop.length }}{{ loop.last }}{% endfor %}");
    expect_paid("{% macro m() %}{{ varargs | length }}{{ kwargs | length }}{% endmacro %}{{ m(*" +
                name + ") }}");
    expect_paid("{% macro m() %}{{ kwargs | length }}{% endmacro %}{{ m(**" + name + ") }}");
  }
}

}  // namespace
}  // namespace pajamas::jinja
