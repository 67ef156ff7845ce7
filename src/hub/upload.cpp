#include "hub/upload.h"

#include <fmt/format.h>

#include <algorithm>

#include "base/file.h"
#include "hub/http_text.h"
#include "hub/store_upload.h"
#include "hub/upload_files.h"

namespace pajamas::hub {
namespace {

constexpr std::size_t kSampleBytes = 512;
constexpr std::size_t kAskedAtOnce = 256;
// What goes into the commit itself is small; a hub takes no more either.
constexpr std::uint64_t kMostInline = 100u << 20;

std::string content_of(const LocalFile& file, std::uint64_t bytes) {
  std::string text(std::min(bytes, file.size), '\0');
  const File opened = File::open(file.source);
  with_context(printable(file.path),
               [&] { opened.read_at(0, std::as_writable_bytes(std::span(text))); });
  return text;
}

class Upload {
 public:
  Upload(const Settings& settings, const ModelId& id, const UploadOptions& options, Watch watch)
      : settings_(settings),
        id_(id),
        options_(options),
        watch_(watch),
        client_(settings, id, watch, true) {}

  UploadReport run() {
    std::vector<std::string> hidden;
    std::vector<LocalFile> files = files_to_upload(options_.folder, hidden);
    if (!hidden.empty()) {
      watch_.progress.note(
          fmt::format("hidden files stay here: {}", printable(hidden.front(), 200)) +
          (hidden.size() > 1 ? fmt::format(" and {} more", hidden.size() - 1) : ""));
    }
    UploadReport report;
    Listing there;
    report.creates = !find_repository();
    if (report.creates && options_.dry_run) {
      for (const LocalFile& file : files) report.files.push_back({file.path, file.size});
      return report;
    }
    if (report.creates) create();
    there = client_.files(client_.commit());
    ask_how(files);
    add_digests(options_.folder, files, watch_.progress, watch_.stop);
    std::vector<const LocalFile*> large;
    std::vector<std::size_t> large_rows;
    for (const LocalFile& file : files) {
      const auto found = there.find(file.path);
      const bool same = found != there.end() && found->second.large == file.large &&
                        found->second.digest == file.digest;
      const FileState state = file.ignored ? FileState::kIgnored
                              : same       ? FileState::kUnchanged
                                           : FileState::kSent;
      if (state == FileState::kSent && file.large) {
        large.push_back(&file);
        large_rows.push_back(report.files.size());
      }
      report.files.push_back({file.path, file.size, state});
    }
    const bool nothing = std::ranges::none_of(
        report.files, [](const auto& file) { return file.state == FileState::kSent; });
    if (options_.dry_run || nothing) return report;
    const std::vector<bool> sent = send_to_store(settings_, id_, client_, large, watch_);
    for (std::size_t i = 0; i < sent.size(); ++i) {
      if (!sent[i]) report.files[large_rows[i]].state = FileState::kInStore;
    }
    report.commit = commit(files, report);
    return report;
  }

 private:
  std::string api(std::string_view what) const {
    return fmt::format("{}/api/models/{}{}", settings_.endpoint, id_.repository(), what);
  }

  // False: there is none that we may see.
  bool find_repository() {
    const std::optional<std::string> about = client_.get_if_there(api(""));
    if (!about) return false;
    if (options_.is_private && !parse_is_private(*about)) {
      throw Error(ErrorCode::kUsage, fmt::format("{} is there and public", id_.repository()),
                  fmt::format("leave it out, or make the repository private at {}/{}/settings",
                              settings_.endpoint, id_.repository()))
          .at("--private");
    }
    return true;
  }

  void create() {
    const auto refusal =
        client_.try_post({.url = settings_.endpoint + "/api/repos/create",
                          .headers = {"Content-Type: application/json"},
                          .body = create_text(id_.owner, id_.name, options_.is_private)});
    constexpr int kIsThere = 409;
    if (refusal && refusal->answer.status != kIsThere) {
      throw_write_failure(*refusal, settings_, id_);
    }
    // Nothing is sent to where everybody could read what was not meant for everybody.
    if (options_.is_private && !find_repository()) {
      throw Error(ErrorCode::kNetwork, "the hub made the repository and does not show it",
                  "run the same command again later");
    }
  }

  // Whether each file goes to the store or into the commit is the hub's to say.
  void ask_how(std::vector<LocalFile>& files) {
    for (std::size_t at = 0; at < files.size(); at += kAskedAtOnce) {
      const auto some = std::span(files).subspan(at, std::min(kAskedAtOnce, files.size() - at));
      std::vector<std::string> samples;
      for (const LocalFile& file : some) samples.push_back(content_of(file, kSampleBytes));
      parse_preupload(client_.post({.url = api("/preupload/" + escape_url(id_.revision, false)),
                                    .headers = {"Content-Type: application/json"},
                                    .body = preupload_text(some, samples)}),
                      some);
    }
  }

  std::string commit(const std::vector<LocalFile>& files, const UploadReport& report) {
    std::string body = commit_head(options_.summary);
    for (std::size_t i = 0; i < files.size(); ++i) {
      const FileState state = report.files[i].state;
      if (state == FileState::kUnchanged || state == FileState::kIgnored) continue;
      require_unchanged(files[i]);
      if (!files[i].large && body.size() + files[i].size > kMostInline) {
        throw Error(ErrorCode::kUnsupported, "is too large for what the hub keeps in git",
                    "have .gitattributes name it: *.EXTENSION filter=lfs diff=lfs merge=lfs -text")
            .at(printable(files[i].path));
      }
      body += commit_line(files[i], files[i].large ? "" : content_of(files[i], files[i].size));
    }
    watch_.progress.begin("committing", 0, "");
    std::string made =
        parse_made_commit(client_.post({.url = api("/commit/" + escape_url(id_.revision, false)),
                                        .headers = {"Content-Type: application/x-ndjson"},
                                        .body = std::move(body)}));
    watch_.progress.end();
    return made;
  }

  const Settings& settings_;
  const ModelId& id_;
  const UploadOptions& options_;
  Watch watch_;
  Client client_;
};

}  // namespace

UploadReport upload(const Settings& settings, const ModelId& id, const UploadOptions& options,
                    Watch watch) {
  return with_context(id.to_string(), [&] { return Upload(settings, id, options, watch).run(); });
}

}  // namespace pajamas::hub
