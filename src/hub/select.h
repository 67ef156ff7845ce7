// Which files of a repository make up the model that was asked for.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "hub/model_id.h"

namespace pajamas::hub {

// How a repository keeps the model.
struct Selection {
  bool gguf = false;
  std::vector<std::string> small;    // configuration and tokenizer, as far as they are there
  std::vector<std::string> weights;  // GGUF: its parts in order. With an index: model.safetensors
                                     // if there is one. Without: all
  bool indexed = false;              // there is a model.safetensors.index.json
  bool adapter = false;              // and an adapter besides, which is left where it is
  std::string note;                  // where one of several was chosen that nobody named: which
};

// Of several GGUF files the one that is taken where none is named: as good as small files get.
inline constexpr std::string_view kUsualQuantization = "Q4_K_M";

inline constexpr const char* kIndexName = "model.safetensors.index.json";
inline constexpr const char* kSingleName = "model.safetensors";

// Whether a file of this name is a GGUF model, or the first part of one.
bool begins_gguf_model(const std::string& path);

// The small files that a safetensors checkpoint may have, all at the top.
std::span<const std::string_view> small_files() noexcept;

// The weights of an indexed checkpoint that has a model.safetensors too: that one, as transformers
// takes it, or the shards where it is a part of the model at most. `size_of` gives the bytes of a
// file, and nothing for one that is not there.
std::vector<std::string> single_or_shards(
    const std::vector<std::string>& single, const std::vector<std::string>& shards,
    const std::function<std::optional<std::uint64_t>(const std::string&)>& size_of);
// Those of `paths` that are small files of a checkpoint: the ones above, and further chat templates
// (additional_chat_templates/NAME.jinja).
std::vector<std::string> small_among(std::span<const std::string> paths);

// `paths` are all files of the repository, in ascending order. Throws Error{kNotFound} where no
// file fits, naming those that the repository has instead, and Error{kUsage} where several do and
// kUsualQuantization is none or several of them.
Selection select_files(const ModelId& id, std::span<const std::string> paths);

// The first file of the GGUF model that `id.file` names, of those at `paths`. Throws likewise.
std::string select_gguf_file(const ModelId& id, std::span<const std::string> paths);

}  // namespace pajamas::hub
