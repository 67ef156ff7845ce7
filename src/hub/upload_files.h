// What of a folder goes to a repository, and checksums of it that are kept from run to run.
#pragma once

#include <filesystem>
#include <map>
#include <string>
#include <vector>

#include "base/parallel.h"
#include "base/progress.h"
#include "hub/upload_text.h"

namespace pajamas::hub {

// Every file in `folder` and below it, in the order of their paths; links to files are followed,
// links to folders are not. Hidden files and folders stay, but for .gitattributes: `hidden` gets
// them. Throws Error{kNotFound} where nothing is left, kUnsupported for a name that no repository
// takes.
std::vector<LocalFile> files_to_upload(const std::filesystem::path& folder,
                                       std::vector<std::string>& hidden);

// The checksum that names the content of each file (LocalFile::digest); those of large files are
// kept in FOLDER/.cache/llama-pajamas, as far as that can be written, and taken from there while
// size and time of a file are the same. Throws Error{kInterrupted, kIo, kCorruptFile}.
void add_digests(const std::filesystem::path& folder, std::vector<LocalFile>& files,
                 Progress& progress, const StopFlag& stop);

// Throws Error{kIo} where a file is another one than when it was listed.
void require_unchanged(const LocalFile& file);

}  // namespace pajamas::hub
