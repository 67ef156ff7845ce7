// Facts: huggingface_hub 2.4, utils/_http.py (X-Error-Code, X-Error-Message).
#include "hub/failure.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <ctime>

#include "hub/http_text.h"

namespace pajamas::hub {
namespace {

constexpr const char* kCheckNetwork =
    "check the network, or give --no-download for the cache alone";

// The host of a URL, for people.
std::string host_of(std::string_view url) {
  std::string origin = origin_of(url);
  if (origin.starts_with("https://") && origin.ends_with(":443")) {
    origin = origin.substr(8, origin.size() - 12);
  } else if (const std::size_t at = origin.find("://"); at != std::string::npos) {
    origin.erase(0, at + 3);
  }
  return printable(origin, 100);
}

std::string_view status_text(int status) {
  switch (status) {
    case 400:
      return " (bad request)";
    case 403:
      return " (forbidden)";
    case 404:
      return " (not found)";
    case 407:
      return " (proxy authentication required)";
    case 408:
      return " (timeout)";
    case 416:
      return " (range not satisfiable)";
    case 429:
      return " (too many requests)";
    case 500:
      return " (internal server error)";
    case 502:
      return " (bad gateway)";
    case 503:
      return " (unavailable)";
    case 504:
      return " (gateway timeout)";
    default:
      return "";
  }
}

[[noreturn]] void throw_break(const Ending& ending, const Settings& settings) {
  const std::string host = host_of(ending.answer.url);
  const std::string detail = printable(ending.detail, 160);
  const auto fail = [&](std::string problem, std::string hint) {
    return Error(ErrorCode::kNetwork, std::move(problem), std::move(hint));
  };
  const std::string proxy = settings.proxy.empty()
                                ? std::string()
                                : fmt::format("the proxy {} of the environment", settings.proxy);
  switch (ending.how) {
    case Break::kNoHost:
      throw fail(fmt::format("cannot find {}: no such host, or no network", host), kCheckNetwork);
    case Break::kNoConnect:
      throw fail(fmt::format("cannot connect: {}", detail),
                 proxy.empty() ? kCheckNetwork : fmt::format("check {} and the network", proxy));
    case Break::kProxy:
      throw fail(fmt::format("the proxy does not let this through: {}", detail),
                 proxy.empty() ? "check http_proxy, https_proxy and no_proxy"
                               : fmt::format("check {}, and no_proxy", proxy));
    case Break::kTls:
      throw fail(fmt::format("no secure connection to {}: {}", host, detail),
                 "check the clock and the CA certificates; SSL_CERT_FILE names others");
    case Break::kStalled:
      throw fail(
          fmt::format("{} sends nothing: {}", host, detail),
          "run the same command again: it continues; HF_HUB_DOWNLOAD_TIMEOUT is the patience in "
          "seconds");
    case Break::kCut:
      throw fail(fmt::format("the connection to {} breaks again and again: {}", host, detail),
                 "run the same command again: it continues");
    default:
      throw fail(fmt::format("cannot read from {}: {}", host, detail), kCheckNetwork);
  }
}

}  // namespace

void throw_failure(const Ending& ending, const Settings& settings, const ModelId& id,
                   const std::string& file) {
  if (ending.how != Break::kNone) throw_break(ending, settings);
  const Answer& answer = ending.answer;
  const std::string code = answer.header("x-error-code");
  const std::string message = printable(answer.header("x-error-message"), 160);
  const std::string page = fmt::format("{}/{}", settings.endpoint, id.repository());
  const std::string host = host_of(answer.url);
  const auto fail = [&](ErrorCode kind, std::string problem, std::string hint) {
    return Error(kind, std::move(problem), std::move(hint));
  };
  const bool token = !settings.token.empty();
  if (code == "RevisionNotFound") {
    throw MissingRevision(ErrorCode::kNotFound,
                          fmt::format("there is no revision \"{}\"", id.revision),
                          fmt::format("branches and tags are listed at {}/tree/main", page));
  }
  if (code == "EntryNotFound" || (answer.status == 404 && !file.empty() && code.empty())) {
    throw fail(ErrorCode::kNotFound, fmt::format("there is no file {}", printable(file)),
               fmt::format("see {}/tree/main", page));
  }
  if (code == "GatedRepo") {
    throw fail(ErrorCode::kNetwork, "this model is only for those who accept its licence",
               fmt::format("accept it at {}{}", page,
                           token ? " with the account whose token HF_TOKEN is"
                                 : ", then set HF_TOKEN to a token of that account"));
  }
  if (message == "Access to this resource is disabled.") {
    throw fail(ErrorCode::kNetwork, "the hub has disabled this model", fmt::format("see {}", page));
  }
  if (answer.status == 401 && token && code != "RepoNotFound") {
    throw fail(ErrorCode::kNetwork, "the hub does not accept the token",
               "set HF_TOKEN to a valid one (or unset it); `hf auth login` writes it to a file");
  }
  if (code == "RepoNotFound" || answer.status == 401 || answer.status == 404) {
    throw fail(
        ErrorCode::kNotFound,
        fmt::format("there is no such file or folder here, and no such model at {} (or it is "
                    "private)",
                    host),
        token ? "check the spelling, and whether the token may read it"
              : "check the spelling; for a private model set HF_TOKEN");
  }
  if (answer.status == 403) {
    throw fail(ErrorCode::kNetwork,
               fmt::format("{} refuses access{}", host, message.empty() ? "" : ": " + message),
               token ? "the token may lack permission to read this model"
                     : "set HF_TOKEN to a token that may read this model");
  }
  if (answer.status == 407) {
    throw fail(ErrorCode::kNetwork, "the proxy wants a name and a password",
               "put them into https_proxy: http://NAME:PASSWORD@HOST:PORT");
  }
  if (answer.status == 416) {
    throw fail(ErrorCode::kNetwork,
               fmt::format("{} is shorter at {} than the hub says", printable(file), host),
               "try again later, or another revision");
  }
  if (answer.status == 429) {
    const auto wait = asked_to_wait(answer, std::time(nullptr));
    throw fail(ErrorCode::kNetwork,
               fmt::format("{} limits the number of requests{}", host,
                           wait ? fmt::format(" and asks to wait {:.0f} s", *wait) : ""),
               token ? "run the same command again later"
                     : "wait, or set HF_TOKEN: known users may ask more");
  }
  throw fail(ErrorCode::kNetwork,
             fmt::format("{} answers {}{}{}", host, answer.status, status_text(answer.status),
                         message.empty() ? "" : ": " + message),
             answer.status >= 500 ? "run the same command again later: it continues"
                                  : "is HF_ENDPOINT a hub?");
}

void throw_write_failure(const Ending& ending, const Settings& settings, const ModelId& id) {
  const Answer& answer = ending.answer;
  const std::string message = printable(answer.header("x-error-message"), 160);
  const std::string said = message.empty() ? "" : ": " + message;
  if (ending.how == Break::kNone && answer.status == 403) {
    throw Error(ErrorCode::kNetwork,
                fmt::format("the token may not write to {}{}", id.repository(), said),
                fmt::format("make one with the permission to write at {}/settings/tokens, and set "
                            "HF_TOKEN to it",
                            settings.endpoint));
  }
  if (ending.how == Break::kNone && answer.status == 404 &&
      answer.header("x-error-code") != "RevisionNotFound") {
    throw Error(ErrorCode::kNotFound,
                fmt::format("{} has no repository {} that this token may write to",
                            host_of(answer.url), id.repository()),
                "check the spelling, and whose token HF_TOKEN is");
  }
  if (ending.how == Break::kNone && (answer.status == 400 || answer.status == 422)) {
    throw Error(ErrorCode::kNetwork,
                fmt::format("{} does not take it{}", host_of(answer.url), said),
                "change what it names, then run the same command again");
  }
  throw_failure(ending, settings, id, {});
}

bool is_transient(const Ending& ending) noexcept {
  switch (ending.how) {
    case Break::kNone:
      return ending.answer.status == 408 || ending.answer.status == 429 ||
             ending.answer.status >= 500 || ending.answer.ok();
    case Break::kNoHost:
    case Break::kNoConnect:
    case Break::kStalled:
    case Break::kCut:
      return true;
    default:
      return false;
  }
}

std::optional<double> asked_to_wait(const Answer& answer, std::int64_t now) {
  if (const auto wait = parse_retry_after(answer.header("retry-after"), now)) return wait;
  if (answer.status != 429) return std::nullopt;
  return parse_rate_limit(answer.header("ratelimit"));
}

std::optional<double> Backoff::next(const Ending& ending, std::int64_t now) {
  if (!is_transient(ending) || ++failures_ >= kTries) return std::nullopt;
  const double own = std::min(kLongestSeconds, kFirstSeconds * std::exp2(failures_ - 1));
  const std::optional<double> asked =
      ending.how == Break::kNone ? asked_to_wait(ending.answer, now) : std::nullopt;
  if (!asked) return own;
  if (*asked > kMostPatience) return std::nullopt;
  return std::max(*asked, kFirstSeconds);
}

std::string reason_of(const Ending& ending) {
  const std::string host = host_of(ending.answer.url);
  switch (ending.how) {
    case Break::kNone:
      return fmt::format("{} answers {}{}", host, ending.answer.status,
                         status_text(ending.answer.status));
    case Break::kStalled:
      return fmt::format("{} sends nothing", host);
    case Break::kCut:
      return fmt::format("the connection to {} broke", host);
    default:
      return fmt::format("{} cannot be reached", host);
  }
}

}  // namespace pajamas::hub
