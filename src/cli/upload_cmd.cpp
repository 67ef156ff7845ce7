// `upload`: a folder as a commit of a repository on the hub.
#include <fmt/format.h>

#include <memory>
#include <nlohmann/json.hpp>
#include <string>

#include "base/error.h"
#include "cli/command.h"
#include "cli/log.h"
#include "cli/model_argument.h"
#include "cli/terminal.h"
#include "hub/upload.h"

namespace pajamas::cli {
namespace {

struct UploadFlags {
  std::string folder;
  std::string repository;
  std::string message = "Upload with llama-pajamas";
  bool is_private = false;
  bool dry_run = false;
  bool json = false;
};

std::string_view state_name(hub::FileState state, bool dry_run) {
  switch (state) {
    case hub::FileState::kSent:
      return dry_run ? "to be sent" : "sent";
    case hub::FileState::kInStore:
      return "in the store already";
    case hub::FileState::kUnchanged:
      return "unchanged";
    case hub::FileState::kIgnored:
      return "ignored by .gitignore";
  }
  return "";
}

void run_upload(const UploadFlags& options, Context& context) {
  const auto id = hub::parse_model_id(options.repository);
  if (!id || !id->file.empty()) {
    throw Error(ErrorCode::kUsage, "is no name of a repository",
                "give owner/name, or owner/name@branch")
        .at(printable(options.repository, 200));
  }
  const hub::Settings settings = hub_settings(false, context.settings);
  if (!settings.offline.empty()) {
    throw Error(ErrorCode::kUsage, "nothing is asked or sent while it is set", "unset it")
        .at(settings.offline);
  }
  if (settings.token.empty()) {
    throw Error(ErrorCode::kUsage, "uploading needs a token that may write",
                fmt::format("make one at {}/settings/tokens, and set HF_TOKEN to it (or `hf auth "
                            "login`)",
                            settings.endpoint));
  }
  const hub::UploadReport report = hub::upload(settings, *id,
                                               {.folder = options.folder,
                                                .is_private = options.is_private,
                                                .dry_run = options.dry_run,
                                                .summary = options.message},
                                               {context.stop, *context.progress});
  const std::string page = fmt::format("{}/{}", settings.endpoint, id->repository());
  std::uint64_t bytes = 0;
  nlohmann::ordered_json files = nlohmann::ordered_json::array();
  for (const auto& file : report.files) {
    if (file.state == hub::FileState::kSent) bytes += file.size;
    const std::string_view state = state_name(file.state, options.dry_run);
    files.push_back({{"path", file.path}, {"bytes", file.size}, {"state", state}});
    if (!options.json) {
      fmt::print("{:>10}  {:<22} {}\n", readable_bytes(file.size), state,
                 printable(file.path, 300));
    }
  }
  if (options.json) {
    nlohmann::ordered_json out = {
        {"repository", id->repository()}, {"url", page},    {"creates", report.creates},
        {"dry_run", options.dry_run},     {"bytes", bytes}, {"files", std::move(files)}};
    if (report.commit.empty()) {
      out["commit"] = nullptr;
    } else {
      out["commit"] = report.commit;
    }
    fmt::print("{}\n", out.dump(2, ' ', false, nlohmann::json::error_handler_t::replace));
    return;
  }
  if (options.dry_run) {
    fmt::print("{} would be sent to {}{}\n", readable_bytes(bytes), page,
               report.creates ? ", which would be made" : "");
  } else if (report.commit.empty()) {
    fmt::print("{} has all of it\n", page);
  } else {
    fmt::print("{} sent, commit {} of {}\n", readable_bytes(bytes), printable(report.commit, 40),
               page);
  }
}

}  // namespace

void add_upload(const Command& app, Context& context) {
  const Command command = app.add_command("upload", "Put a folder on the hub, as one commit");
  auto options = std::make_shared<UploadFlags>();
  command.add_option("DIR", options->folder, "Folder whose files are to be the repository's")
      .required()
      .type_name("");
  command
      .add_option("REPOSITORY", options->repository,
                  "owner/name or owner/name@branch; made where there is none")
      .required()
      .type_name("");
  command.add_flag("--private", options->is_private,
                   "Make a private repository; refuse one that is public");
  command.add_flag("--dry-run", options->dry_run, "List what would be sent, and send nothing");
  command.add_option("-m,--message", options->message, "Of the commit")
      .capture_default_str()
      .type_name("TEXT");
  command.add_flag("--json", options->json, "Print JSON");
  command.footer(
      "Needs a token that may write (HF_TOKEN, or `hf auth login`). Stopped or cut off, the same\n"
      "command goes on: files that arrived are not sent again.\n"
      "Example: a model with its card\n"
      "  llama-pajamas card out --reference Qwen/Qwen2.5-7B-Instruct\n"
      "  llama-pajamas upload out me/Qwen2.5-7B-Instruct-GGUF --dry-run\n"
      "  llama-pajamas upload out me/Qwen2.5-7B-Instruct-GGUF");
  command.callback([options, &context] { run_upload(*options, context); });
}

}  // namespace pajamas::cli
