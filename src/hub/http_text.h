// The parts of HTTP and of URLs that are text. Nothing here throws for what a server may send.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace pajamas::hub {

// Percent-encodes all but RFC 3986's unreserved characters, and slashes where they are to be kept.
std::string escape_url(std::string_view text, bool keep_slashes);

// Scheme, host and port as `https://host:443`, in lower case; empty for what is no http(s) URL.
std::string origin_of(std::string_view url);

// Seconds of a Retry-After header: a number, or a date (then the seconds from `now` on, a Unix
// time). Never negative.
std::optional<double> parse_retry_after(std::string_view value, std::int64_t now);

// Seconds until a window of requests opens again, of a RateLimit header as `"api";r=0;t=55`.
std::optional<double> parse_rate_limit(std::string_view value);

// The URL of `rel="next"` in a Link header; empty without one.
std::string next_link(std::string_view value);

// `bytes FIRST-LAST/TOTAL`; no total for `*`.
struct ContentRange {
  std::uint64_t first = 0;
  std::uint64_t end = 0;  // past the last byte
  std::optional<std::uint64_t> total;
};
std::optional<ContentRange> parse_content_range(std::string_view value);

std::optional<std::uint64_t> parse_number(std::string_view text);

}  // namespace pajamas::hub
