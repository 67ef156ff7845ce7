// A model card's part of the metadata of a GGUF file: the keys `general.*` about a model's origin.
#pragma once

#include <cstdint>

#include "io/gguf.h"
#include "model/model_card.h"

namespace pajamas::quantize {

// Names, author, licence, sources, tags: in the order of llama.cpp's converter. What the card does
// not say of the name follows from the model's folder, `folder`.
void add_identity(io::GgufMetadata& metadata, const model::ModelCard& card,
                  const std::string& folder, std::uint64_t parameters);

}  // namespace pajamas::quantize
