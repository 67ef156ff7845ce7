// Which safetensors files make up the model of a folder.
#pragma once

#include <filesystem>
#include <string>
#include <vector>

namespace pajamas::model {

struct ShardFiles {
  std::vector<std::filesystem::path> paths;
  std::string note;  // what was left aside and why; mostly empty
};

// model.safetensors where it is whole, as transformers takes it whatever lies beside it; else the
// files that model.safetensors.index.json names; without one, model*.safetensors.
// Throws Error{kNotFound, kUnsupported, kCorruptFile}, naming what is there instead (a .bin
// checkpoint, an adapter) or what is missing (a shard).
ShardFiles find_shards(const std::filesystem::path& folder);

}  // namespace pajamas::model
