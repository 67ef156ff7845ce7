// `--pre-tokenizer`, and what a model says of text with it.
#pragma once

#include <CLI/CLI.hpp>
#include <string>

#include "base/progress.h"
#include "model/text_assets.h"

namespace pajamas::cli {

void add_pre_tokenizer_option(CLI::App& command, std::string& name);

// As model::load_text_assets; what had to be guessed becomes notes.
model::TextAssets load_text(const std::string& path, const std::string& pre_tokenizer,
                            Progress& progress);

}  // namespace pajamas::cli
