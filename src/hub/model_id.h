// The names of models on the hub: `owner/name[@revision][:FILE]`, or the address of a page.
#pragma once

#include <optional>
#include <string>
#include <string_view>

namespace pajamas::hub {

struct ModelId {
  std::string owner;
  std::string name;
  std::string revision = "main";  // a branch, a tag or a commit
  std::string file;  // of several GGUF files the one meant: a path, or as "Q4_K_M"; may be empty

  std::string repository() const { return owner + "/" + name; }
  // As it was given.
  std::string to_string() const;
};

// Nothing where `text` has not the form of an id. What looks like a path (`./a/b`, `/a/b`, `~/a`,
// `out/model.gguf`) never has. An address as a browser shows it is one too:
// `[https://]huggingface.co/owner/name` or `hf.co/owner/name`, and `/tree/REVISION[/FOLDER]`,
// `/blob/REVISION/FILE` or `/resolve/REVISION/FILE` behind that; of the files GGUF alone counts,
// any other stands for its whole repository.
std::optional<ModelId> parse_model_id(std::string_view text);

// Whether `text` is the address of a page: something in front of "://".
bool is_address(std::string_view text) noexcept;

// A commit in full: 40 digits of hexadecimal, in lower case.
bool is_commit(std::string_view text) noexcept;

// Whether `path`, which a server sent, is a name of a file inside a folder: relative, made of
// ordinary components, printable.
bool is_safe_path(std::string_view path) noexcept;

}  // namespace pajamas::hub
