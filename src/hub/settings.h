// What the environment and the command line say about the hub; `cli/` reads them.
#pragma once

#include <filesystem>
#include <string>

namespace pajamas::hub {

struct Settings {
  std::string endpoint = "https://huggingface.co";  // without a slash at the end
  std::filesystem::path cache;                      // where models--OWNER--NAME lie
  std::string token;                                // empty: none
  std::string offline;  // why nothing may be asked or downloaded ("--no-download"); empty: it may
  std::string proxy;    // the environment's, for messages; libcurl reads it itself
  std::filesystem::path certificates;  // a file of CA certificates; empty: the system's
  double timeout_seconds = 10;         // to connect, and without a single byte
  std::string user_agent = "llama-pajamas";
};

}  // namespace pajamas::hub
