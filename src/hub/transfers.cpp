#include "hub/transfers.h"

#include <curl/curl.h>
#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cstdio>
#include <exception>
#include <utility>
#include <vector>

#include "base/error.h"
#include "hub/http_text.h"

namespace pajamas::hub {
namespace {

constexpr long kMaxRedirects = 10;
constexpr std::size_t kMaxHeaders = 200;
constexpr std::size_t kMaxHttpHeaderBytes = 16384;
constexpr long kSlowestAnswerSeconds = 60;
constexpr long kSendBufferBytes = 1L << 20;

Break break_of(CURLcode code, long connect_status) {
  if (connect_status != 0 && connect_status / 100 != 2) return Break::kProxy;
  switch (code) {
    case CURLE_OK:
      return Break::kNone;
    case CURLE_COULDNT_RESOLVE_HOST:
      return Break::kNoHost;
    case CURLE_COULDNT_CONNECT:
      return Break::kNoConnect;
    case CURLE_COULDNT_RESOLVE_PROXY:
    case CURLE_PROXY:
      return Break::kProxy;
    case CURLE_SSL_CONNECT_ERROR:
    case CURLE_PEER_FAILED_VERIFICATION:
    case CURLE_SSL_CACERT_BADFILE:
    case CURLE_SSL_CERTPROBLEM:
    case CURLE_SSL_CIPHER:
      return Break::kTls;
    case CURLE_OPERATION_TIMEDOUT:
      return Break::kStalled;
    case CURLE_PARTIAL_FILE:
    case CURLE_RECV_ERROR:
    case CURLE_SEND_ERROR:
    case CURLE_GOT_NOTHING:
    case CURLE_HTTP2:
    case CURLE_HTTP2_STREAM:
      return Break::kCut;
    default:
      return Break::kOther;
  }
}

void require_curl() {
  static const CURLcode code = ::curl_global_init(CURL_GLOBAL_DEFAULT);
  if (code != CURLE_OK) {
    throw Error(ErrorCode::kInternal, fmt::format("libcurl: {}", ::curl_easy_strerror(code)));
  }
}

// One request on its way.
struct Transfer {
  Transfers::Id id = 0;
  Request request;
  Answer answer;
  CURL* easy = nullptr;
  curl_slist* headers = nullptr;
  std::array<char, CURL_ERROR_SIZE> message{};
  bool answered = false;   // on_answer was called
  std::uint64_t sent = 0;  // of the content
  bool cancelled = false;
  std::exception_ptr thrown;

  Transfer() = default;
  Transfer(const Transfer&) = delete;
  Transfer& operator=(const Transfer&) = delete;
  ~Transfer() {
    ::curl_easy_cleanup(easy);
    ::curl_slist_free_all(headers);
  }

  void note_status() {
    long status = 0;
    ::curl_easy_getinfo(easy, CURLINFO_RESPONSE_CODE, &status);
    answer.status = static_cast<int>(status);
    const char* url = nullptr;
    ::curl_easy_getinfo(easy, CURLINFO_EFFECTIVE_URL, &url);
    answer.url = url == nullptr ? request.url : url;
  }

  // Whether the body of the answer is what was asked for.
  bool has_result() const noexcept {
    return request.method == Method::kGet ? answer.ok() : answer.succeeded();
  }

  void tell_answer() {
    if (std::exchange(answered, true)) return;
    note_status();
    if (has_result() && request.on_answer) request.on_answer(answer);
  }

  void take_header(std::string_view line) {
    while (!line.empty() && (line.back() == '\n' || line.back() == '\r')) line.remove_suffix(1);
    if (line.starts_with("HTTP/")) return answer.headers.clear();  // of a redirect, until now
    const std::size_t colon = line.find(':');
    if (colon == std::string_view::npos || answer.headers.size() >= kMaxHeaders ||
        line.size() > kMaxHttpHeaderBytes) {
      return;
    }
    std::string name(line.substr(0, colon));
    for (char& c : name) {
      if (c >= 'A' && c <= 'Z') c = static_cast<char>(c - 'A' + 'a');
    }
    std::string_view value = line.substr(colon + 1);
    while (!value.empty() && value.front() == ' ') value.remove_prefix(1);
    answer.headers.insert_or_assign(std::move(name), std::string(value));
  }
};

// No exception may cross libcurl; it is kept, and a wrong count ends the transfer.
template <class Fn>
std::size_t guarded(Transfer& transfer, std::size_t count, Fn&& fn) noexcept {
  if (transfer.cancelled) return count == 0 ? 1 : 0;
  try {
    fn();
    return count;
  } catch (...) {
    transfer.thrown = std::current_exception();
    return count == 0 ? 1 : 0;
  }
}

std::size_t on_header(char* data, std::size_t size, std::size_t count, void* user) noexcept {
  auto& transfer = *static_cast<Transfer*>(user);
  return guarded(transfer, size * count, [&] { transfer.take_header({data, size * count}); });
}

std::size_t on_data(char* data, std::size_t size, std::size_t count, void* user) noexcept {
  auto& transfer = *static_cast<Transfer*>(user);
  return guarded(transfer, size * count, [&] {
    transfer.tell_answer();
    if (!transfer.has_result() || transfer.cancelled || !transfer.request.on_body) return;
    transfer.request.on_body({reinterpret_cast<const std::byte*>(data), size * count});
  });
}

std::size_t on_read(char* data, std::size_t size, std::size_t count, void* user) noexcept {
  auto& transfer = *static_cast<Transfer*>(user);
  if (transfer.cancelled) return CURL_READFUNC_ABORT;
  try {
    const Request& request = transfer.request;
    const auto bytes = static_cast<std::size_t>(
        std::min<std::uint64_t>(size * count, request.content_bytes - transfer.sent));
    request.content(transfer.sent, {reinterpret_cast<std::byte*>(data), bytes});
    transfer.sent += bytes;
    if (request.on_sent) request.on_sent(transfer.sent);
    return bytes;
  } catch (...) {
    transfer.thrown = std::current_exception();
    return CURL_READFUNC_ABORT;
  }
}

// A connection that was kept open turned out to be closed, or it was a redirect.
int on_seek(void* user, curl_off_t offset, int origin) noexcept {
  auto& transfer = *static_cast<Transfer*>(user);
  if (origin != SEEK_SET || offset < 0) return CURL_SEEKFUNC_FAIL;
  transfer.sent = static_cast<std::uint64_t>(offset);
  return CURL_SEEKFUNC_OK;
}

template <class Value>
void set_option(CURL* easy, CURLoption option, Value value) {
  const CURLcode code = ::curl_easy_setopt(easy, option, value);
  if (code == CURLE_OK) return;
  throw Error(ErrorCode::kInternal, fmt::format("libcurl: {}", ::curl_easy_strerror(code)));
}

}  // namespace

std::string Answer::header(const std::string& name) const {
  const auto found = headers.find(name);
  return found == headers.end() ? std::string() : found->second;
}

struct Transfers::Impl {
  explicit Impl(const Settings& given) : settings(given), origin(origin_of(given.endpoint)) {
    require_curl();
    multi = ::curl_multi_init();
    if (multi == nullptr) throw std::bad_alloc();
  }
  Impl(const Impl&) = delete;
  Impl& operator=(const Impl&) = delete;
  ~Impl() {
    for (auto& [id, transfer] : transfers) ::curl_multi_remove_handle(multi, transfer->easy);
    transfers.clear();
    ::curl_multi_cleanup(multi);
  }

  void add_header(Transfer& transfer, const std::string& line) const {
    curl_slist* longer = ::curl_slist_append(transfer.headers, line.c_str());
    if (longer == nullptr) throw std::bad_alloc();
    transfer.headers = longer;
  }

  static bool is_authorization(std::string_view header) {
    static constexpr std::string_view kName = "authorization:";
    return header.size() >= kName.size() &&
           std::ranges::equal(header.substr(0, kName.size()), kName, [](char a, char b) {
             return (a >= 'A' && a <= 'Z' ? static_cast<char>(a - 'A' + 'a') : a) == b;
           });
  }

  void configure_sending(Transfer& transfer) {
    CURL* easy = transfer.easy;
    const Request& request = transfer.request;
    const auto set = [&](CURLoption option, auto value) { set_option(easy, option, value); };
    // Nobody waits for a server's leave to send, which not all of them give.
    add_header(transfer, "Expect:");
    // What was sent is worked on before the answer comes.
    set(CURLOPT_LOW_SPEED_TIME,
        std::max(kSlowestAnswerSeconds, static_cast<long>(settings.timeout_seconds)));
    if (request.method == Method::kPost) {
      set(CURLOPT_POST, 1L);
      set(CURLOPT_POSTFIELDSIZE_LARGE, static_cast<curl_off_t>(request.body.size()));
      set(CURLOPT_POSTFIELDS, request.body.c_str());
      set(CURLOPT_POSTREDIR, static_cast<long>(CURL_REDIR_POST_ALL));
      return;
    }
    set(CURLOPT_UPLOAD, 1L);
    set(CURLOPT_UPLOAD_BUFFERSIZE, kSendBufferBytes);
    set(CURLOPT_INFILESIZE_LARGE, static_cast<curl_off_t>(request.content_bytes));
    set(CURLOPT_READFUNCTION, &on_read);
    set(CURLOPT_READDATA, &transfer);
    set(CURLOPT_SEEKFUNCTION, &on_seek);
    set(CURLOPT_SEEKDATA, &transfer);
  }

  void configure(Transfer& transfer) {
    CURL* easy = transfer.easy;
    const Request& request = transfer.request;
    const auto set = [&](CURLoption option, auto value) { set_option(easy, option, value); };
    const auto timeout = std::max(1L, static_cast<long>(settings.timeout_seconds));
    set(CURLOPT_URL, request.url.c_str());
    set(CURLOPT_PRIVATE, &transfer);
    set(CURLOPT_NOSIGNAL, 1L);
    set(CURLOPT_ERRORBUFFER, transfer.message.data());
    set(CURLOPT_USERAGENT, settings.user_agent.c_str());
    set(CURLOPT_HEADERFUNCTION, &on_header);
    set(CURLOPT_HEADERDATA, &transfer);
    set(CURLOPT_WRITEFUNCTION, &on_data);
    set(CURLOPT_WRITEDATA, &transfer);
    set(CURLOPT_SUPPRESS_CONNECT_HEADERS, 1L);
    set(CURLOPT_FOLLOWLOCATION, 1L);
    set(CURLOPT_MAXREDIRS, kMaxRedirects);
    // What was asked for safely is not answered from an unsafe place.
    const bool secure = request.url.starts_with("https:");
    set(CURLOPT_PROTOCOLS_STR, secure ? "https" : "http,https");
    set(CURLOPT_REDIR_PROTOCOLS_STR, secure ? "https" : "http,https");
    // One connection each: HTTP/2 would send all of them through one.
    set(CURLOPT_HTTP_VERSION, static_cast<long>(CURL_HTTP_VERSION_1_1));
    set(CURLOPT_CONNECTTIMEOUT, timeout);
    set(CURLOPT_LOW_SPEED_LIMIT, 1L);
    set(CURLOPT_LOW_SPEED_TIME, timeout);
    set(CURLOPT_BUFFERSIZE, 256L << 10);
    if (!settings.certificates.empty()) set(CURLOPT_CAINFO, settings.certificates.c_str());
    if (request.range) {
      set(CURLOPT_RANGE,
          fmt::format("{}-{}", request.range->first, request.range->end - 1).c_str());
    }
    // As they are: sizes, ranges and checksums are those of the file.
    add_header(transfer, "Accept-Encoding: identity");
    bool authorized = false;
    for (const std::string& header : request.headers) {
      add_header(transfer, header);
      authorized |= is_authorization(header);
    }
    if (request.method != Method::kGet) configure_sending(transfer);
    if (!authorized && !settings.token.empty() && origin_of(request.url) == origin) {
      // libcurl drops this header on the way to another host, port or protocol.
      add_header(transfer, "Authorization: Bearer " + settings.token);
    }
    set(CURLOPT_HTTPHEADER, transfer.headers);
  }

  void finish(Transfer& finished, CURLcode code) {
    std::unique_ptr<Transfer> transfer = std::move(transfers.at(finished.id));
    transfers.erase(finished.id);
    ::curl_multi_remove_handle(multi, transfer->easy);
    if (transfer->cancelled) return;
    if (transfer->thrown) std::rethrow_exception(transfer->thrown);
    if (code == CURLE_OK) transfer->tell_answer();
    transfer->note_status();
    long connect_status = 0;
    ::curl_easy_getinfo(transfer->easy, CURLINFO_HTTP_CONNECTCODE, &connect_status);
    Ending ending{transfer->answer, break_of(code, connect_status), transfer->message.data()};
    if (code == CURLE_TOO_MANY_REDIRECTS) ending.detail = "it redirects in a circle";
    if (ending.detail.empty() && code != CURLE_OK) ending.detail = ::curl_easy_strerror(code);
    if (transfer->request.on_end) transfer->request.on_end(ending);
  }

  // True where a transfer ended.
  bool perform() {
    int running = 0;
    ::curl_multi_perform(multi, &running);
    int left = 0;
    bool ended = false;
    while (const CURLMsg* message = ::curl_multi_info_read(multi, &left)) {
      if (message->msg != CURLMSG_DONE) continue;
      char* transfer = nullptr;
      ::curl_easy_getinfo(message->easy_handle, CURLINFO_PRIVATE, &transfer);
      ended = true;
      finish(*reinterpret_cast<Transfer*>(transfer), message->data.result);
    }
    return ended;
  }

  // Those that were cancelled may never hear from their servers again.
  void sweep() {
    for (auto at = transfers.begin(); at != transfers.end();) {
      if (at->second->cancelled) {
        ::curl_multi_remove_handle(multi, at->second->easy);
        at = transfers.erase(at);
      } else {
        ++at;
      }
    }
  }

  Settings settings;
  std::string origin;
  CURLM* multi = nullptr;
  std::map<Id, std::unique_ptr<Transfer>> transfers;
  Id next = 1;
};

Transfers::Transfers(const Settings& settings) : impl_(std::make_unique<Impl>(settings)) {}
Transfers::~Transfers() = default;

Transfers::Id Transfers::start(Request request) {
  auto transfer = std::make_unique<Transfer>();
  transfer->id = impl_->next++;
  transfer->request = std::move(request);
  transfer->easy = ::curl_easy_init();
  if (transfer->easy == nullptr) throw std::bad_alloc();
  impl_->configure(*transfer);
  const Id id = transfer->id;
  CURL* easy = transfer->easy;
  impl_->transfers.emplace(id, std::move(transfer));
  ::curl_multi_add_handle(impl_->multi, easy);
  return id;
}

void Transfers::cancel(Id id) noexcept {
  const auto found = impl_->transfers.find(id);
  if (found != impl_->transfers.end()) found->second->cancelled = true;
}

std::size_t Transfers::active() const noexcept {
  return static_cast<std::size_t>(std::ranges::count_if(
      impl_->transfers, [](const auto& entry) { return !entry.second->cancelled; }));
}

void Transfers::wait(double seconds) {
  impl_->sweep();
  if (impl_->perform()) return;
  impl_->sweep();
  ::curl_multi_poll(impl_->multi, nullptr, 0, static_cast<int>(seconds * 1000), nullptr);
  (void)impl_->perform();
}

}  // namespace pajamas::hub
