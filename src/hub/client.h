// Questions to a hub that small answers settle.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "base/parallel.h"
#include "base/progress.h"
#include "hub/failure.h"
#include "hub/listing.h"
#include "hub/model_id.h"
#include "hub/settings.h"
#include "hub/transfers.h"

namespace pajamas::hub {

// Something to know of, and to stop by, while the network is waited for.
struct Watch {
  const StopFlag& stop;
  Progress& progress;
};

// Where a file of a commit is.
std::string file_url(const Settings& settings, const ModelId& id, const std::string& commit,
                     const std::string& path);

// Throws Error{kInterrupted} once stopped; waits in small steps.
void pause(double seconds, const StopFlag& stop);

// All throw Error{kNetwork, kNotFound, kCorruptFile, kInterrupted}.
class Client {
 public:
  // `patient`: what fails for a transient reason is tried again; else it fails at once.
  Client(const Settings& settings, const ModelId& id, Watch watch, bool patient);

  // The commit that the id's revision means now.
  std::string commit();
  Listing files(const std::string& commit);

  // The body of an answer; nothing where there is no such repository that we may see.
  std::optional<std::string> get_if_there(const std::string& url);
  // Something that is told to the hub.
  struct Post {
    std::string url;
    std::vector<std::string> headers;
    std::string body;
  };
  // The body of the answer. Throws as throw_write_failure does.
  std::string post(Post post);
  // Nothing where it went well, else the refusal; throws where nobody answered.
  std::optional<Ending> try_post(Post post);

 private:
  // The body; `next` becomes the URL of the page that follows, or empty.
  std::string get(const std::string& url, std::string& next);
  // How it ended, after as many tries as are worth it; `body` is that of an answer which is none of
  // an error.
  Ending ask(const Request& request, std::string& body);
  Ending ask_post(Post post, std::string& body);

  const Settings& settings_;
  const ModelId& id_;
  Watch watch_;
  bool patient_;
  Transfers transfers_;
};

// A piece of a file of a commit.
struct FileRange {
  std::string path;
  ByteRange range;      // at least one byte
  std::uint64_t total;  // of the whole file, as the hub lists it
  std::string bytes;    // what came
};

// Fetches all pieces at the same time, as a step of progress called `step`.
void fetch_ranges(const Settings& settings, const ModelId& id, const std::string& commit,
                  std::vector<FileRange>& pieces, std::string_view step, Watch watch);

}  // namespace pajamas::hub
