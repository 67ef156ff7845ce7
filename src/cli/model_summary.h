// What a model is in a few words.
#pragma once

#include <cstdint>
#include <string>

#include "model/checkpoint.h"

namespace pajamas::cli {

// How the weights are stored, by the name that --method has for it where there is one: "Q4_K_M",
// "4bit" ("4bit-g32" where groups are not of 64), "MXFP4", "BF16". A GGUF file says it itself
// (general.file_type, any of llama.cpp's); else it is what most weights are stored as.
std::string quantization_name(const model::Checkpoint& checkpoint);

// llama.cpp's name for a number of general.file_type; empty where it has none.
std::string file_type_name(std::uint64_t file_type);

// Whether it has weights that were stored with loss after it was published; gpt-oss is published
// with MXFP4 experts.
bool is_quantized(const model::Checkpoint& checkpoint);

// Bytes of all files of the model.
std::uint64_t file_bytes(const model::Checkpoint& checkpoint);

// A model as it is called in one line: the last part of a path, or the name of the hub as given.
std::string short_name(const std::string& model);

}  // namespace pajamas::cli
