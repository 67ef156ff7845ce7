// Facts: huggingface_hub 2.4, constants.py (the variables of the environment and their order).
#include "cli/model_argument.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <cstdlib>
#include <filesystem>

#include "base/error.h"
#include "base/file.h"
#include "base/suggest.h"
#include "cli/model_folder.h"
#include "io/gguf.h"

namespace pajamas::cli {
namespace {

namespace fs = std::filesystem;

// The first of these variables that is set to something.
std::string environment(std::initializer_list<const char*> names) {
  for (const char* name : names) {
    const char* value = std::getenv(name);
    if (value != nullptr && *value != '\0') return value;
  }
  return {};
}

// A variable's path.
fs::path path_of(std::initializer_list<const char*> names, const fs::path& otherwise) {
  const std::string value = environment(names);
  return value.empty() ? otherwise : fs::path(expand_home(value, process_environment()));
}

bool is_true(const char* name) {
  std::string value = environment({name});
  for (char& c : value) c = c >= 'a' && c <= 'z' ? static_cast<char>(c - 'a' + 'A') : c;
  static constexpr std::array<std::string_view, 4> kTrue{"1", "ON", "YES", "TRUE"};
  return std::ranges::find(kTrue, value) != kTrue.end();
}

std::string trimmed(std::string text) {
  const auto is_space = [](char c) { return c == ' ' || c == '\n' || c == '\r' || c == '\t'; };
  while (!text.empty() && is_space(text.back())) text.pop_back();
  const auto first = std::ranges::find_if_not(text, is_space);
  return {first, text.end()};
}

std::string token_of(const fs::path& home) {
  std::string token = trimmed(environment({"HF_TOKEN", "HUGGING_FACE_HUB_TOKEN"}));
  std::string place = "HF_TOKEN";
  if (token.empty() && !is_true("HF_HUB_DISABLE_IMPLICIT_TOKEN")) {
    const fs::path file = path_of({"HF_TOKEN_PATH"}, home / "token");
    std::error_code code;
    if (!fs::is_regular_file(file, code)) return {};
    token = trimmed(read_text_file(file, 65536));
    place = printable(file.native(), 300);
  }
  // It becomes a header line.
  if (std::ranges::all_of(token, [](char c) { return c > ' ' && c < 0x7f; })) return token;
  throw Error(ErrorCode::kUsage, "is no token: it has blanks or letters that are not ASCII",
              "copy it again from the settings of your account")
      .at(place);
}

// The proxy that libcurl will use, without a password, for messages.
std::string proxy_of(std::string_view endpoint) {
  const std::string proxy =
      endpoint.starts_with("https:")
          ? environment({"https_proxy", "HTTPS_PROXY", "all_proxy", "ALL_PROXY"})
          : environment({"http_proxy", "all_proxy", "ALL_PROXY"});
  const std::size_t at = proxy.rfind('@');
  return printable(at == std::string::npos ? proxy : proxy.substr(at + 1), 100);
}

double timeout_of(const std::string& text, double otherwise) {
  int seconds = 0;
  const auto [end, failure] = std::from_chars(text.data(), text.data() + text.size(), seconds);
  const bool whole = failure == std::errc{} && end == text.data() + text.size();
  return whole && seconds > 0 ? seconds : otherwise;
}

// What lies behind the beginning of such a file is zeros, which are no GGUF header.
bool header_is_complete(const fs::path& path) {
  try {
    (void)io::GgufFile::open(path);
    return true;
  } catch (const Error&) {
    return false;
  }
}

}  // namespace

hub::Settings hub_settings(bool no_download, const Settings& ours) {
  hub::Settings settings;
  const fs::path user_cache =
      path_of({"XDG_CACHE_HOME"}, home_folder(process_environment()) / ".cache");
  const fs::path home = path_of({"HF_HOME"}, user_cache / "huggingface");
  settings.cache = ours.cache();
  if (const std::string endpoint = environment({"HF_ENDPOINT"}); !endpoint.empty()) {
    settings.endpoint = endpoint.substr(0, endpoint.find_last_not_of('/') + 1);
    if (!endpoint.starts_with("https://") && !endpoint.starts_with("http://")) {
      throw Error(ErrorCode::kUsage, fmt::format("\"{}\" is no URL", printable(endpoint)),
                  "give it as https://HOST")
          .at("HF_ENDPOINT");
    }
  }
  if (no_download) {
    settings.offline = "--no-download";
  } else if (is_true("HF_HUB_OFFLINE")) {
    settings.offline = "HF_HUB_OFFLINE";
  } else if (environment({"HF_HUB_OFFLINE"}).empty() && is_true("TRANSFORMERS_OFFLINE")) {
    settings.offline = "TRANSFORMERS_OFFLINE";
  } else {
    settings.token = token_of(home);
  }
  settings.proxy = proxy_of(settings.endpoint);
  settings.certificates = environment({"SSL_CERT_FILE", "CURL_CA_BUNDLE", "REQUESTS_CA_BUNDLE"});
  settings.timeout_seconds =
      timeout_of(environment({"HF_HUB_DOWNLOAD_TIMEOUT"}), settings.timeout_seconds);
  settings.user_agent = std::string("llama-pajamas/") + PAJAMAS_VERSION;
  return settings;
}

void add_no_download_option(const Command& command, bool& no_download) {
  command.add_flag("--no-download", no_download,
                   "For a model of the hub (owner/name): use the cache alone");
}

std::string local_model(const std::string& model, hub::Need need, bool no_download,
                        Context& context) {
  std::error_code code;
  if (model.empty()) return model;
  if (fs::exists(fs::symlink_status(model, code))) {
    return fs::is_directory(model, code) ? model_of_folder(model, *context.progress).native()
                                         : model;
  }
  const auto id = hub::parse_model_id(model);
  if (!id && hub::is_address(model)) {
    throw Error(ErrorCode::kUsage, "is no address of a model of the hub",
                "give https://huggingface.co/OWNER/NAME, or download the file and give its path")
        .at(printable(model, 300));
  }
  if (!id) {
    throw Error(ErrorCode::kNotFound, "no such file or directory",
                did_you_mean_path(model) +
                    "give a GGUF file, a model's directory, or a model of the hub as owner/name")
        .at(printable(model, 300));
  }
  const hub::Settings settings = hub_settings(no_download, context.settings);
  try {
    hub::Fetched fetched =
        hub::fetch(settings, *id, need, header_is_complete, {context.stop, *context.progress});
    if (fetched.temporary) context.temporary.push_back(std::move(*fetched.temporary));
    return fetched.path.native();
  } catch (const Error& error) {
    if (error.code() != ErrorCode::kNetwork) throw;
    // It may have been meant as a path.
    throw Error(error.code(), error.problem(),
                did_you_mean_path(model) + "no file or folder here has this name; " + error.hint())
        .at(error.place());
  }
}

}  // namespace pajamas::cli
