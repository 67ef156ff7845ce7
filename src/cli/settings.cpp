#include "cli/settings.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

// Exceptions say where in the file something is wrong.
#define TOML_EXCEPTIONS 1
#include <toml++/toml.h>

#include <algorithm>
#include <charconv>
#include <cstdlib>
#include <sstream>

#include "base/file.h"
#include "base/parallel.h"
#include "base/suggest.h"
#include "base/system.h"
#include "kernels/table.h"
#include "runtime/engine_options.h"
#include "text/utf8.h"

namespace pajamas::cli {
namespace {

namespace fs = std::filesystem;

constexpr std::uint64_t kMaxFileBytes = 1u << 20;
constexpr std::string_view kProfiles = "profile";  // the table of them
constexpr std::array<std::string_view, 3> kColourNames{"auto", "always", "never"};

// A variable that is set to something: an empty one counts as none, as is the custom.
std::optional<std::string> filled(const Environment& environment, std::string_view name) {
  auto value = environment(name);
  if (value && value->empty()) value.reset();
  return value;
}

// The XDG specification has relative folders ignored.
fs::path xdg_folder(const Environment& environment, std::string_view variable,
                    std::string_view below_home) {
  if (const auto value = filled(environment, variable); value && fs::path(*value).is_absolute()) {
    return *value;
  }
  return home_folder(environment) / below_home;
}

fs::path config_file(const Environment& environment) {
  if (const auto named = environment(kConfigVariable)) return *named;
  return xdg_folder(environment, "XDG_CONFIG_HOME", ".config") / "llama-pajamas" / "config.toml";
}

// The folder by Hugging Face's own rules, and what says so.
Setting hub_cache(const Environment& environment) {
  for (const char* name : {"HF_HUB_CACHE", "HUGGINGFACE_HUB_CACHE"}) {
    if (const auto value = filled(environment, name)) {
      return {expand_home(*value, environment), name};
    }
  }
  if (const auto value = filled(environment, "HF_HOME")) {
    return {fs::path(expand_home(*value, environment)) / "hub", "HF_HOME"};
  }
  return {xdg_folder(environment, "XDG_CACHE_HOME", ".cache") / "huggingface" / "hub", "default"};
}

void check_threads(const std::string& text) {
  int number = 0;
  const auto [end, code] = std::from_chars(text.data(), text.data() + text.size(), number);
  if (code == std::errc() && end == text.data() + text.size() && number >= 1 &&
      number <= TaskPool::kMaxThreads) {
    return;
  }
  throw Error(ErrorCode::kUsage, fmt::format("\"{}\" is no number of threads", printable(text, 40)),
              fmt::format("give a whole number from 1 to {}", TaskPool::kMaxThreads));
}

void check_temperature(const std::string& text) {
  double number = -1;
  const auto [end, code] = std::from_chars(text.data(), text.data() + text.size(), number);
  if (code == std::errc() && end == text.data() + text.size() && number >= 0 && number <= 1e6)
    return;
  throw Error(ErrorCode::kUsage, fmt::format("\"{}\" is no temperature", printable(text, 40)),
              "give a number from 0 on, as 0.7; 0 is always the likeliest token");
}

void check_context(const std::string& text) {
  std::uint64_t number = 0;
  const auto [end, code] = std::from_chars(text.data(), text.data() + text.size(), number);
  if (code == std::errc() && end == text.data() + text.size() && number >= 1 &&
      number <= runtime::kMaxContext) {
    return;
  }
  throw Error(ErrorCode::kUsage, fmt::format("\"{}\" is no context", printable(text, 40)),
              "give the number of tokens that prompt and answer may take together, as 8192");
}

void check_kv_cache(const std::string& text) {
  std::vector<std::string_view> names;
  for (const runtime::KvTypeInfo& type : runtime::kKvTypes) names.push_back(type.name);
  if (std::ranges::count(names, text) != 0) return;
  throw Error(ErrorCode::kUsage, fmt::format("there is no cache type \"{}\"", printable(text, 40)),
              fmt::format("{}give one of {}", did_you_mean(text, names), fmt::join(names, ", ")));
}

void check_kernels(const std::string& text) {
  std::vector<std::string_view> names;
  for (const kernels::KernelTable* table : kernels::all_kernels()) names.push_back(table->name);
  if (std::ranges::count(names, text) != 0) return;
  throw Error(ErrorCode::kUsage,
              fmt::format("there are no kernels named \"{}\"", printable(text, 40)),
              fmt::format("{}there are {}", did_you_mean(text, names), fmt::join(names, ", ")));
}

// The value in the form that options take. A path is absolute, or it would mean another file in
// every folder; the environment belongs to one.
std::string checked_value(SettingKey key, std::string value, bool from_file,
                          const Environment& environment) {
  switch (key) {
    case SettingKey::kThreads:
      check_threads(value);
      return value;
    case SettingKey::kColour:
      parse_colour(value);
      return value;
    case SettingKey::kKernels:
      check_kernels(value);
      return value;
    case SettingKey::kTemperature:
      check_temperature(value);
      return value;
    case SettingKey::kContext:
      check_context(value);
      return value;
    case SettingKey::kKvCache:
      check_kv_cache(value);
      return value;
    case SettingKey::kSystem:
      text::require_utf8(value, "the system message");
      return value;
    case SettingKey::kCache:
    case SettingKey::kText:
      break;
  }
  value = expand_home(value, environment);
  if (fs::path(value).is_absolute()) return value;
  if (from_file) {
    throw Error(ErrorCode::kUsage,
                fmt::format("\"{}\" is not an absolute path", printable(value, 100)),
                "begin it with / or ~/");
  }
  return fs::absolute(value);
}

std::string allowed_keys() {
  std::vector<std::string_view> names;
  for (const SettingInfo& setting : kSettings) names.push_back(setting.name);
  return fmt::format("settings are {}, and profiles of them as [profile.NAME]",
                     fmt::join(names, ", "));
}

const SettingInfo& setting_named(std::string_view name) {
  std::vector<std::string_view> names;
  for (const SettingInfo& setting : kSettings) {
    if (setting.name == name) return setting;
    names.push_back(setting.name);
  }
  // Closer by sense than by letters.
  const std::string_view meant = name == "color"                      ? "colour"
                                 : name == "ctx" || name == "num_ctx" ? "context"
                                 : name == "temp"                     ? "temperature"
                                 : name == "system_prompt" || name == "system-message" ? "system"
                                                                                       : "";
  throw Error(
      ErrorCode::kUsage, fmt::format("\"{}\" is no setting", printable(name, 40)),
      (meant.empty() ? did_you_mean(name, names) : fmt::format("did you mean {}? ", meant)) +
          allowed_keys());
}

std::string value_of(const SettingInfo& setting, const toml::node& node) {
  if (setting.key == SettingKey::kThreads || setting.key == SettingKey::kContext) {
    if (const auto* number = node.as_integer()) return std::to_string(number->get());
  } else if (setting.key == SettingKey::kTemperature) {
    if (const auto* number = node.as_integer()) return std::to_string(number->get());
    if (const auto* number = node.as_floating_point()) return fmt::format("{}", number->get());
  } else if (const auto* text = node.as_string()) {
    return text->get();
  }
  std::ostringstream type;
  type << node.type();
  throw Error(ErrorCode::kUsage, fmt::format("is of the type {}", type.str()),
              fmt::format("write it as {} = {}", setting.name, setting.example))
      .at(setting.name);
}

std::string place_of(const fs::path& file, const toml::source_position& at) {
  return fmt::format("{}:{}:{}", printable(file.native(), 300), at.line, at.column);
}

}  // namespace

ColourMode parse_colour(std::string_view text) {
  for (std::size_t i = 0; i < kColourNames.size(); ++i) {
    if (text == kColourNames[i]) return static_cast<ColourMode>(i);
  }
  throw Error(ErrorCode::kUsage, fmt::format("\"{}\" says nothing of colours", printable(text, 40)),
              did_you_mean(text, kColourNames) + "give auto, always or never");
}

Environment process_environment() {
  return [](std::string_view name) -> std::optional<std::string> {
    const char* value = std::getenv(std::string(name).c_str());
    if (value == nullptr) return std::nullopt;
    return value;
  };
}

fs::path home_folder(const Environment& environment) {
  if (const auto set = filled(environment, "HOME")) return *set;
  const fs::path known = account_home();
  return known.empty() ? "/" : known;
}

std::string expand_home(const std::string& path, const Environment& environment) {
  if (path == "~") return home_folder(environment);
  return path.starts_with("~/") ? (home_folder(environment) / path.substr(2)).native() : path;
}

Settings Settings::load(const Environment& environment) {
  Settings settings;
  for (Setting& setting : settings.values_) setting.source = "default";
  const Setting hub = hub_cache(environment);
  settings.set(SettingKey::kCache, hub.value, "default", Rank::kDefault);
  settings.file_ = config_file(environment);
  settings.read_file(environment);
  // Hugging Face's variables are environment, and weaker than our own.
  if (hub.source != "default") {
    settings.set(SettingKey::kCache, hub.value, hub.source, Rank::kEnvironment);
  }
  settings.read_environment(environment);
  settings.profile_of_environment_ = filled(environment, kProfileVariable).value_or("");
  return settings;
}

ColourMode Settings::colour() const {
  return is_set(SettingKey::kColour) ? parse_colour(get(SettingKey::kColour).value)
                                     : ColourMode::kAuto;
}

void Settings::override_by_flag(SettingKey key, std::string value, std::string flag) {
  set(key, std::move(value), std::move(flag), Rank::kFlag);
}

void Settings::choose_profile(std::string_view name, std::string_view source) {
  const auto found = profiles_.find(name);
  if (found == profiles_.end()) {
    std::vector<std::string_view> names;
    for (const auto& [each, values] : profiles_) names.push_back(each);
    throw Error(ErrorCode::kUsage, fmt::format("there is no profile \"{}\"", printable(name, 40)),
                names.empty()
                    ? fmt::format("write one as [profile.{}] in {}", printable(name, 40),
                                  file_.empty() ? "config.toml" : printable(file_.native(), 300))
                    : fmt::format("{}there {} {}", did_you_mean(name, names),
                                  names.size() == 1 ? "is" : "are", fmt::join(names, ", ")))
        .at(source);
  }
  profile_ = name;
  for (const auto& [key, setting] : found->second) {
    set(key, setting.value, setting.source, Rank::kProfile);
  }
}

void Settings::choose_profile_of_environment() {
  if (profile_of_environment_.empty()) return;
  try {
    choose_profile(profile_of_environment_, kProfileVariable);
  } catch (Error& error) {
    note_fault(std::move(error));
  }
}

std::vector<std::string> Settings::profiles() const {
  std::vector<std::string> names;
  for (const auto& [name, values] : profiles_) names.push_back(name);
  return names;
}

void Settings::read_file(const Environment& environment) {
  std::error_code code;
  if (file_.empty() || (!environment(kConfigVariable) && !fs::exists(file_, code))) return;
  toml::table table;
  try {
    table = toml::parse(read_text_file(file_, kMaxFileBytes), std::string_view(file_.native()));
  } catch (const toml::parse_error& error) {
    note_fault(Error(ErrorCode::kUsage,
                     fmt::format("is not TOML: {}", printable(error.description(), 200)),
                     fmt::format("write lines as threads = 8; {}", allowed_keys()))
                   .at(place_of(file_, error.source().begin)));
    return;
  } catch (Error& error) {
    note_fault(std::move(error));
    return;
  }
  file_read_ = true;
  // One key of a table: what is wrong with it is noted, with its place.
  const auto read = [&](const toml::key& name, const toml::node& node, const auto& use) {
    const toml::source_position at = name.source().begin;
    try {
      const SettingInfo& setting = setting_named(name.str());
      use(setting.key,
          Setting{checked_value(setting.key, value_of(setting, node), true, environment),
                  fmt::format("{}:{}", file_.filename().native(), at.line)});
    } catch (Error& error) {
      note_fault(std::move(error.at(place_of(file_, at))));
    }
  };
  for (const auto& [name, node] : table) {
    const toml::table* profiles = name.str() == kProfiles ? node.as_table() : nullptr;
    if (profiles == nullptr) {
      read(name, node, [&](SettingKey key, Setting setting) {
        set(key, std::move(setting.value), std::move(setting.source), Rank::kFile);
      });
      continue;
    }
    for (const auto& [profile_name, profile_node] : *profiles) {
      const toml::table* values = profile_node.as_table();
      if (values == nullptr) {
        note_fault(Error(ErrorCode::kUsage,
                         fmt::format("\"{}\" is no profile", printable(profile_name.str(), 40)),
                         "write [profile.NAME] and settings below it")
                       .at(place_of(file_, profile_name.source().begin)));
        continue;
      }
      Profile& profile = profiles_[std::string(profile_name.str())];
      for (const auto& [key_name, value] : *values) {
        read(key_name, value, [&](SettingKey key, Setting setting) {
          profile.insert_or_assign(key, std::move(setting));
        });
      }
    }
  }
}

void Settings::read_environment(const Environment& environment) {
  if (const auto value = filled(environment, "CLICOLOR_FORCE"); value && *value != "0") {
    set(SettingKey::kColour, "always", "CLICOLOR_FORCE", Rank::kEnvironment);
  }
  if (filled(environment, "NO_COLOR"))
    set(SettingKey::kColour, "never", "NO_COLOR", Rank::kEnvironment);
  for (const SettingInfo& setting : kSettings) {
    auto value = filled(environment, setting.variable);
    if (!value) continue;
    try {
      set(setting.key, checked_value(setting.key, *std::move(value), false, environment),
          std::string(setting.variable), Rank::kEnvironment);
    } catch (Error& error) {
      note_fault(std::move(error.at(setting.variable)));
    }
  }
}

void Settings::set(SettingKey key, std::string value, std::string source, Rank rank) {
  const auto at = static_cast<std::size_t>(key);
  if (rank < ranks_[at]) return;
  ranks_[at] = rank;
  values_[at] = {std::move(value), std::move(source)};
}

void Settings::note_fault(Error error) {
  if (!fault_) fault_ = std::move(error);
}

}  // namespace pajamas::cli
