// Any bytes as what a server sends: either an Error, or names that stay inside a folder.
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <string_view>
#include <vector>

#include "base/error.h"
#include "hub/http_text.h"
#include "hub/listing.h"
#include "hub/select.h"

namespace {

using namespace pajamas;
using namespace pajamas::hub;

void require(bool condition) {
  if (!condition) std::abort();
}

void check_listing(const Listing& files) {
  std::vector<std::string> paths;
  for (const auto& [path, file] : files) {
    require(path == file.path && is_safe_path(path));
    require(file.digest.find_first_not_of("0123456789abcdef") == std::string::npos);
    paths.push_back(path);
  }
  for (const char* id : {"a/b", "a/b:Q4_K_M"}) {
    try {
      for (const std::string& path : select_files(*parse_model_id(id), paths).weights) {
        require(files.contains(path));
      }
    } catch (const Error&) {
    }
  }
}

template <class Fn>
void attempt(Fn&& fn) {
  try {
    fn();
  } catch (const Error&) {
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  attempt([&] { require(is_commit(parse_commit(text))); });
  attempt([&] {
    Listing files;
    parse_tree(text, files);
    check_listing(files);
  });
  attempt([&] { check_listing(parse_cached_tree(text)); });
  attempt([&] {
    for (const std::string& shard : parse_index(text)) require(is_safe_path(shard));
  });
  if (const auto id = parse_model_id(text)) require(id->to_string().size() <= size);
  if (const auto range = parse_content_range(text)) require(range->first < range->end);
  if (const auto wait = parse_retry_after(text, 0)) require(*wait >= 0);
  if (const auto wait = parse_rate_limit(text)) require(*wait >= 0);
  (void)next_link(text);
  (void)origin_of(text);
  return 0;
}
