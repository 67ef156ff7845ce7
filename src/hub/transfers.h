// HTTP transfers that run at the same time, by libcurl. The only file that knows it.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "hub/settings.h"

namespace pajamas::hub {

struct ByteRange {
  std::uint64_t first = 0;
  std::uint64_t end = 0;  // past the last byte
};

// What a server said, after redirects.
struct Answer {
  int status = 0;                              // 0: it said nothing
  std::map<std::string, std::string> headers;  // names in lower case
  std::string url;                             // that answered

  std::string header(const std::string& name) const;
  bool ok() const noexcept { return status == 200 || status == 206; }
  bool succeeded() const noexcept { return status / 100 == 2; }
};

// How a transfer ended other than by an answer that is complete.
enum class Break {
  kNone,
  kNoHost,     // its name is unknown
  kNoConnect,  // refused or unreachable
  kProxy,      // a proxy is unknown or refuses
  kTls,        // no trust
  kStalled,    // nothing came for too long
  kCut,        // the connection broke, or ended too early
  kOther,
};

struct Ending {
  Answer answer;
  Break how = Break::kNone;
  std::string detail;  // libcurl's words
};

enum class Method { kGet, kPost, kPut };

struct Request {
  std::string url;
  std::optional<ByteRange> range;
  Method method = Method::kGet;
  std::vector<std::string> headers = {};  // "NAME: VALUE" beside our own
  std::string body = {};                  // of kPost
  // Of kPut: so many bytes, which `content` reads from a position; `on_sent` is told how many have
  // gone, and again from 0 where the connection was a bad one.
  std::uint64_t content_bytes = 0;
  std::function<void(std::uint64_t at, std::span<std::byte> out)> content = {};
  std::function<void(std::uint64_t bytes)> on_sent = {};
  // The first answer that is no redirect is there; called before any of the body, for statuses 200
  // and 206 only (for all of 2xx where something was sent), as is `on_body`. What these throw ends
  // the transfer and comes out of `wait`.
  std::function<void(const Answer&)> on_answer;
  std::function<void(std::span<const std::byte>)> on_body;
  // The last call for this request, from `wait`; it may start others.
  std::function<void(const Ending&)> on_end;
};

class Transfers {
 public:
  // The token goes to the endpoint alone, never where it redirects to.
  explicit Transfers(const Settings& settings);
  ~Transfers();
  Transfers(const Transfers&) = delete;
  Transfers& operator=(const Transfers&) = delete;

  using Id = std::uint64_t;
  Id start(Request request);
  // No handler of it is called any more. May be called by handlers.
  void cancel(Id id) noexcept;
  std::size_t active() const noexcept;

  // Lets transfers go on until something happens, `seconds` at most, and calls their handlers.
  void wait(double seconds);

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace pajamas::hub
