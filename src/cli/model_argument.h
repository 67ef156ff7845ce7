// What a user may give for a model: a path, or the name of a model on the Hugging Face hub.
#pragma once

#include <string>

#include "cli/command.h"
#include "cli/command_line.h"
#include "hub/fetch.h"

namespace pajamas::cli {

void add_no_download_option(const Command& command, bool& no_download);

// What the environment says of the hub. Throws Error{kUsage} naming the variable at fault.
hub::Settings hub_settings(bool no_download, const Settings& ours);

// The local path of `model`. What exists always wins (of a folder, model_of_folder); else
// `owner/name[@revision][:FILE]`, or the address of its page, is found in the hub's cache or
// downloaded into it, as far as `need` says. Throws as hub::fetch does. Temporary files live as
// long as `context`.
std::string local_model(const std::string& model, hub::Need need, bool no_download,
                        Context& context);

}  // namespace pajamas::cli
