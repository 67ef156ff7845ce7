// What a person sets once instead of on every command line: flags are stronger than the
// environment, which is stronger than a profile of config.toml, and that than the rest of the file.
#pragma once

#include <array>
#include <cstdint>
#include <filesystem>
#include <functional>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/error.h"

namespace pajamas::cli {

enum class SettingKey : std::uint8_t {
  kThreads,
  kCache,
  kColour,
  kText,
  kKernels,
  kTemperature,
  kContext,
  kSystem,
  kKvCache,
};

struct SettingInfo {
  SettingKey key;
  std::string_view name;      // in config.toml
  std::string_view variable;  // in the environment
  std::string_view example;   // a value as config.toml has it
  std::string_view help;
};

// docs/settings.md, `doctor` and the man pages list these.
inline constexpr std::array<SettingInfo, 9> kSettings{{
    {SettingKey::kThreads, "threads", "LLAMA_PAJAMAS_THREADS", "8",
     "number of threads (default: all processors)"},
    {SettingKey::kCache, "cache", "LLAMA_PAJAMAS_CACHE", "\"/data/huggingface/hub\"",
     "folder of models from the hub (default: that of Hugging Face's own tools)"},
    {SettingKey::kColour, "colour", "LLAMA_PAJAMAS_COLOUR", "\"auto\"",
     "auto, always or never (default: auto, which is only on terminals)"},
    {SettingKey::kText, "text", "LLAMA_PAJAMAS_TEXT", "\"/data/wiki.test.raw\"",
     "text that `validate` predicts (default: one that is built in)"},
    {SettingKey::kKernels, "kernels", "LLAMA_PAJAMAS_KERNELS", "\"avx2\"",
     "instruction set to use (default: the best of this machine)"},
    {SettingKey::kTemperature, "temperature", "LLAMA_PAJAMAS_TEMPERATURE", "0.7",
     "temperature of `run` and `chat` (default: the model's own, else 0.8)"},
    {SettingKey::kContext, "context", "LLAMA_PAJAMAS_CONTEXT", "8192",
     "context of `run` and `chat`, in tokens (default: the model's, at most 4096)"},
    {SettingKey::kSystem, "system", "LLAMA_PAJAMAS_SYSTEM", "\"Answer briefly.\"",
     "system message of `run` and `chat` (default: the chat template's own)"},
    {SettingKey::kKvCache, "kv_cache", "LLAMA_PAJAMAS_KV_CACHE", "\"q8_0\"",
     "type of the KV cache of `run` and `chat` (default: f32)"},
}};

inline constexpr std::string_view kConfigVariable = "LLAMA_PAJAMAS_CONFIG";
inline constexpr std::string_view kProfileVariable = "LLAMA_PAJAMAS_PROFILE";

enum class ColourMode : std::uint8_t { kAuto, kAlways, kNever };
// Throws Error{kUsage}.
ColourMode parse_colour(std::string_view text);

// A variable's value; nothing where it is not set.
using Environment = std::function<std::optional<std::string>(std::string_view name)>;
Environment process_environment();

// HOME, else what the system knows of the account, else `/`.
std::filesystem::path home_folder(const Environment& environment);
// `~` and `~/models`, which a shell does not expand in quotes, as paths of this user.
std::string expand_home(const std::string& path, const Environment& environment);

struct Setting {
  std::string value;
  std::string source;  // "config.toml:3", "LLAMA_PAJAMAS_THREADS"; "default"
};

class Settings {
 public:
  // Reads the file and the environment. What is wrong with either is kept in `fault`, so that help
  // and `doctor` work all the same; what is right counts.
  static Settings load(const Environment& environment);

  // The value by the strongest source that has one; "" by "default" where none has. The folder of
  // models always has a value, and takes account of Hugging Face's variables.
  const Setting& get(SettingKey key) const { return values_[static_cast<std::size_t>(key)]; }
  bool is_set(SettingKey key) const { return get(key).source != "default"; }
  // The folder in which models from the hub are kept, as huggingface_hub lays it out.
  std::filesystem::path cache() const { return get(SettingKey::kCache).value; }
  ColourMode colour() const;
  // Takes the values of `[profile.NAME]` where nothing stronger has said anything; `source` says
  // who asked for it. Throws Error{kUsage} where there is no such profile, with those there are.
  void choose_profile(std::string_view name, std::string_view source);
  // That of the environment, if it names one; what is wrong with it is a fault.
  void choose_profile_of_environment();
  // The profile that counts; empty: none.
  const std::string& profile() const noexcept { return profile_; }
  std::vector<std::string> profiles() const;  // that the file has

  // What a flag said, which is stronger than all of it.
  void override_by_flag(SettingKey key, std::string value, std::string flag);

  // Where config.toml is looked for; empty where the environment says that there is none.
  const std::filesystem::path& file() const noexcept { return file_; }
  bool file_read() const noexcept { return file_read_; }
  const std::optional<Error>& fault() const noexcept { return fault_; }

 private:
  // Weakest first.
  enum class Rank : std::uint8_t { kDefault, kFile, kProfile, kEnvironment, kFlag };
  using Profile = std::map<SettingKey, Setting>;

  void read_file(const Environment& environment);
  void read_environment(const Environment& environment);
  void set(SettingKey key, std::string value, std::string source, Rank rank);
  void note_fault(Error error);

  std::array<Setting, kSettings.size()> values_;
  std::array<Rank, kSettings.size()> ranks_{};
  std::map<std::string, Profile, std::less<>> profiles_;
  std::string profile_;
  std::string profile_of_environment_;
  std::filesystem::path file_;
  bool file_read_ = false;
  std::optional<Error> fault_;
};

}  // namespace pajamas::cli
