#include "hub/store_upload.h"

#include <fmt/format.h>

#include <algorithm>
#include <ctime>
#include <map>
#include <memory>
#include <optional>
#include <utility>

#include "base/error.h"
#include "base/file.h"
#include "base/system.h"

namespace pajamas::hub {
namespace {

constexpr std::size_t kPiecesAtOnce = 4;
constexpr std::size_t kObjectsAtOnce = 256;  // that a batch asks for
constexpr int kMostAnew = 3;                 // times that a file is begun
constexpr double kSendStep = 0.1;            // seconds between two looks at the wish to stop
constexpr double kSendToldSeconds = 2;

struct Piece {
  std::uint64_t first = 0, size = 0;
  std::string url;
  std::vector<std::string> headers;
  Backoff backoff{};
  double not_before = 0;
  std::uint64_t told = 0;  // bytes that progress knows of
  std::string etag{};
  bool sent = false;
};

struct Sending {
  const LocalFile* file = nullptr;
  std::size_t number = 0;  // among the files
  std::unique_ptr<File> content;
  StoreObject object;
  std::vector<Piece> pieces;
  int begun = 0;
};

class StoreUpload {
 public:
  StoreUpload(const Settings& settings, const ModelId& id, Client& client, Watch watch)
      : settings_(settings), id_(id), client_(client), watch_(watch), transfers_(settings) {}

  std::vector<bool> run(const std::vector<const LocalFile*>& files) {
    std::vector<bool> sent(files.size(), false);
    std::map<std::string, std::size_t> by_digest;  // two files may be one object
    std::vector<const LocalFile*> asked;
    for (std::size_t i = 0; i < files.size(); ++i) {
      if (by_digest.emplace(files[i]->digest, i).second) asked.push_back(files[i]);
    }
    std::uint64_t bytes = 0;
    for (std::size_t at = 0; at < asked.size(); at += kObjectsAtOnce) {
      const auto some = std::span(asked).subspan(at, std::min(kObjectsAtOnce, asked.size() - at));
      std::size_t answered = 0;
      for (StoreObject& object : ask(some)) {
        const auto found = by_digest.find(object.digest);
        if (found == by_digest.end()) continue;
        ++answered;
        if (!object.upload) continue;
        auto sending = std::make_unique<Sending>();
        sending->number = found->second;
        sending->file = files[found->second];
        if (object.size != sending->file->size) throw_other_size(*sending->file);
        sending->object = std::move(object);
        bytes += sending->file->size;
        sent[sending->number] = true;
        waiting_files_.push_back(std::move(sending));
      }
      // Whoever is silent on a file does not have it.
      if (answered < some.size()) throw_silent();
    }
    watch_.progress.begin(fmt::format("uploading to {}", id_.repository()), bytes, "B");
    std::ranges::reverse(waiting_files_);
    while (!waiting_files_.empty() || !open_.empty()) {
      watch_.stop.check();
      start_what_may();
      transfers_.wait(kSendStep);
      settle();
    }
    watch_.progress.end();
    return sent;
  }

 private:
  std::vector<StoreObject> ask(std::span<const LocalFile* const> files) {
    return parse_batch(client_.post({.url = fmt::format("{}/{}.git/info/lfs/objects/batch",
                                                        settings_.endpoint, id_.repository()),
                                     .headers = {"Content-Type: application/vnd.git-lfs+json",
                                                 "Accept: application/vnd.git-lfs+json"},
                                     .body = batch_text(id_.revision, files)}));
  }

  [[noreturn]] static void throw_silent() {
    throw Error(ErrorCode::kCorruptFile, "the hub's answer says nothing of a file",
                "is HF_ENDPOINT a hub?");
  }

  [[noreturn]] static void throw_other_size(const LocalFile& file) {
    throw Error(ErrorCode::kCorruptFile, "the hub expects a file of another size",
                "is HF_ENDPOINT a hub?")
        .at(printable(file.path));
  }

  // By a store, which knows nothing of tokens.
  [[noreturn]] static void throw_refused(const Ending& ending, const LocalFile& file) {
    throw Error(ErrorCode::kNetwork, fmt::format("{} to the content of a file", reason_of(ending)),
                "run the same command again later: it continues")
        .at(printable(file.path));
  }

  void begin(Sending& sending) {
    ++sending.begun;
    if (sending.content == nullptr) {
      sending.content = std::make_unique<File>(File::open(sending.file->source));
    }
    const std::uint64_t size = sending.file->size;
    const StoreObject& object = sending.object;
    std::vector<Piece> pieces;
    if (object.part_bytes == 0) {
      pieces.push_back(
          {.size = size, .url = object.upload->url, .headers = object.upload->headers});
    }
    for (std::size_t i = 0; i < object.part_urls.size(); ++i) {
      const std::uint64_t first = i * object.part_bytes;
      pieces.push_back({.first = first,
                        .size = std::min(object.part_bytes, size - first),
                        .url = object.part_urls[i],
                        .headers = {}});
    }
    // What was told before is not told again.
    std::uint64_t told = 0;
    for (const Piece& piece : sending.pieces) told += piece.told;
    for (Piece& piece : pieces) {
      piece.told = std::min(told, piece.size);
      told -= piece.told;
    }
    sending.pieces = std::move(pieces);
  }

  void start_what_may() {
    const double now = seconds_now();
    for (const auto& sending : open_) {
      for (Piece& piece : sending->pieces) {
        if (transfers_.active() >= kPiecesAtOnce) return;
        if (piece.sent || piece.not_before > now || is_on_its_way(piece)) continue;
        start(*sending, piece);
      }
    }
    while (!waiting_files_.empty() && transfers_.active() < kPiecesAtOnce) {
      open_.push_back(std::move(waiting_files_.back()));
      waiting_files_.pop_back();
      begin(*open_.back());
      for (Piece& piece : open_.back()->pieces) {
        if (transfers_.active() >= kPiecesAtOnce) return;
        start(*open_.back(), piece);
      }
    }
  }

  bool is_on_its_way(const Piece& piece) const { return under_way_.contains(&piece); }

  void start(Sending& sending, Piece& piece) {
    Request request;
    request.method = Method::kPut;
    request.url = piece.url;
    request.headers = piece.headers;
    request.content_bytes = piece.size;
    request.content = [&sending, &piece](std::uint64_t at, std::span<std::byte> out) {
      sending.content->read_at(piece.first + at, out);
    };
    request.on_sent = [this, &piece](std::uint64_t bytes) {
      if (bytes <= piece.told) return;
      watch_.progress.advance(bytes - piece.told);
      piece.told = bytes;
    };
    request.on_end = [this, &sending, &piece](const Ending& ending) {
      under_way_.erase(&piece);
      ended(sending, piece, ending);
    };
    under_way_.emplace(&piece, transfers_.start(std::move(request)));
  }

  void ended(Sending& sending, Piece& piece, const Ending& ending) {
    if (ending.how == Break::kNone && ending.answer.succeeded()) {
      piece.etag = ending.answer.header("etag");
      piece.sent = true;
      return;
    }
    const auto delay = piece.backoff.next(ending, std::time(nullptr));
    if (delay) {
      piece.not_before = seconds_now() + *delay;
      if (*delay >= kSendToldSeconds) {
        watch_.progress.note(
            fmt::format("{}; trying again in {:.0f} s", reason_of(ending), *delay));
      }
      return;
    }
    // Addresses of a store are good for a time; a hub gives others.
    const bool refused =
        ending.how == Break::kNone && ending.answer.status / 100 == 4 && !is_transient(ending);
    if (!refused) throw_failure(ending, settings_, id_, sending.file->path);
    if (sending.begun >= kMostAnew) throw_refused(ending, *sending.file);
    if (std::ranges::find(begin_again_, &sending) == begin_again_.end()) {
      begin_again_.push_back(&sending);
    }
  }

  // Of what ended: begins again what was refused, and completes what is all there.
  void settle() {
    for (Sending* const sending : std::exchange(begin_again_, {})) begin_anew(*sending);
    for (std::size_t i = 0; i < open_.size();) {
      Sending& sending = *open_[i];
      if (std::ranges::all_of(sending.pieces, &Piece::sent) && complete(sending)) {
        open_.erase(open_.begin() + static_cast<std::ptrdiff_t>(i));
      } else {
        ++i;
      }
    }
  }

  void begin_anew(Sending& sending) {
    for (const Piece& piece : sending.pieces) {
      const auto found = under_way_.find(&piece);
      if (found == under_way_.end()) continue;
      transfers_.cancel(found->second);
      under_way_.erase(found);
    }
    const LocalFile* const file = sending.file;
    for (StoreObject& object : ask(std::span(&file, 1))) {
      if (object.digest != file->digest) continue;
      if (object.size != file->size) throw_other_size(*file);
      sending.object = std::move(object);
      if (!sending.object.upload) {  // somebody else was faster
        sending.pieces.clear();
        return;
      }
      begin(sending);
      return;
    }
    throw_silent();
  }

  // False where it has to be sent once more.
  bool complete(Sending& sending) {
    const StoreObject& object = sending.object;
    if (!object.upload) return true;
    if (object.part_bytes > 0) {
      std::vector<std::string> etags;
      for (const Piece& piece : sending.pieces) etags.push_back(piece.etag);
      const bool all = std::ranges::none_of(etags, &std::string::empty);
      std::optional<Ending> refusal;
      if (all) {
        refusal = client_.try_post({.url = object.upload->url,
                                    .headers = {"Content-Type: application/vnd.git-lfs+json",
                                                "Accept: application/vnd.git-lfs+json"},
                                    .body = completion_text(object.digest, etags)});
        if (!refusal) return verified(sending);
      }
      if (sending.begun < kMostAnew) {
        watch_.progress.note(fmt::format("{} did not arrive whole; sending it again",
                                         printable(sending.file->path)));
        begin_anew(sending);
        return false;
      }
      if (refusal) throw_refused(*refusal, *sending.file);
      throw Error(ErrorCode::kNetwork, "the store does not say what it took of the file",
                  "run the same command again later: it continues")
          .at(printable(sending.file->path));
    }
    return verified(sending);
  }

  bool verified(const Sending& sending) {
    if (!sending.object.verify) return true;
    std::vector<std::string> headers = sending.object.verify->headers;
    headers.emplace_back("Content-Type: application/vnd.git-lfs+json");
    (void)client_.post({.url = sending.object.verify->url,
                        .headers = std::move(headers),
                        .body = verify_text(sending.object.digest, sending.object.size)});
    return true;
  }

  const Settings& settings_;
  const ModelId& id_;
  Client& client_;
  Watch watch_;
  Transfers transfers_;
  std::vector<std::unique_ptr<Sending>> waiting_files_;  // the next one last
  std::vector<std::unique_ptr<Sending>> open_;
  std::map<const Piece*, Transfers::Id> under_way_;
  std::vector<Sending*> begin_again_;
};

}  // namespace

std::vector<bool> send_to_store(const Settings& settings, const ModelId& id, Client& client,
                                const std::vector<const LocalFile*>& files, Watch watch) {
  return StoreUpload(settings, id, client, watch).run(files);
}

}  // namespace pajamas::hub
