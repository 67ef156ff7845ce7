#include "hub/download.h"

#include <fmt/format.h>

#include <algorithm>
#include <ctime>
#include <list>
#include <map>

#include "base/system.h"
#include "hub/file_download.h"
#include "hub/http_text.h"

namespace pajamas::hub {
namespace {

namespace fs = std::filesystem;

constexpr std::size_t kConnections = 8;
constexpr double kStep = 0.1;
constexpr double kToldSeconds = 2;
constexpr std::uint64_t kMostHeld = 256u << 20;   // in memory, before what is to be written first
constexpr std::uint64_t kSpareBytes = 16u << 20;  // for folders, links and others

std::string readable(std::uint64_t bytes) {
  const double megabytes = static_cast<double>(bytes) / 1e6;
  return megabytes < 1e4 ? fmt::format("{:.1f} MB", megabytes)
                         : fmt::format("{:.1f} GB", megabytes / 1e3);
}

bool is_there(const fs::path& path) {
  std::error_code code;
  return fs::exists(path, code);
}

class Downloads {
 public:
  Downloads(const Settings& settings, const ModelId& id, const Cache& cache,
            const std::string& commit, Watch watch)
      : settings_(settings),
        id_(id),
        cache_(cache),
        commit_(commit),
        watch_(watch),
        transfers_(settings) {}

  void add(const RepoFile& file) { files_.emplace_back(cache_, file); }

  void run() {
    require_space();
    watch_.progress.begin(fmt::format("downloading {}", id_.repository()), bytes_missing(), "B");
    while (!files_.empty()) {
      watch_.stop.check();
      const double now = seconds_now();
      open_files(now);
      ask(now);
      transfers_.wait(kStep);
      for (auto file = files_.begin(); file != files_.end();) {
        file = step(*file) ? files_.erase(file) : std::next(file);
      }
    }
    watch_.progress.end();
  }

 private:
  std::uint64_t bytes_missing() const {
    std::uint64_t bytes = 0;
    for (const FileDownload& file : files_) bytes += file.file().size - file.bytes_there();
    return bytes;
  }

  void require_space() const {
    const std::uint64_t missing = bytes_missing();
    const std::uint64_t free = free_disk_bytes(cache_.folder());
    if (missing == 0 || (free >= missing && free - missing >= kSpareBytes)) return;
    const std::uint64_t needed = missing + kSpareBytes;
    throw Error(ErrorCode::kNoSpace,
                fmt::format("downloading {} needs {}, {} are free", id_.repository(),
                            readable(needed), readable(free)),
                "free some space, or let LLAMA_PAJAMAS_CACHE (or HF_HUB_CACHE) name a folder on "
                "another disk")
        .at(printable(cache_.folder().native(), 300));
  }

  // As many as keep all connections busy, each once nobody else is at it.
  void open_files(double now) {
    std::size_t open = 0;
    for (FileDownload& file : files_) {
      if (open >= kConnections) return;
      if (!file.is_open()) {
        if (!file.lock(now)) {
          tell_waiting(file);
          continue;
        }
        if (is_there(cache_.blob(file.file()))) continue;  // another process was faster
        file.open(watch_.stop);
      }
      ++open;
    }
  }

  void tell_waiting(const FileDownload& file) {
    if (told_waiting_) return;
    told_waiting_ = true;
    watch_.progress.note(fmt::format("another process is downloading {}; waiting for it",
                                     printable(file.file().path)));
  }

  void ask(double now) {
    std::uint64_t held = 0;
    for (const FileDownload& file : files_) held += file.held();
    for (FileDownload& file : files_) {
      if (!file.is_open()) continue;
      while (transfers_.active() < kConnections) {
        Segment* part = file.next_part(now, file.answered() && held < kMostHeld);
        if (part == nullptr) break;
        start(file, *part);
      }
    }
  }

  void start(FileDownload& file, Segment& part) {
    const std::string name = file_url(settings_, id_, commit_, file.file().path);
    // The place that a redirect led to serves the other parts too.
    const auto place = places_.find(file.file().path);
    Request request;
    request.url = place != places_.end() && !part.by_name ? place->second : name;
    if (!file.whole() && (part.next() > 0 || part.end < file.file().size)) {
      request.range = ByteRange{part.next(), part.end};
    }
    request.on_answer = [this, &file, &part, url = request.url,
                         range = request.range](const Answer& answer) {
      file.note_answer();
      if (answer.url != url) places_.insert_or_assign(file.file().path, answer.url);
      check_answer(file, part, range, answer);
    };
    // What a server without ranges sends again is passed over.
    request.on_body = [this, &file, &part,
                       skip = file.whole() ? part.next() : 0](auto bytes) mutable {
      const auto passed = static_cast<std::size_t>(std::min<std::uint64_t>(skip, bytes.size()));
      skip -= passed;
      if (file.restarting()) return;
      file.take(part, bytes.subspan(passed));
      watch_.progress.advance(bytes.size() - passed);
    };
    request.on_end = [this, &file, &part, by_place = request.url != name](const Ending& ending) {
      part.transfer.reset();
      if (!file.restarting() && !part.complete()) broken(file, part, by_place, ending);
    };
    part.arrived_before = part.arrived;
    part.transfer = transfers_.start(std::move(request));
  }

  void check_answer(FileDownload& file, const Segment& part, const std::optional<ByteRange>& range,
                    const Answer& answer) const {
    std::optional<std::uint64_t> total;
    if (answer.status == 206) {
      const auto content = parse_content_range(answer.header("content-range"));
      if (!range || !content || content->first != part.next()) {
        throw Error(ErrorCode::kNetwork, "the server sends another part of the file than asked for",
                    "try again later")
            .at(printable(file.file().path));
      }
      total = content->total;
    } else {
      total = parse_number(answer.header("content-length"));
    }
    if (total && *total != file.file().size) {
      throw Error(
          ErrorCode::kNetwork,
          fmt::format("the server has {} bytes, the hub lists {}", *total, file.file().size),
          "try again later, or another revision")
          .at(printable(file.file().path));
    }
    if (answer.status == 200 && range) file.expect_whole();
  }

  // Tries again later, or gives up.
  void broken(const FileDownload& file, Segment& part, bool by_place, const Ending& ending) {
    if (by_place && ending.how == Break::kNone && ending.answer.status / 100 == 4) {
      places_.erase(file.file().path);  // such places are given for a while only
      part.by_name = true;
      return;
    }
    if (part.arrived > part.arrived_before) part.backoff.reset();
    const auto delay = part.backoff.next(ending, std::time(nullptr));
    if (!delay) {
      Ending last = ending;
      if (last.answer.ok() && last.how == Break::kNone) last.how = Break::kCut;
      throw_failure(last, settings_, id_, file.file().path);
    }
    part.not_before = seconds_now() + *delay;
    if (*delay < kToldSeconds || part.not_before <= told_until_) return;
    told_until_ = part.not_before;
    watch_.progress.note(fmt::format("{}; trying again in {:.0f} s", reason_of(ending), *delay));
  }

  // True when the file is in the cache.
  bool step(FileDownload& file) {
    if (!file.is_open()) return is_there(cache_.blob(file.file()));
    if (file.restarting()) {
      for (const Segment& part : file.parts()) {
        if (part.transfer) transfers_.cancel(*part.transfer);
      }
      file.restart();
    }
    file.settle();
    if (!file.arrived()) return false;
    if (file.finish()) return true;
    places_.erase(file.file().path);
    watch_.progress.note(fmt::format("{} arrived with a wrong checksum; downloading it again",
                                     printable(file.file().path)));
    return false;
  }

  const Settings& settings_;
  const ModelId& id_;
  const Cache& cache_;
  const std::string& commit_;
  Watch watch_;
  std::list<FileDownload> files_;
  std::map<std::string, std::string> places_;  // by path: where redirects led
  Transfers transfers_;                        // destroyed first: its handlers refer to the others
  double told_until_ = 0;
  bool told_waiting_ = false;
};

}  // namespace

void download(const Settings& settings, const ModelId& id, const Cache& cache,
              const std::string& commit, const std::vector<RepoFile>& files, Watch watch) {
  Downloads downloads(settings, id, cache, commit, watch);
  std::map<std::string, bool> named;  // two paths may have the same content
  for (const RepoFile& file : files) {
    if (cache.has(commit, file.path) || is_there(cache.blob(file))) continue;
    if (!named.emplace(file.digest, true).second) continue;
    downloads.add(file);
  }
  if (!named.empty()) downloads.run();
  for (const RepoFile& file : files) cache.link(commit, file);
}

}  // namespace pajamas::hub
