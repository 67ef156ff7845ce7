#include "hub/http_text.h"

#include <curl/curl.h>

#include <algorithm>
#include <charconv>
#include <cmath>

namespace pajamas::hub {
namespace {

std::string_view trimmed(std::string_view text) {
  while (!text.empty() && (text.front() == ' ' || text.front() == '\t')) text.remove_prefix(1);
  while (!text.empty() && (text.back() == ' ' || text.back() == '\t')) text.remove_suffix(1);
  return text;
}

char lower(char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c; }

bool is_unreserved(char c) {
  return (c >= '0' && c <= '9') || (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') || c == '-' ||
         c == '.' || c == '_' || c == '~';
}

}  // namespace

std::optional<std::uint64_t> parse_number(std::string_view text) {
  std::uint64_t number = 0;
  const char* last = text.data() + text.size();
  const auto [end, failure] = std::from_chars(text.data(), last, number);
  if (text.empty() || failure != std::errc{} || end != last) return std::nullopt;
  return number;
}

std::string escape_url(std::string_view text, bool keep_slashes) {
  static constexpr std::string_view kDigits = "0123456789ABCDEF";
  std::string out;
  for (const char c : text) {
    if (is_unreserved(c) || (c == '/' && keep_slashes)) {
      out += c;
      continue;
    }
    const auto byte = static_cast<unsigned char>(c);
    out += '%';
    out += kDigits[byte >> 4];
    out += kDigits[byte & 15];
  }
  return out;
}

std::string origin_of(std::string_view url) {
  std::string out;
  const std::size_t colon = url.find("://");
  if (colon == std::string_view::npos) return {};
  for (const char c : url.substr(0, colon)) out += lower(c);
  if (out != "http" && out != "https") return {};
  const bool secure = out == "https";
  std::string_view rest = url.substr(colon + 3);
  rest = rest.substr(0, rest.find_first_of("/?#\\"));
  if (const std::size_t at = rest.rfind('@'); at != std::string_view::npos)
    rest.remove_prefix(at + 1);
  if (rest.empty()) return {};
  out += "://";
  for (const char c : rest) out += lower(c);
  const std::size_t port = rest.rfind(':');
  const bool has_port =
      port != std::string_view::npos && rest.find(']', port) == std::string_view::npos;
  if (!has_port) out += secure ? ":443" : ":80";
  return out;
}

std::optional<double> parse_retry_after(std::string_view value, std::int64_t now) {
  value = trimmed(value);
  if (const auto seconds = parse_number(value)) return static_cast<double>(*seconds);
  const std::int64_t moment = ::curl_getdate(std::string(value).c_str(), nullptr);
  if (moment < 0) return std::nullopt;
  return static_cast<double>(std::max<std::int64_t>(0, moment - now));
}

std::optional<double> parse_rate_limit(std::string_view value) {
  std::optional<double> longest;
  for (std::size_t at = 0; at < value.size();) {
    const std::size_t end = std::min(value.find_first_of(";,", at), value.size());
    const std::string_view part = trimmed(value.substr(at, end - at));
    at = end + 1;
    if (!part.starts_with("t=")) continue;
    const auto seconds = parse_number(part.substr(2));
    if (seconds) longest = std::max(longest.value_or(0), static_cast<double>(*seconds));
  }
  return longest;
}

std::string next_link(std::string_view value) {
  for (std::size_t at = 0; at < value.size();) {
    const std::size_t open = value.find('<', at);
    if (open == std::string_view::npos) return {};
    const std::size_t close = value.find('>', open);
    if (close == std::string_view::npos) return {};
    const std::size_t end = std::min(value.find('<', close), value.size());
    const std::string_view parameters = value.substr(close, end - close);
    if (parameters.find("rel=\"next\"") != std::string_view::npos ||
        parameters.find("rel=next") != std::string_view::npos) {
      return std::string(value.substr(open + 1, close - open - 1));
    }
    at = end;
  }
  return {};
}

std::optional<ContentRange> parse_content_range(std::string_view value) {
  value = trimmed(value);
  if (!value.starts_with("bytes ")) return std::nullopt;
  value = trimmed(value.substr(6));
  const std::size_t dash = value.find('-');
  const std::size_t slash = value.find('/');
  if (dash == std::string_view::npos || slash == std::string_view::npos || dash > slash) {
    return std::nullopt;
  }
  const auto first = parse_number(value.substr(0, dash));
  const auto last = parse_number(value.substr(dash + 1, slash - dash - 1));
  const auto total = parse_number(value.substr(slash + 1));
  if (!first || !last || *last < *first || *last == UINT64_MAX) return std::nullopt;
  if (!total && value.substr(slash + 1) != "*") return std::nullopt;
  return ContentRange{*first, *last + 1, total};
}

}  // namespace pajamas::hub
