// `models`: what the hub's cache and folders hold, and taking models out of the cache.
#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <filesystem>
#include <iostream>
#include <memory>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "base/error.h"
#include "base/suggest.h"
#include "cli/command.h"
#include "cli/log.h"
#include "cli/model_inventory.h"
#include "cli/terminal.h"
#include "hub/inventory.h"
#include "hub/select.h"

namespace pajamas::cli {
namespace {

namespace fs = std::filesystem;
using nlohmann::ordered_json;

struct ModelsFlags {
  std::vector<std::string> folders;
  std::vector<std::string> remove;
  bool yes = false;
  bool json = false;
};

// A model as it is given to `run`.
struct Listed {
  std::string name;
  FoundModel model;
};

struct Place {
  fs::path folder;
  std::uint64_t bytes = 0;
  std::vector<Listed> models;
};

std::vector<Listed> models_of(const hub::CachedRepository& repository) {
  std::vector<Listed> listed;
  for (FoundModel& model : find_models(repository.snapshot)) {
    std::string name = repository.name;
    if (model.format == "GGUF") {
      name += ":" + model.path.lexically_relative(repository.snapshot).generic_string();
    } else if (model.path != repository.snapshot) {
      continue;  // below the top nothing but GGUF is read from the hub
    }
    listed.push_back({std::move(name), std::move(model)});
  }
  return listed;
}

Place cached_models(const fs::path& cache) {
  Place place{.folder = cache, .models = {}};
  for (const hub::CachedRepository& repository : hub::cached_repositories(cache)) {
    place.bytes += repository.bytes;
    std::vector<Listed> listed;
    if (!repository.snapshot.empty()) listed = models_of(repository);
    if (listed.empty()) {
      FoundModel none;
      none.path = repository.folder;
      none.bytes = repository.bytes;
      none.problem = repository.unfinished > 0 ? "download not finished" : "no weights";
      listed.push_back({repository.name, std::move(none)});
    }
    for (Listed& each : listed) place.models.push_back(std::move(each));
  }
  return place;
}

Place models_in(const std::string& folder) {
  std::error_code code;
  if (!fs::is_directory(folder, code)) {
    throw Error(ErrorCode::kNotFound, "is not a folder", did_you_mean_path(folder) + "give folders")
        .at(printable(folder, 300));
  }
  Place place{.folder = folder, .models = {}};
  for (FoundModel& model : find_models(folder)) {
    place.bytes += model.bytes;
    std::string name = model.path.native();
    place.models.push_back({std::move(name), std::move(model)});
  }
  return place;
}

ordered_json place_json(const Place& place, std::string_view kind) {
  ordered_json models = ordered_json::array();
  const auto known = [](const auto& value) {
    return value == decltype(value){} ? ordered_json() : ordered_json(value);
  };
  for (const Listed& each : place.models) {
    models.push_back({{"model", each.name},
                      {"path", each.model.path.native()},
                      {"format", known(each.model.format)},
                      {"type", known(each.model.type)},
                      {"architecture", known(each.model.architecture)},
                      {"parameters", known(each.model.parameters)},
                      {"bytes", each.model.bytes},
                      {"problem", known(each.model.problem)}});
  }
  return {{"kind", kind},
          {"path", place.folder.native()},
          {"bytes", place.bytes},
          {"models", std::move(models)}};
}

void print_place(const Place& place, std::string_view what) {
  fmt::print("{}\n", paint(fmt::format("{} {}: {}", what, printable(place.folder.native(), 300),
                                       place.models.empty() ? "none" : readable_bytes(place.bytes)),
                           Colour::kBold, stdout));
  std::size_t width = 5;
  for (const Listed& each : place.models) width = std::max(width, printable(each.name, 300).size());
  if (!place.models.empty()) {
    fmt::print("  {:<{}}  {:<12}  {:<9}  {:>9}\n", "model", width, "format", "type", "size");
  }
  for (const Listed& each : place.models) {
    fmt::print("  {:<{}}  {:<12}  {:<9}  {:>9}{}\n", printable(each.name, 300), width,
               each.model.format.empty() ? "-" : each.model.format,
               each.model.type.empty() ? "-" : each.model.type, readable_bytes(each.model.bytes),
               each.model.problem.empty() ? "" : "  " + printable(each.model.problem, 100));
  }
}

void list(const ModelsFlags& options, const Context& context) {
  std::vector<Place> places{cached_models(context.settings.cache())};
  for (const std::string& folder : options.folders) places.push_back(models_in(folder));
  if (options.json) {
    ordered_json all = ordered_json::array();
    for (std::size_t i = 0; i < places.size(); ++i) {
      all.push_back(place_json(places[i], i == 0 ? "cache" : "folder"));
    }
    const ordered_json report = {{"places", std::move(all)}};
    fmt::print("{}\n", report.dump(2, ' ', false, ordered_json::error_handler_t::replace));
    return;
  }
  for (std::size_t i = 0; i < places.size(); ++i) {
    print_place(places[i], i == 0 ? "models of the hub in" : "models in");
  }
}

// What one --remove means: a repository, or a model in it.
struct Removal {
  hub::ModelId id;
  std::string what;  // for the question
  std::uint64_t bytes = 0;
  std::vector<std::string> files;  // of the repository; none: all of it
};

[[noreturn]] void throw_not_cached(const std::string& given, const Place& place) {
  std::vector<std::string_view> names;
  for (const Listed& each : place.models) names.push_back(each.name);
  std::error_code code;
  const bool path = fs::exists(given, code);
  throw Error(
      path ? ErrorCode::kUsage : ErrorCode::kNotFound,
      path ? "is a path; only models of the hub's cache are removed" : "is not in the hub's cache",
      path ? "remove it as any other file"
           : did_you_mean(given, names) + "`models` lists what is there")
      .at(printable(given, 300));
}

Removal removal_of(const std::string& given, const fs::path& cache) {
  const Place place = cached_models(cache);
  const auto id = hub::parse_model_id(given);
  if (!id) throw_not_cached(given, place);
  Removal removal{.id = *id, .what = id->repository(), .files = {}};
  for (const hub::CachedRepository& repository : hub::cached_repositories(cache)) {
    if (repository.name != id->repository()) continue;
    removal.bytes = repository.bytes;
    if (id->file.empty()) return removal;
    // As `run` understands the name: a path, or what a path ends with.
    std::vector<std::string> paths;
    const auto relative = [&](const fs::path& path) {
      return path.lexically_relative(repository.snapshot).generic_string();
    };
    std::vector<Listed> listed;
    if (!repository.snapshot.empty()) listed = models_of(repository);
    for (const Listed& each : listed) paths.push_back(relative(each.model.path));
    const std::string chosen = hub::select_gguf_file(*id, paths);
    if (listed.size() == 1) return removal;  // nothing of use would be left
    for (const Listed& each : listed) {
      if (relative(each.model.path) != chosen) continue;
      removal.what = each.name;
      removal.bytes = each.model.bytes;
      for (const fs::path& file : each.model.files) removal.files.push_back(relative(file));
    }
    return removal;
  }
  throw_not_cached(given, place);
}

bool confirmed(const std::vector<Removal>& removals, const ModelsFlags& options) {
  for (const Removal& removal : removals) {
    log_info(fmt::format("to remove: {} ({})", printable(removal.what, 300),
                         readable_bytes(removal.bytes)));
  }
  if (options.yes) return true;
  if (::isatty(STDIN_FILENO) == 0) {
    throw Error(ErrorCode::kUsage, "nobody is there to be asked", "add --yes").at("--remove");
  }
  log_text("remove from the disk? [y/N] ");
  std::string line;
  std::getline(std::cin, line);
  return line == "y" || line == "Y" || line == "yes";
}

void remove(const ModelsFlags& options, const Context& context) {
  const fs::path cache = context.settings.cache();
  std::vector<Removal> removals;
  for (const std::string& given : options.remove) removals.push_back(removal_of(given, cache));
  if (!confirmed(removals, options)) {
    log_info("nothing was removed");
    return;
  }
  std::uint64_t bytes = 0;
  for (const Removal& removal : removals) {
    if (removal.files.empty()) {
      hub::remove_repository(cache, removal.id);
    } else {
      hub::remove_files(cache, removal.id, removal.files);
    }
    bytes += removal.bytes;
  }
  log_info(fmt::format("removed, {} are free again", readable_bytes(bytes)),
           {{"removed_bytes", bytes}});
}

}  // namespace

void add_models(const Command& app, Context& context) {
  const Command command = app.add_command(
      "models", "List the models in the hub's cache and in folders, or remove some");
  auto options = std::make_shared<ModelsFlags>();
  command
      .add_option("FOLDER", options->folders,
                  "Folders to look through besides the hub's cache, some levels deep")
      .type_name("");
  command
      .add_option("--remove", options->remove,
                  "Remove a model of the hub's cache (owner/name), or one of its GGUF files "
                  "(owner/name:FILE), after a question; may be repeated")
      .type_name("ID")
      .one_each_time();
  command.add_flag("--yes", options->yes, "With --remove: do not ask");
  command.add_flag("--json", options->json, "Print JSON");
  command.footer(
      "Example: what is there, and what quantize left in the folder out\n"
      "  llama-pajamas models out\n"
      "Example: a model of the cache that is no longer wanted\n"
      "  llama-pajamas models --remove Qwen/Qwen2.5-7B-Instruct");
  command.callback([options, &context] {
    options->remove.empty() ? list(*options, context) : remove(*options, context);
  });
}

}  // namespace pajamas::cli
