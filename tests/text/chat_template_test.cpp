// What chat templates write, compared with jinja2 (data/templates/cases.json, made by
// tests/interop/template_cases.py), and how hostile ones end.
#include "text/chat_template.h"

#include <gtest/gtest.h>

#include <ctime>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <string>

#include "base/error.h"
#include "paths.h"

namespace pajamas::text {
namespace {

const std::string kData = source_dir() + "/tests/text/data/templates/";

std::string read_text(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  EXPECT_TRUE(file) << path;
  return {std::istreambuf_iterator<char>(file), {}};
}

// The moment that template_cases.py uses: Friday, 26 July 2024, 14:05:09.
std::tm moment() {
  std::tm now{};
  now.tm_year = 124, now.tm_mon = 6, now.tm_mday = 26;
  now.tm_hour = 14, now.tm_min = 5, now.tm_sec = 9;
  now.tm_wday = 5, now.tm_yday = 207;
  return now;
}

std::string render(const std::string& source, const Json& context = Json::object()) {
  return ChatTemplate(source).render(context, moment());
}

// The Error that rendering ends in.
Error failure(const std::string& source, const Json& context = Json::object()) {
  try {
    const std::string text = render(source, context);
    ADD_FAILURE() << source << " gave " << text.substr(0, 200);
  } catch (const Error& error) {
    return error;
  }
  return Error(ErrorCode::kInternal, "no error");
}

// Constructs that jinja2 has and this interpreter refuses by name.
bool is_refused(const std::string& source) {
  static const char* const kRefused[] = {"{{ d.items }}", "{{ lipsum }}", ".encode()",
                                         "{{ self }}",    "{% block",     ".real }}"};
  for (const char* refused : kRefused) {
    if (source.find(refused) != std::string::npos) return true;
  }
  return false;
}

TEST(ChatTemplate, RendersEveryCaseAsJinja2Does) {
  const Json data = Json::parse(read_text(kData + "cases.json"));
  std::size_t rendered = 0, failed = 0;
  for (const auto& entry : data["cases"]) {
    const bool is_file = entry.contains("file");
    const std::string source = is_file ? read_text(kData + entry["file"].get<std::string>())
                                       : entry["template"].get<std::string>();
    const Json& context = entry.contains("context") ? entry["context"] : data["context"];
    SCOPED_TRACE(is_file ? entry["file"].get<std::string>() + context.dump() : source);
    if (entry.contains("error") || (!is_file && is_refused(source))) {
      EXPECT_NE(failure(source, context).code(), ErrorCode::kInternal);
      ++failed;
      continue;
    }
    ++rendered;
    EXPECT_NO_THROW(EXPECT_EQ(render(source, context), entry["out"].get<std::string>()));
  }
  EXPECT_GT(rendered, 300u);
  EXPECT_GT(failed, 80u);
}

TEST(ChatTemplate, NamesUnknownConstructsAndTheirLine) {
  const auto expect = [](const std::string& source, const std::string& name) {
    SCOPED_TRACE(source);
    const Error error = failure(source);
    EXPECT_EQ(error.code(), ErrorCode::kUnsupported);
    EXPECT_NE(error.problem().find(name), std::string::npos) << error.what();
    EXPECT_NE(error.place().find("line 2"), std::string::npos) << error.what();
  };
  expect("\n{% frobnicate x %}", "tag 'frobnicate'");
  expect("\n{{ 1 | frobnicate }}", "filter 'frobnicate'");
  expect("\n{{ 1 is frobnicated }}", "test 'frobnicated'");
  expect("\n{% include 'x' %}", "tag 'include'");
  expect("\n{% for x in y recursive %}{% endfor %}", "recursive");
  expect("\n{% if true %}{{ 1 | frobnicate }}{% endif %}", "filter 'frobnicate'");
  expect("\n{{ 'x' | wordwrap }}", "filter 'wordwrap'");
  EXPECT_EQ(render("{% if false %}{{ 1 | frobnicate }}{% endif %}ok"), "ok");
}

TEST(ChatTemplate, TellsWhatWentWrong) {
  const Error refused = failure("a\n{{ raise_exception('roles must alternate') }}");
  EXPECT_EQ(refused.code(), ErrorCode::kUsage);
  EXPECT_NE(refused.problem().find("roles must alternate"), std::string::npos);
  EXPECT_NE(refused.place().find("line 2"), std::string::npos);
  const Error syntax = failure("a\n\n{% if x %}");
  EXPECT_EQ(syntax.code(), ErrorCode::kCorruptFile);
  EXPECT_NE(syntax.place().find("line 3"), std::string::npos);
  EXPECT_EQ(failure("\xff\xfe").code(), ErrorCode::kCorruptFile);
  EXPECT_EQ(failure("x", Json::array()).code(), ErrorCode::kUsage);
}

TEST(ChatTemplate, BoundsHostileTemplates) {
  const std::string all = "range(100000)";
  const std::string hostile[] = {
      "{% macro m() %}{{ m() }}{% endmacro %}{{ m() }}",
      "{% for a in " + all + " %}{% for b in " + all + " %}{% endfor %}{% endfor %}",
      "{{ 'x' * 10000000000 }}",
      "{{ [1] * 10000000000 }}",
      "{{ range(10 ** 12) }}",
      "{{ 'a'.center(10 ** 12) }}",
      "{{ '%999999999999d' % 1 }}",
      "{{ 'x' | indent(10 ** 12) }}",
      "{% set ns = namespace(s='xxxxxxxx') %}{% for i in range(64) %}"
      "{% set ns.s = ns.s ~ ns.s %}{% endfor %}",
      "{% set ns = namespace(s='xxxxxxxx') %}{% for i in range(64) %}"
      "{% set ns.s = ns.s.replace('x', 'xx') %}{% endfor %}",
      "{% set ns = namespace(l=[]) %}{% for i in " + all +
          " %}{% set ns.l = [ns.l] %}{% endfor %}{{ ns.l }}",
      "{% set ns = namespace(l=1) %}{% set ns.l = ns %}{{ ns }}",
      "{% set ns = namespace(l=[1]) %}{% for i in " + all +
          " %}{% set ns.l = ns.l | map('string') %}{% endfor %}{{ ns.l | list }}",
      "{{ " + std::string(5000, '(') + "1" + std::string(5000, ')') + " }}",
      "{{ " + std::string(5000, '-') + "1 }}",
      "{{ 1" + std::string(20000, '.') + " }}",
      "{{ 10 ** 1000000 }}",
  };
  for (const auto& source : hostile) {
    SCOPED_TRACE(source.substr(0, 100));
    EXPECT_NE(failure(source).code(), ErrorCode::kInternal);
  }
  std::string nested, sum = "{{ 1";
  for (int i = 0; i < 5000; ++i) nested += "{% if 1 %}", sum += " + 1";
  EXPECT_EQ(failure(nested).code(), ErrorCode::kUnsupported);
  EXPECT_EQ(failure(sum + " }}").code(), ErrorCode::kUnsupported);
}

// `n` turns of a user and a model, each of `size` bytes.
Json long_conversation(std::size_t n, std::size_t size) {
  Json messages = Json::array();
  std::string content;
  while (content.size() < size) content += "Grüße an alle, 你好. ";
  for (std::size_t i = 0; i < n; ++i) {
    messages.push_back({{"role", i % 2 ? "assistant" : "user"}, {"content", content}});
  }
  return {{"messages", std::move(messages)},
          {"add_generation_prompt", n % 2 == 1},
          {"bos_token", "<s>"},
          {"eos_token", "</s>"}};
}

TEST(ChatTemplate, RendersLongConversationsInAFractionOfTheSteps) {
  const Json conversations[] = {long_conversation(2001, 2000), long_conversation(10001, 60),
                                long_conversation(1, 600'000)};
  std::size_t templates = 0;
  for (const auto& file : std::filesystem::directory_iterator(kData)) {
    if (file.path().extension() != ".jinja") continue;
    SCOPED_TRACE(file.path());
    ++templates;
    const ChatTemplate chat(read_text(file.path()));
    for (const Json& conversation : conversations) {
      const std::clock_t began = std::clock();
      EXPECT_NO_THROW(chat.render(conversation, moment(), nullptr, jinja::kMaxSteps / 2));
      EXPECT_LT(std::clock() - began, CLOCKS_PER_SEC);
    }
  }
  EXPECT_GT(templates, 8u);
}

TEST(ChatTemplate, KeepsIntegersBeyond64Bits) {
  const Json context = {{"big", 18446744073709551615u}, {"low", INT64_MIN}};
  EXPECT_EQ(render("{{ big + 1 }} {{ low - 1 }} {{ big * 4 // 4 }} {{ big | tojson }}", context),
            "18446744073709551616 -9223372036854775809 18446744073709551615 18446744073709551615");
}

}  // namespace
}  // namespace pajamas::text
