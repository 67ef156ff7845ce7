// What a template can do ends in time and memory; what conversations need stays cheap.
#include <fmt/format.h>
#include <gtest/gtest.h>

#include <string>
#include <thread>

#include "jinja/rendering.h"
#include "jinja/search.h"

namespace pajamas::jinja {
namespace {

constexpr std::string_view kTooMuchMemory = "more than 256 MB of memory";
constexpr std::string_view kTooManySteps = "more than 2 million steps";

Value messages(std::size_t n, const std::string& content) {
  Vector<Value> out;
  for (std::size_t i = 0; i < n; ++i) {
    auto dict = make_counted<Dict>();
    dict->set(Value::string("role"), Value::string(i % 2 ? "assistant" : "user"));
    dict->set(Value::string("content"), Value::string(content));
    out.push_back(Value::object(Kind::kDict, std::move(dict)));
  }
  return Value::list(std::move(out));
}

void expect_limit(const std::string& source, std::string_view limit,
                  const Variables& variables = {}, std::size_t max_steps = kMaxSteps) {
  SCOPED_TRACE(source.substr(0, 200));
  const Rendering one = render(source, variables, max_steps);
  ASSERT_TRUE(one.error);
  EXPECT_EQ(one.error->code(), ErrorCode::kUnsupported);
  EXPECT_NE(one.error->problem().find(limit), std::string::npos) << one.error->what();
  EXPECT_LT(one.seconds,
            0.1 + 4 * seconds_per_step() * static_cast<double>(std::max(one.steps, max_steps / 8)));
}

void expect_too_long(const std::string& source, const Variables& variables = {}) {
  expect_limit(source, kTooManySteps, variables, 2'000'000);
}

TEST(Limits, ALongTextGrowsByWhatIsAppended) {
  const std::string content = repeated("0123456789", 200);
  const Variables variables = {{"messages", messages(2000, content)}};
  const std::string frame = "{% set ns = namespace(s='') %}{% for m in messages %}";
  for (const std::string grow : {
           "{% set ns.s = ns.s ~ m.content %}",
           "{% set ns.s = ns.s ~ '<' ~ m.content ~ '>' %}",
           "{% set ns.s = ns.s + m.content %}",
           "{% set ns.s = ns.s + '<' + m.content + '>' %}",
           "{% if m.role == 'user' %}{% set ns.s = ns.s ~ m['content'] %}{% else %}"
           "{% set t = ns.s ~ m.content %}{% set ns.s = t %}{% endif %}",
       }) {
    SCOPED_TRACE(grow);
    const Rendering one = render(frame + grow + "{% endfor %}{{ ns.s | length }}", variables);
    EXPECT_FALSE(one.error) << one.error->what();
    EXPECT_GE(std::stoul(one.text), 4'000'000u);
    EXPECT_LT(one.steps, 800'000u);
  }
}

TEST(Limits, AppendedTextsAreTheirOwn) {
  const Value x = Value::string(repeated("x", 700));
  const Rendering one = render(
      "{% set a = x ~ '1' %}{% set b = a ~ '2' %}{% set c = a ~ '3' %}{% set d = b ~ b %}"
      "{{ a[698:] }} {{ b[698:] }} {{ c[698:] }} {{ d | length }} {{ d[-3:] }} {{ (a + 'ä')[-2:] "
      "}}",
      {{"x", x}});
  EXPECT_EQ(one.text, "xx1 xx12 xx13 1404 x12 1ä");
}

TEST(Limits, AGrowingListIsNobodyElses) {
  const Rendering one = render(
      "{% set ns = namespace(l=[0]) %}{% set keep = ns.l %}{% for i in range(3) %}"
      "{% set ns.l = ns.l + [i] %}{% if i == 1 %}{% set ns.k = ns.l %}{% endif %}{% endfor %}"
      "{% set ns.l = ns.l + [ns.l] %}{{ keep }} {{ ns.k }} {{ ns.l }}"
      "{% set t = (1,) %}{% set u = t %}{% set t = t + (2,) %}{{ t }}{{ u }}"
      "{% set e = [] %}{% set e = e + e %}{{ e }}");
  EXPECT_EQ(one.text, "[0] [0, 0, 1] [0, 0, 1, 2, [0, 0, 1, 2]](1, 2)(1,)[]");
  const Rendering long_one = render(
      "{% set ns = namespace(l=[]) %}{% for i in range(30000) %}{% set ns.l = ns.l + [i] %}"
      "{% endfor %}{{ ns.l | length }}");
  EXPECT_EQ(long_one.text, "30000");
  EXPECT_LT(long_one.steps, 2'000'000u);
}

TEST(Limits, AnIndexCostsOneStep) {
  const Value text = Value::string(repeated("äb€", 10000) + "𝄞");
  const Rendering one = render(
      "{% set ns = namespace(n=0) %}{% for i in range(s | length) %}{% if s[i] == '€' %}"
      "{% set ns.n = ns.n + 1 %}{% endif %}{% endfor %}{{ ns.n }} {{ s[0] }}{{ s[-1] }}{{ s[-2] }}"
      "{{ s[29999:] }}{{ s[1:3] }}{{ s[::-1][:2] }}{{ s[-5::2] }}",
      {{"s", text}});
  EXPECT_EQ(one.text, "10000 ä𝄞€€𝄞b€𝄞€€b𝄞") << (one.error ? one.error->what() : "");
  EXPECT_LT(one.steps, 1'500'000u);
}

TEST(Limits, OfMemoryIsOneForAll) {
  const Variables variables = {{"s", Value::string(repeated("a b ", 250'000))}};
  const std::string keep =
      "{% set ns = namespace(l=[]) %}{% for i in range(100000) %}{% set ns.l = ns.l + [";
  for (const std::string& source : {
           std::string("{{ range(1000) | map('center', 6 * 10**7) | list | length }}"),
           std::string("{{ ([range(100000) | list] * 1000) | map('list') | list }}"),
           std::string("{% for i in range(1000) %}{{ s }}{% endfor %}"),
           std::string("{% set ns = namespace(s='x') %}{% for i in range(64) %}"
                       "{% set ns.s = ns.s ~ ns.s %}{% endfor %}"),
           keep + "s.split()] %}{% endfor %}",
           keep + "[1] * 100000] %}{% endfor %}",
           keep + "s ~ i] %}{% endfor %}",
           keep + "s | center(2 * 10**6)] %}{% endfor %}",
           std::string("{{ 'x' * 10**9 }}"),
           std::string("{{ 'x' * 10**30 }}"),
           std::string("{{ [1] * 10**30 }}"),
           std::string("{{ [1, 2] | batch(10**30, 'x') | list }}"),
           std::string("{{ [1, 2] | slice(10**30) | list }}"),
           std::string("{{ 'x'.zfill(10**30) }}"),
           std::string("{{ 'x\t'.expandtabs(10**30) }}"),
           std::string("{{ 'x' | indent(10**30) }}"),
       }) {
    expect_limit(source, kTooMuchMemory, variables);
  }
}

TEST(Limits, OfTime) {
  const Variables variables = {{"s", Value::string(repeated("a b ", 250'000))}};
  const std::string nested =
      "{% set ns = namespace(a=[1], b=[1], t=(1,), u=(1,)) %}{% for i in range(60) %}"
      "{% set ns.a = [ns.a, ns.a] %}{% set ns.b = [ns.b, ns.b] %}{% set ns.t = (ns.t, ns.t) %}"
      "{% set ns.u = (ns.u, ns.u) %}{% endfor %}";
  for (const char* operation :
       {"ns.a == ns.b", "ns.a < ns.b", "ns.a in [ns.b]", "[ns.a, ns.b] | sort",
        "[ns.a].index(ns.b)", "[ns.a].count(ns.b)", "{ns.t: 1}", "{'x': ns.a} == {'x': ns.b}",
        "[ns.t, ns.u] | unique | list", "[ns.a, ns.b] | max", "ns.a | tojson", "ns.a | string"}) {
    expect_too_long(nested + "{{ " + operation + " }}");
  }
  const std::string many = "{% for a in range(100000) %}";
  expect_too_long(many + "{% if 'c' in s %}{% endif %}{% endfor %}", variables);
  expect_too_long(many + "{% set x = s | lower %}{% endfor %}", variables);
  expect_too_long("{% set t = s ~ 'c' %}" + many + "{% set x = t == s ~ 'd' %}{% endfor %}",
                  variables);
  expect_limit(
      "{% macro m(n) %}{% for i in range(100) %}{{ m(n) }}{% endfor %}{% endmacro %}{{ m(1) }}",
      "nested too deeply");
  expect_limit(many + many + "{% endfor %}{% endfor %}", "more than 50 million steps");
}

TEST(Limits, EndSoonWhereItIsStopped) {
  StopFlag stop;
  stop.request();
  const Rendering at_once = render("{{ 1 }}", {}, kMaxSteps, &stop);
  ASSERT_TRUE(at_once.error);
  EXPECT_EQ(at_once.error->code(), ErrorCode::kInterrupted);
  EXPECT_THROW(parse("{{ 1 }}", &stop), Error);
  stop.clear();
  std::thread later([&] {
    std::this_thread::sleep_for(std::chrono::milliseconds(30));
    stop.request();
  });
  const Rendering one =
      render("{% for a in range(100000) %}{% for b in range(100000) %}{% endfor %}{% endfor %}", {},
             std::size_t{1} << 40, &stop);
  later.join();
  ASSERT_TRUE(one.error);
  EXPECT_EQ(one.error->code(), ErrorCode::kInterrupted);
  EXPECT_LT(one.seconds, 1.0);
}

// n of something take about ten times what a tenth of them does.
void expect_linear(const std::function<std::string(std::size_t)>& source, std::size_t n) {
  const double few = seconds_to_parse(source(n / 10));
  const double many = seconds_to_parse(source(n));
  EXPECT_LT(many, 30 * few + 0.05) << source(1);
}

TEST(Limits, ParsingIsLinear) {
  const auto numbered = [](std::string_view form) {
    return [form](std::size_t n) {
      std::string out;
      for (std::size_t i = 0; i < n; ++i) out += fmt::format(fmt::runtime(form), i);
      return out;
    };
  };
  expect_linear(numbered("{{% if x %}}{{% set a{0} = {0} %}}{{% endif %}}"), 8000);
  expect_linear(
      numbered("{{% set a{0} = {0} %}}{{% if a{0} %}}{{% elif b{0} %}}{{{{ c }}}}{{% endif %}}"),
      4000);
  expect_linear(numbered("{{% for i in x %}}{{% set a{0} = i %}}{{% endfor %}}"), 4000);
  expect_linear(numbered("{{% macro m{0}(a) %}}{{{{ b{0} }}}}{{% endmacro %}}"), 4000);
  const auto list = [](std::string_view before, std::string_view form, std::string_view after) {
    return [=](std::size_t n) {
      std::string out(before);
      for (std::size_t i = 0; i < n; ++i) {
        out += (i ? ", " : "") + fmt::format(fmt::runtime(form), i);
      }
      return out.append(after);
    };
  };
  expect_linear(list("{% macro m(", "a{}", ") %}{% endmacro %}"), 40000);
  expect_linear(list("{% macro m(", "a{0}=b{0}", ") %}{{ caller }}{% endmacro %}"), 8000);
  expect_linear(list("{{ f(", "a{0}={0}", ") }}"), 20000);
  expect_linear(list("{% if x %}{% elif ", "a{} %}}{{% elif 1", "%}{% endif %}"), 4000);
  expect_linear(list("{{ [", "'x{}'", "] }}"), 40000);
  expect_linear(list("{{ {", "{0}: '{0}'", "} }}"), 20000);
}

TEST(Limits, ManyParametersAreBound) {
  std::string params, args, sum;
  for (int i = 0; i < 40000; ++i) {
    params += fmt::format("{}a{}", i ? ", " : "", i);
    args += fmt::format("{}a{}={}", i ? ", " : "", 39999 - i, 39999 - i);
  }
  const Rendering one = render("{% macro m(" + params +
                               ") %}{{ a0 }} {{ a39999 }}{% endmacro %}{{ m(" + args + ") }}");
  EXPECT_EQ(one.text, "0 39999") << (one.error ? one.error->what() : "");
  EXPECT_LT(one.steps, 2'000'000u);
}

TEST(Limits, OfParsing) {
  // Each of these holds far more than it takes to write.
  const std::string deep = repeated("{% if 1 %}", 100000);
  EXPECT_THROW(parse(deep), Error);
  EXPECT_THROW(parse(repeated("{% for x in y %}", 400) + repeated("{{ a }}", 60000)), Error);
  EXPECT_THROW(parse("{{ [" + repeated("1,", 2'000'000) + "] }}"), Error);
}

TEST(Search, FindsWhatTheStandardLibraryFinds) {
  std::uint32_t state = 1;
  const auto next = [&](std::uint32_t below) {
    state = state * 1664525 + 1013904223;
    return (state >> 16) % below;
  };
  for (int round = 0; round < 3000; ++round) {
    std::string text, wanted;
    const std::uint32_t letters = 1 + next(3), length = next(round % 10 == 0 ? 3000 : 60);
    for (std::uint32_t i = 0; i < length; ++i) text += static_cast<char>('a' + next(letters));
    if (text.size() > 5 && next(2) == 0) {
      wanted = text.substr(next(3), next(static_cast<std::uint32_t>(text.size())));
    } else {
      for (std::uint32_t i = next(6); i > 0; --i) wanted += static_cast<char>('a' + next(letters));
    }
    Search search(wanted);
    ASSERT_EQ(search.first(text), text.find(wanted));
    ASSERT_EQ(search.last(text), text.rfind(wanted));
    const std::size_t from = text.empty() ? 0 : next(static_cast<std::uint32_t>(text.size()));
    ASSERT_EQ(search.first(text, from), text.find(wanted, from));
  }
}

}  // namespace
}  // namespace pajamas::jinja
