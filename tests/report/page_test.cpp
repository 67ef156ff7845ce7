#include "report/page.h"

#include <gtest/gtest.h>

#include <nlohmann/json.hpp>
#include <regex>

#include "report/assets.h"

namespace pajamas::report {
namespace {

using nlohmann::ordered_json;

constexpr std::string_view kNasty = "</script><script>alert(1)</script><!--\"'&\u2028.gguf";

ordered_json compared() {
  return {{"models",
           {{{"path", "a/" + std::string(kNasty)},
             {"format", "GGUF"},
             {"size_bytes", 4'000'000},
             {"memory_bytes", 9'000'000},
             {"backend", "cpu"},
             {"perplexity", 33.25},
             {"kl_mean", nullptr},
             {"results", ordered_json::array()}},
            {{"path", "b"},
             {"size_bytes", 3'000'000},
             {"perplexity", 34.5},
             {"kl_mean", 1e-300},
             {"reference_perplexity", 33.25},
             {"loss_percent_stderr", 2.0},
             {"results",
              {{{"context", 512},
                {"generation_tokens_per_second", 0.1},
                {"generation_tokens_per_second_min", 0.05},
                {"generation_tokens_per_second_max", 0.30000000000000004}}}}}}},
          {"verdicts", ordered_json::array()}};
}

Origin origin_of() {
  return {.command = "compare",
          .repeat = "llama-pajamas compare --model1 'a b' \"</pre>\"",
          .about = {{"date", "2026-11-27T00:00:00Z"}, {"processor", "x <y>"}, {"version", "1"}}};
}

// The JSON of a <script>, as a browser sees it: until the first thing that ends one.
ordered_json embedded(const std::string& page, const std::string& id) {
  const std::string begin = "<script type=\"application/json\" id=\"" + id + "\">";
  const std::size_t from = page.find(begin) + begin.size();
  return ordered_json::parse(page.substr(from, page.find("</script", from) - from));
}

std::size_t count(const std::string& text, std::string_view what) {
  std::size_t found = 0;
  for (std::size_t at = text.find(what); at != std::string::npos; at = text.find(what, at + 1)) {
    ++found;
  }
  return found;
}

// What is ours of a page: without the library, which has strings of HTML of its own.
std::string without_library(std::string page) {
  return page.erase(page.find(chart_library()), chart_library().size());
}

TEST(HtmlText, LeavesNoTagAndNoAttributeOpen) {
  EXPECT_EQ(html_text("<a href=\"x\" title='&'>\n"),
            "&lt;a href=&quot;x&quot; title=&#39;&amp;&#39;&gt;\n");
  EXPECT_EQ(html_text("ü€😀"), "ü€😀");
}

TEST(HtmlText, ReplacesWhatIsNoText) {
  EXPECT_EQ(html_text(std::string("a\xff"
                                  "b\xc3",
                                  4)),
            "a\uFFFDb\uFFFD");
  EXPECT_EQ(html_text(std::string("a\0\x1b[1m", 6)), "a\uFFFD\uFFFD[1m");
}

TEST(ScriptJson, CannotEndItsScript) {
  const std::string text = script_json({{"</script>", kNasty}});
  EXPECT_EQ(text.find('<'), std::string::npos) << text;
  EXPECT_EQ(ordered_json::parse(text), (ordered_json{{"</script>", kNasty}}));
}

TEST(ScriptJson, TakesBytesThatAreNoText) {
  EXPECT_EQ(ordered_json::parse(script_json({{"path", "a\xff.gguf"}}))["path"], "a\uFFFD.gguf");
}

TEST(Page, HoldsTheDataAsItIs) {
  const ordered_json document = compared();
  const ordered_json data = embedded(page_of(origin_of(), document), "data");
  EXPECT_EQ(data["result"], document);  // numbers to the last bit, keys in their order
  EXPECT_EQ(data["result"].dump(), document.dump());
  EXPECT_EQ(data["command"], "compare");
  EXPECT_EQ(data["repeat"], origin_of().repeat);
  EXPECT_EQ(data["about"], origin_of().about);
}

TEST(Page, IsOneDocumentWhateverNamesAreIn) {
  const std::string page = without_library(page_of(origin_of(), compared()));
  EXPECT_TRUE(page.starts_with("<!DOCTYPE html>\n<html lang=\"en\">"));
  EXPECT_TRUE(page.ends_with("</html>\n"));
  EXPECT_EQ(count(page, "alert(1)</"), 0u);
  EXPECT_EQ(count(page, "<script"), 4u);
  EXPECT_EQ(count(page, "</script"), 4u);
  EXPECT_EQ(count(page, "<!--"), 0u);
  for (const char* tag : {"html", "head", "body", "main", "title", "style", "h1", "pre"}) {
    EXPECT_EQ(count(page, "<" + std::string(tag) + ">") + count(page, "<" + std::string(tag) + " "),
              1u)
        << tag;
    EXPECT_EQ(count(page, "</" + std::string(tag) + ">"), 1u) << tag;
  }
  for (const char* tag : {"section", "figure", "table", "details", "thead", "tbody", "dl", "h3"}) {
    EXPECT_EQ(count(page, "<" + std::string(tag) + ">") + count(page, "<" + std::string(tag) + " "),
              count(page, "</" + std::string(tag) + ">"))
        << tag;
  }
  EXPECT_NE(page.find("--model1 &#39;a b&#39; &quot;&lt;/pre&gt;&quot;"), std::string::npos);
}

TEST(Page, HasATableAndALabelForEachFigure) {
  const std::string page = without_library(page_of(origin_of(), compared()));
  const ordered_json figures = embedded(page_of(origin_of(), compared()), "figures");
  ASSERT_EQ(figures.size(), 4u);  // perplexity, KL, generation, memory
  EXPECT_EQ(count(page, "<figure>"), figures.size());
  EXPECT_EQ(count(page, "<canvas "), figures.size());
  EXPECT_EQ(count(page, "role=\"img\" tabindex=\"0\" aria-label=\""), figures.size());
  EXPECT_EQ(count(page, "<details"), figures.size());
  EXPECT_EQ(count(page, "<caption"), figures.size() + 1);  // that of the models
}

TEST(Page, AsksForNothing) {
  const std::string page = without_library(page_of(origin_of(), compared()));
  EXPECT_NE(page.find("default-src 'none'"), std::string::npos);
  EXPECT_EQ(count(page, "http://") + count(page, "https://"), 0u);
  EXPECT_FALSE(std::regex_search(page, std::regex("<[^>]* src=")));
}

TEST(Page, SaysThatItIsAPart) {
  ordered_json document = compared();
  EXPECT_EQ(page_of(origin_of(), document).find("class=\"partial\""), std::string::npos);
  document["partial"] = true;
  EXPECT_NE(page_of(origin_of(), document).find("class=\"partial\""), std::string::npos);
}

TEST(Page, OfNothingIsAPageToo) {
  EXPECT_TRUE(page_of({"validate", "", {}}, ordered_json::object()).ends_with("</html>\n"));
  EXPECT_TRUE(page_of({"validate", "", nullptr}, nullptr).ends_with("</html>\n"));
}

TEST(Library, CannotEndItsScript) {
  for (const std::string_view text : {chart_library(), page_script()}) {
    EXPECT_EQ(text.find("</script"), std::string_view::npos);
    EXPECT_EQ(text.find("<!--"), std::string_view::npos);
  }
  EXPECT_NE(chart_library().find("MIT"), std::string_view::npos);  // its notice comes along
}

}  // namespace
}  // namespace pajamas::report
