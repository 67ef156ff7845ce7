// Which source of a setting wins, and what is said of a wrong one.
#include "cli/settings.h"

#include <gtest/gtest.h>
#include <pwd.h>
#include <unistd.h>

#include <fstream>
#include <map>
#include <utility>
#include <vector>

namespace pajamas::cli {
namespace {

namespace fs = std::filesystem;

class SettingsTest : public testing::Test {
 protected:
  SettingsTest() : folder_(fs::temp_directory_path() / ("settings-" + std::to_string(::getpid()))) {
    fs::create_directories(folder_);
    variables_["LLAMA_PAJAMAS_CONFIG"] = file();
    variables_["HOME"] = "/home/somebody";
  }
  ~SettingsTest() override { fs::remove_all(folder_); }

  std::string file() const { return folder_ / "config.toml"; }
  void write(const std::string& text) { std::ofstream(file()) << text; }
  Settings load() {
    return Settings::load([this](std::string_view name) -> std::optional<std::string> {
      const auto found = variables_.find(std::string(name));
      if (found == variables_.end()) return std::nullopt;
      return found->second;
    });
  }
  // The fault of a file of this content, at FILE:LINE:COLUMN.
  void expect_fault(const std::string& text, const std::string& place, const std::string& said) {
    write(text);
    const Settings settings = load();
    ASSERT_TRUE(settings.fault()) << text;
    EXPECT_EQ(settings.fault()->code(), ErrorCode::kUsage);
    EXPECT_EQ(settings.fault()->place().rfind(file() + place, 0), 0u) << settings.fault()->place();
    EXPECT_NE(std::string(settings.fault()->what()).find(said), std::string::npos)
        << settings.fault()->what();
  }

  fs::path folder_;
  std::map<std::string, std::string> variables_;
};

TEST_F(SettingsTest, NothingIsSetByItself) {
  variables_["LLAMA_PAJAMAS_CONFIG"] = "";
  const Settings settings = load();
  EXPECT_FALSE(settings.fault());
  EXPECT_FALSE(settings.file_read());
  for (const SettingInfo& setting : kSettings) EXPECT_FALSE(settings.is_set(setting.key));
  EXPECT_EQ(settings.cache(), "/home/somebody/.cache/huggingface/hub");
  EXPECT_EQ(settings.colour(), ColourMode::kAuto);
}

TEST_F(SettingsTest, WithoutHomeTheAccountHasOne) {
  const passwd* account = ::getpwuid(::getuid());
  if (account == nullptr) GTEST_SKIP() << "this account is not in the system's list";
  for (const bool empty : {false, true}) {
    variables_ = {{"LLAMA_PAJAMAS_CONFIG", ""}};
    if (empty) variables_["HOME"] = "";
    EXPECT_EQ(load().cache(), fs::path(account->pw_dir) / ".cache/huggingface/hub");
    variables_["HF_HOME"] = "~/hf";
    EXPECT_EQ(load().cache(), fs::path(account->pw_dir) / "hf/hub");
  }
}

TEST_F(SettingsTest, TheEnvironmentIsStrongerThanTheFile) {
  write("threads = 3\ncolour = \"never\"\ntext = \"~/a.txt\"\n");
  variables_["LLAMA_PAJAMAS_THREADS"] = "5";
  const Settings settings = load();
  EXPECT_FALSE(settings.fault());
  EXPECT_EQ(settings.get(SettingKey::kThreads).value, "5");
  EXPECT_EQ(settings.get(SettingKey::kThreads).source, "LLAMA_PAJAMAS_THREADS");
  EXPECT_EQ(settings.get(SettingKey::kText).value, "/home/somebody/a.txt");
  EXPECT_EQ(settings.get(SettingKey::kText).source, "config.toml:3");
  EXPECT_EQ(settings.colour(), ColourMode::kNever);
  variables_["LLAMA_PAJAMAS_THREADS"] = "";  // as if it were not there
  EXPECT_EQ(load().get(SettingKey::kThreads).value, "3");
}

TEST_F(SettingsTest, ConfigFolderIsXdgs) {
  variables_.erase("LLAMA_PAJAMAS_CONFIG");
  EXPECT_EQ(load().file(), "/home/somebody/.config/llama-pajamas/config.toml");
  variables_["XDG_CONFIG_HOME"] = "relative";  // the specification: ignore it
  EXPECT_EQ(load().file(), "/home/somebody/.config/llama-pajamas/config.toml");
  variables_["XDG_CONFIG_HOME"] = folder_;
  fs::create_directories(folder_ / "llama-pajamas");
  std::ofstream(folder_ / "llama-pajamas/config.toml") << "threads = 7";
  EXPECT_EQ(load().get(SettingKey::kThreads).value, "7");
}

TEST_F(SettingsTest, CacheTakesAccountOfHuggingFace) {
  write("cache = \"/from/file\"");
  EXPECT_EQ(load().cache(), "/from/file");
  variables_["XDG_CACHE_HOME"] = "/xdg";  // only says where the default is
  EXPECT_EQ(load().cache(), "/from/file");
  variables_["HF_HOME"] = "/hf";
  EXPECT_EQ(load().cache(), "/hf/hub");
  variables_["HF_HUB_CACHE"] = "~/hub";
  EXPECT_EQ(load().cache(), "/home/somebody/hub");
  variables_["LLAMA_PAJAMAS_CACHE"] = "/ours";
  EXPECT_EQ(load().cache(), "/ours");
  variables_ = {{"HOME", "/h"}, {"XDG_CACHE_HOME", "/xdg"}, {"LLAMA_PAJAMAS_CONFIG", ""}};
  EXPECT_EQ(load().cache(), "/xdg/huggingface/hub");
}

TEST_F(SettingsTest, ColourFollowsTheUsualVariables) {
  write("colour = \"always\"");
  EXPECT_EQ(load().colour(), ColourMode::kAlways);
  variables_["NO_COLOR"] = "1";
  EXPECT_EQ(load().colour(), ColourMode::kNever);
  variables_["LLAMA_PAJAMAS_COLOUR"] = "auto";
  EXPECT_EQ(load().colour(), ColourMode::kAuto);
  variables_ = {{"LLAMA_PAJAMAS_CONFIG", ""}, {"NO_COLOR", ""}, {"CLICOLOR_FORCE", "1"}};
  EXPECT_EQ(load().colour(), ColourMode::kAlways);
  variables_["CLICOLOR_FORCE"] = "0";
  EXPECT_EQ(load().colour(), ColourMode::kAuto);
}

TEST_F(SettingsTest, FaultsNameTheirPlace) {
  expect_fault("threads = 2\n\nthread = 3\n", ":3:1", "did you mean threads?");
  expect_fault("color = \"auto\"", ":1:1", "did you mean colour?");
  expect_fault("elephant = 1", ":1:1", "settings are threads, cache, colour, text, kernels");
  expect_fault("threads = \"4\"", ":1:1", "threads = 8");
  expect_fault("threads = 4.5", ":1:1", "threads = 8");
  expect_fault("threads = 0", ":1:1", "from 1 to 1024");
  expect_fault("colour = \"alway\"", ":1:1", "did you mean always?");
  expect_fault("kernels = \"avx3\"", ":1:1", "avx2");
  expect_fault("text = \"a.txt\"", ":1:1", "not an absolute path");
  expect_fault("threads = 2\nthreads = 3\n", ":2:", "is not TOML");
  expect_fault("threads =\n", ":1:", "is not TOML");
  expect_fault("[threads]\nx = 1", ":1:", "threads");
  expect_fault(std::string("threads = \xff"), ":1:", "is not TOML");
}

TEST_F(SettingsTest, OneFaultLeavesTheRest) {
  write("threads = 4\nwrong = 1\n");
  const Settings settings = load();
  EXPECT_TRUE(settings.fault());
  EXPECT_EQ(settings.get(SettingKey::kThreads).value, "4");
}

TEST_F(SettingsTest, AFileThatIsNamedMustBeThere) {
  const Settings settings = load();
  ASSERT_TRUE(settings.fault());
  EXPECT_EQ(settings.fault()->code(), ErrorCode::kNotFound);
}

TEST_F(SettingsTest, WrongVariablesAreFaultsToo) {
  write("");
  for (const auto& [name, value] :
       std::vector<std::pair<std::string, std::string>>{{"LLAMA_PAJAMAS_THREADS", "many"},
                                                        {"LLAMA_PAJAMAS_THREADS", "8 "},
                                                        {"LLAMA_PAJAMAS_COLOUR", "blue"},
                                                        {"LLAMA_PAJAMAS_KERNELS", "sse"}}) {
    variables_[name] = value;
    const Settings settings = load();
    ASSERT_TRUE(settings.fault()) << name;
    EXPECT_EQ(settings.fault()->place(), name);
    variables_.erase(name);
  }
}

TEST_F(SettingsTest, WhatPeopleSetEveryDay) {
  write("temperature = 1\ncontext = 8192\nsystem = \"Say ä.\"\nkv_cache = \"q8_0\"\n");
  Settings settings = load();
  EXPECT_FALSE(settings.fault());
  EXPECT_EQ(settings.get(SettingKey::kTemperature).value, "1");
  EXPECT_EQ(settings.get(SettingKey::kContext).value, "8192");
  EXPECT_EQ(settings.get(SettingKey::kSystem).value, "Say ä.");
  EXPECT_EQ(settings.get(SettingKey::kKvCache).value, "q8_0");
  write("temperature = 0.25\n");
  EXPECT_EQ(load().get(SettingKey::kTemperature).value, "0.25");
  variables_["LLAMA_PAJAMAS_TEMPERATURE"] = "0.5";
  EXPECT_EQ(load().get(SettingKey::kTemperature).value, "0.5");
  expect_fault("temperature = -1\n", ":1:1", "no temperature");
  expect_fault("temperature = \"warm\"\n", ":1:1", "temperature = 0.7");
  expect_fault("temperature = nan\n", ":1:1", "no temperature");
  expect_fault("context = 0\n", ":1:1", "no context");
  expect_fault("kv_cache = \"q80\"\n", ":1:1", "did you mean q8_0?");
  expect_fault("temp = 1\n", ":1:1", "did you mean temperature?");
}

TEST_F(SettingsTest, AProfileIsStrongerThanTheFileAndWeakerThanTheEnvironment) {
  write(
      "temperature = 1\nthreads = 3\n"
      "[profile.exact]\ntemperature = 0\nkv_cache = \"f16\"\n[profile.long]\ncontext = 9000\n");
  Settings settings = load();
  ASSERT_FALSE(settings.fault()) << settings.fault()->what();
  EXPECT_EQ(settings.profiles(), (std::vector<std::string>{"exact", "long"}));
  EXPECT_EQ(settings.profile(), "");
  EXPECT_EQ(settings.get(SettingKey::kTemperature).value, "1");
  settings.choose_profile("exact", "--profile");
  EXPECT_EQ(settings.profile(), "exact");
  EXPECT_EQ(settings.get(SettingKey::kTemperature).value, "0");
  EXPECT_EQ(settings.get(SettingKey::kTemperature).source, "config.toml:4");
  EXPECT_EQ(settings.get(SettingKey::kKvCache).value, "f16");
  EXPECT_EQ(settings.get(SettingKey::kThreads).value, "3");
  EXPECT_FALSE(settings.is_set(SettingKey::kContext));
  variables_["LLAMA_PAJAMAS_TEMPERATURE"] = "0.5";
  settings = load();
  settings.choose_profile("exact", "--profile");
  EXPECT_EQ(settings.get(SettingKey::kTemperature).value, "0.5");
  try {
    settings.choose_profile("exat", "--profile");
    ADD_FAILURE();
  } catch (const Error& error) {
    EXPECT_NE(std::string(error.what()).find("(--profile); did you mean exact?"), std::string::npos)
        << error.what();
  }
}

TEST_F(SettingsTest, TheEnvironmentMayNameAProfile) {
  write("[profile.exact]\ntemperature = 0\n");
  variables_["LLAMA_PAJAMAS_PROFILE"] = "exact";
  Settings settings = load();
  settings.choose_profile_of_environment();
  EXPECT_EQ(settings.get(SettingKey::kTemperature).value, "0");
  variables_["LLAMA_PAJAMAS_PROFILE"] = "other";
  settings = load();
  settings.choose_profile_of_environment();
  ASSERT_TRUE(settings.fault());
  EXPECT_EQ(settings.fault()->place(), "LLAMA_PAJAMAS_PROFILE");
}

TEST_F(SettingsTest, MistakesInProfilesHaveTheirPlace) {
  expect_fault("[profile.a]\ntemprature = 1\n", ":2:1", "did you mean temperature?");
  expect_fault("[profile]\na = 1\n", ":2:1", "is no profile");
  expect_fault("profile = \"a\"\n", ":1:1", "is no setting");
  expect_fault("[profiles.a]\nthreads = 1\n", ":1:2", "is no setting");
}

}  // namespace
}  // namespace pajamas::cli
