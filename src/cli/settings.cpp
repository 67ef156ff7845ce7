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

namespace pajamas::cli {
namespace {

namespace fs = std::filesystem;

constexpr std::uint64_t kMaxFileBytes = 1u << 20;
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
std::string checked(SettingKey key, std::string value, bool from_file,
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
  return fmt::format("settings are {}", fmt::join(names, ", "));
}

const SettingInfo& setting_named(std::string_view name) {
  std::vector<std::string_view> names;
  for (const SettingInfo& setting : kSettings) {
    if (setting.name == name) return setting;
    names.push_back(setting.name);
  }
  const bool american = name == "color";  // closer by sense than by letters
  throw Error(ErrorCode::kUsage, fmt::format("\"{}\" is no setting", printable(name, 40)),
              (american ? "did you mean colour? " : did_you_mean(name, names)) + allowed_keys());
}

std::string value_of(const SettingInfo& setting, const toml::node& node) {
  if (setting.key == SettingKey::kThreads) {
    if (const auto* number = node.as_integer()) return std::to_string(number->get());
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
  settings.set(SettingKey::kCache, hub.value, "default");
  settings.file_ = config_file(environment);
  settings.read_file(environment);
  // Hugging Face's variables are environment, and weaker than our own.
  if (hub.source != "default") settings.set(SettingKey::kCache, hub.value, hub.source);
  settings.read_environment(environment);
  return settings;
}

ColourMode Settings::colour() const {
  return is_set(SettingKey::kColour) ? parse_colour(get(SettingKey::kColour).value)
                                     : ColourMode::kAuto;
}

void Settings::override_by_flag(SettingKey key, std::string value, std::string flag) {
  set(key, std::move(value), std::move(flag));
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
  for (const auto& [name, node] : table) {
    const toml::source_position at = name.source().begin;
    try {
      const SettingInfo& setting = setting_named(name.str());
      set(setting.key, checked(setting.key, value_of(setting, node), true, environment),
          fmt::format("{}:{}", file_.filename().native(), at.line));
    } catch (Error& error) {
      note_fault(std::move(error.at(place_of(file_, at))));
    }
  }
}

void Settings::read_environment(const Environment& environment) {
  if (const auto value = filled(environment, "CLICOLOR_FORCE"); value && *value != "0") {
    set(SettingKey::kColour, "always", "CLICOLOR_FORCE");
  }
  if (filled(environment, "NO_COLOR")) set(SettingKey::kColour, "never", "NO_COLOR");
  for (const SettingInfo& setting : kSettings) {
    auto value = filled(environment, setting.variable);
    if (!value) continue;
    try {
      set(setting.key, checked(setting.key, *std::move(value), false, environment),
          std::string(setting.variable));
    } catch (Error& error) {
      note_fault(std::move(error.at(setting.variable)));
    }
  }
}

void Settings::set(SettingKey key, std::string value, std::string source) {
  values_[static_cast<std::size_t>(key)] = {std::move(value), std::move(source)};
}

void Settings::note_fault(Error error) {
  if (!fault_) fault_ = std::move(error);
}

}  // namespace pajamas::cli
