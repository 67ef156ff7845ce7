#include "hub/http_text.h"

#include <gtest/gtest.h>

#include "hub/failure.h"

namespace pajamas::hub {
namespace {

TEST(HttpText, EscapesUrls) {
  EXPECT_EQ(escape_url("refs/pr/1", false), "refs%2Fpr%2F1");
  EXPECT_EQ(escape_url("a b/c+d~.gguf", true), "a%20b/c%2Bd~.gguf");
  EXPECT_EQ(escape_url("ä?#%", true), "%C3%A4%3F%23%25");
}

TEST(HttpText, OriginsAreEqualOnlyWhereHostAndPortAre) {
  EXPECT_EQ(origin_of("https://Huggingface.co/api"), "https://huggingface.co:443");
  EXPECT_EQ(origin_of("https://huggingface.co:443"), "https://huggingface.co:443");
  EXPECT_EQ(origin_of("http://127.0.0.1:8080/x:1"), "http://127.0.0.1:8080");
  EXPECT_EQ(origin_of("https://huggingface.co@evil.org/"), "https://evil.org:443");
  EXPECT_EQ(origin_of("https://evil.org?@huggingface.co/"), "https://evil.org:443");
  EXPECT_EQ(origin_of("https://evil.org\\@huggingface.co/"), "https://evil.org:443");
  EXPECT_EQ(origin_of("http://[::1]:80/"), "http://[::1]:80");
  EXPECT_EQ(origin_of("http://[::1]/"), "http://[::1]:80");
  EXPECT_EQ(origin_of("file:///etc/passwd"), "");
  EXPECT_EQ(origin_of("https://"), "");
}

TEST(HttpText, RetryAfter) {
  EXPECT_EQ(parse_retry_after("120", 0), 120);
  EXPECT_EQ(parse_retry_after(" 3 ", 0), 3);
  EXPECT_EQ(parse_retry_after("Thu, 01 Jan 1970 00:01:40 GMT", 40), 60);
  EXPECT_EQ(parse_retry_after("Thu, 01 Jan 1970 00:01:40 GMT", 200), 0);
  EXPECT_EQ(parse_retry_after("", 0), std::nullopt);
  EXPECT_EQ(parse_retry_after("-5", 0), std::nullopt);
  EXPECT_EQ(parse_retry_after("soon", 0), std::nullopt);
}

TEST(HttpText, RateLimit) {
  EXPECT_EQ(parse_rate_limit("\"api\";r=0;t=55"), 55);
  EXPECT_EQ(parse_rate_limit("\"a\";r=0;t=5, \"b\";r=1;t=7"), 7);
  EXPECT_EQ(parse_rate_limit("\"api\";r=0"), std::nullopt);
  EXPECT_EQ(parse_rate_limit(";;t=;,t=x"), std::nullopt);
}

TEST(HttpText, NextLink) {
  EXPECT_EQ(next_link("<https://h/a?cursor=1>; rel=\"next\""), "https://h/a?cursor=1");
  EXPECT_EQ(next_link("<https://h/0>; rel=\"prev\", <https://h/2>; rel=\"next\""), "https://h/2");
  EXPECT_EQ(next_link("<https://h/0>; rel=\"prev\""), "");
  EXPECT_EQ(next_link(""), "");
  EXPECT_EQ(next_link("<https://h/0"), "");
  EXPECT_EQ(next_link("rel=\"next\""), "");
}

TEST(HttpText, ContentRange) {
  const auto range = parse_content_range("bytes 5-9/100");
  ASSERT_TRUE(range);
  EXPECT_EQ(range->first, 5u);
  EXPECT_EQ(range->end, 10u);
  EXPECT_EQ(range->total, 100u);
  EXPECT_EQ(parse_content_range("bytes 0-0/*")->total, std::nullopt);
  for (const char* text :
       {"", "bytes", "bytes */100", "bytes 9-5/100", "bytes 5-9", "5-9/100", "bytes 5-9/x",
        "bytes -9/100", "bytes 5-18446744073709551615/*", "bytes 5-18446744073709551616/*"}) {
    EXPECT_FALSE(parse_content_range(text)) << text;
  }
}

Ending ending(int status, std::string retry_after = {}) {
  Ending ending;
  ending.answer.status = status;
  if (!retry_after.empty()) ending.answer.headers["retry-after"] = retry_after;
  return ending;
}

TEST(Backoff, WaitsLongerEachTimeAndGivesUp) {
  Backoff backoff;
  double sum = 0, last = 0;
  for (int i = 1; i < Backoff::kTries; ++i) {
    const auto delay = backoff.next(ending(503), 0);
    ASSERT_TRUE(delay);
    EXPECT_GE(*delay, last);
    last = *delay;
    sum += last;
  }
  EXPECT_EQ(sum, 0.5 + 1 + 2 + 4 + 8);
  EXPECT_FALSE(backoff.next(ending(503), 0));
  backoff.reset();
  EXPECT_EQ(backoff.next(ending(503), 0), 0.5);
}

TEST(Backoff, DoesWhatTheServerAsksFor) {
  EXPECT_EQ(Backoff().next(ending(429, "7"), 0), 7);
  EXPECT_EQ(Backoff().next(ending(503, "0"), 0), 0.5);
  EXPECT_FALSE(Backoff().next(ending(429, "3600"), 0));
  Ending limited = ending(429);
  limited.answer.headers["ratelimit"] = "\"api\";r=0;t=9";
  EXPECT_EQ(Backoff().next(limited, 0), 9);
}

TEST(Backoff, RefusalsAreFinal) {
  for (const int status : {400, 401, 403, 404, 416}) {
    EXPECT_FALSE(Backoff().next(ending(status), 0)) << status;
  }
  Ending untrusted = ending(0);
  untrusted.how = Break::kTls;
  EXPECT_FALSE(Backoff().next(untrusted, 0));
}

}  // namespace
}  // namespace pajamas::hub
