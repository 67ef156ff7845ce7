// Names of tensors as training leaves them, and as the model's own code names them.
#pragma once

#include <string>
#include <string_view>

namespace pajamas::model {

struct PlainName {
  std::string name;
  // How the stored name differs, for messages: "under \"module.\"", "without \"model.\""; empty
  // where it does not.
  std::string difference;
};

// Takes off what DDP, torch.compile, FSDP, PEFT and models of pictures put around a language model
// ("module.", "_orig_mod.", "base_model.model.", "model.language_model."), and puts in front what a
// model that was saved without its output matrix lacks ("model.").
PlainName plain_name(std::string_view stored);

// The module that a weight is of: "model.norm" of "model.norm.weight", and after which MLX names
// the other planes of the weight (kMlxPlaneSuffixes). What is no ".weight" is a module of its own.
std::string_view module_of(std::string_view weight) noexcept;

// Whether the name is of an adapter that was saved with the model it sits in and not merged.
bool is_unmerged_adapter(std::string_view stored) noexcept;

}  // namespace pajamas::model
