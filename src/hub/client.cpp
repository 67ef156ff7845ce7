#include "hub/client.h"

#include <fmt/format.h>

#include <algorithm>
#include <ctime>

#include "base/system.h"
#include "hub/http_text.h"

namespace pajamas::hub {
namespace {

constexpr std::size_t kMaxAnswerBytes = 64u << 20;
constexpr int kMaxPages = 1000;
constexpr double kAnswerStep = 0.1;  // seconds between two looks at the wish to stop
constexpr double kAnswerToldSeconds = 2;
constexpr std::size_t kQuestions = 8;

void append(std::string& text, std::span<const std::byte> bytes, std::size_t limit) {
  if (bytes.size() > limit - std::min(limit, text.size())) {
    throw Error(ErrorCode::kNetwork, fmt::format("the answer has more than {} bytes", limit),
                "is HF_ENDPOINT a hub?");
  }
  text.append(reinterpret_cast<const char*>(bytes.data()), bytes.size());
}

}  // namespace

void pause(double seconds, const StopFlag& stop) {
  Settings settings;
  Transfers nothing(settings);
  const double until = seconds_now() + seconds;
  for (double now = seconds_now(); now < until; now = seconds_now()) {
    stop.check();
    nothing.wait(std::min(kAnswerStep, until - now));
  }
  stop.check();
}

std::string file_url(const Settings& settings, const ModelId& id, const std::string& commit,
                     const std::string& path) {
  return fmt::format("{}/{}/resolve/{}/{}", settings.endpoint, id.repository(), commit,
                     escape_url(path, true));
}

Client::Client(const Settings& settings, const ModelId& id, Watch watch, bool patient)
    : settings_(settings), id_(id), watch_(watch), patient_(patient), transfers_(settings) {}

Ending Client::ask(const Request& request, std::string& body) {
  Backoff backoff;
  while (true) {
    body.clear();
    std::optional<Ending> ending;
    Request asked = request;
    asked.on_body = [&](auto bytes) { append(body, bytes, kMaxAnswerBytes); };
    asked.on_end = [&](const Ending& end) { ending = end; };
    transfers_.start(std::move(asked));
    while (!ending) {
      watch_.stop.check();
      transfers_.wait(kAnswerStep);
    }
    const bool get = request.method == Method::kGet;
    if (ending->how == Break::kNone && (get ? ending->answer.ok() : ending->answer.succeeded())) {
      return *ending;
    }
    // Without any network, nothing is gained by asking again.
    const bool worth =
        patient_ && ending->how != Break::kNoHost && ending->how != Break::kNoConnect;
    const auto delay = worth ? backoff.next(*ending, std::time(nullptr)) : std::nullopt;
    if (!delay) return *ending;
    if (*delay >= kAnswerToldSeconds) {
      watch_.progress.note(fmt::format("{}; trying again in {:.0f} s", reason_of(*ending), *delay));
    }
    pause(*delay, watch_.stop);
  }
}

std::string Client::get(const std::string& url, std::string& next) {
  std::string body;
  const Ending ending =
      ask({.url = url, .range = {}, .on_answer = {}, .on_body = {}, .on_end = {}}, body);
  if (ending.how != Break::kNone || !ending.answer.ok()) {
    throw_failure(ending, settings_, id_, {});
  }
  next = next_link(ending.answer.header("link"));
  return body;
}

std::optional<std::string> Client::get_if_there(const std::string& url) {
  std::string body;
  const Ending ending =
      ask({.url = url, .range = {}, .on_answer = {}, .on_body = {}, .on_end = {}}, body);
  if (ending.how == Break::kNone && ending.answer.ok()) return body;
  const std::string code = ending.answer.header("x-error-code");
  if (ending.how == Break::kNone && (code == "RepoNotFound" || ending.answer.status == 404)) {
    return std::nullopt;
  }
  throw_write_failure(ending, settings_, id_);
}

Ending Client::ask_post(Post post, std::string& body) {
  return ask({.url = std::move(post.url),
              .range = {},
              .method = Method::kPost,
              .headers = std::move(post.headers),
              .body = std::move(post.body),
              .on_answer = {},
              .on_body = {},
              .on_end = {}},
             body);
}

std::optional<Ending> Client::try_post(Post post) {
  std::string body;
  const Ending ending = ask_post(std::move(post), body);
  if (ending.how != Break::kNone) throw_write_failure(ending, settings_, id_);
  if (ending.answer.succeeded()) return std::nullopt;
  return ending;
}

std::string Client::post(Post post) {
  std::string body;
  const Ending ending = ask_post(std::move(post), body);
  if (ending.how != Break::kNone || !ending.answer.succeeded()) {
    throw_write_failure(ending, settings_, id_);
  }
  return body;
}

std::string Client::commit() {
  std::string next;
  const std::string body = get(fmt::format("{}/api/models/{}/revision/{}", settings_.endpoint,
                                           id_.repository(), escape_url(id_.revision, false)),
                               next);
  return parse_commit(body);
}

Listing Client::files(const std::string& commit) {
  Listing files;
  std::string url = fmt::format("{}/api/models/{}/tree/{}?recursive=true", settings_.endpoint,
                                id_.repository(), commit);
  for (int page = 0; !url.empty(); ++page) {
    if (page == kMaxPages) {
      throw Error(ErrorCode::kCorruptFile, "the hub's list of files does not end",
                  "is HF_ENDPOINT a hub?");
    }
    std::string next;
    const std::string body = get(url, next);
    parse_tree(body, files);
    url = std::move(next);
  }
  return files;
}

void fetch_ranges(const Settings& settings, const ModelId& id, const std::string& commit,
                  std::vector<FileRange>& pieces, std::string_view step, Watch watch) {
  Transfers transfers(settings);
  std::vector<Backoff> backoffs(pieces.size());
  std::vector<double> not_before(pieces.size(), 0);
  std::vector<std::size_t> waiting(pieces.size());
  for (std::size_t i = 0; i < pieces.size(); ++i) waiting[i] = pieces.size() - 1 - i;

  const auto start = [&](std::size_t i) {
    FileRange& piece = pieces[i];
    piece.bytes.clear();
    const std::uint64_t wanted = piece.range.end - piece.range.first;
    // What a server sends that knows no ranges is cut to what was asked for.
    auto skipped = std::make_shared<std::uint64_t>(0);
    auto whole = std::make_shared<bool>(false);
    Request request;
    request.url = file_url(settings, id, commit, piece.path);
    request.range = piece.range;
    request.on_answer = [&piece, whole](const Answer& answer) {
      *whole = answer.status == 200;
      if (*whole && piece.range.first > 0) {
        throw Error(ErrorCode::kUnsupported, "this server sends no parts of files",
                    "download the model instead: `quantize` and `run` do")
            .at(printable(piece.path));
      }
      const auto range = parse_content_range(answer.header("content-range"));
      if (!*whole && range &&
          (range->first != piece.range.first ||
           range->total.value_or(piece.total) != piece.total)) {
        throw Error(ErrorCode::kNetwork, "the server sends another part of the file than asked for",
                    "try again later")
            .at(printable(piece.path));
      }
    };
    request.on_body = [&piece, wanted](std::span<const std::byte> bytes) {
      const std::uint64_t room = wanted - piece.bytes.size();
      append(piece.bytes, bytes.first(std::min<std::uint64_t>(room, bytes.size())), wanted);
    };
    request.on_end = [&, i, wanted](const Ending& ending) {
      if (ending.answer.ok() && pieces[i].bytes.size() == wanted) return watch.progress.advance(1);
      const auto delay = backoffs[i].next(ending, std::time(nullptr));
      if (!delay) throw_failure(ending, settings, id, pieces[i].path);
      not_before[i] = seconds_now() + *delay;
      waiting.push_back(i);
    };
    transfers.start(std::move(request));
  };

  watch.progress.begin(step, pieces.size(), "files");
  while (!waiting.empty() || transfers.active() > 0) {
    watch.stop.check();
    const double now = seconds_now();
    for (std::size_t k = waiting.size(); k-- > 0 && transfers.active() < kQuestions;) {
      const std::size_t i = waiting[k];
      if (not_before[i] > now) continue;
      waiting.erase(waiting.begin() + static_cast<std::ptrdiff_t>(k));
      start(i);
    }
    transfers.wait(kAnswerStep);
  }
  watch.progress.end();
}

}  // namespace pajamas::hub
