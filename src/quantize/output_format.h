// The formats that can be written, one object each: what differs between them is asked of it, and
// nobody else tells them apart. A new one is an enumerator in quantize/method.h, a file like
// gguf_output.cpp, and a place in output_formats().
#pragma once

#include <filesystem>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "quantize/plan.h"
#include "quantize/recipe.h"

namespace pajamas::quantize {

class OutputFormat {
 public:
  virtual ~OutputFormat() = default;

  virtual Format id() const noexcept = 0;
  virtual std::string_view name() const noexcept = 0;  // as users write it

  // ---- names and places ----
  // An output is one file, or else a folder of its own.
  virtual bool is_one_file() const noexcept = 0;
  // Where an output is in the folder of several: "gguf/model-q4_k_m.gguf".
  virtual std::filesystem::path place(const std::string& method) const = 0;
  virtual const std::string& tensor_name(const model::TensorSpec& tensor) const noexcept = 0;

  // ---- methods ----
  virtual std::vector<std::string_view> methods() const = 0;  // canonical names
  // A method in any spelling of upper and lower case, canonically; nothing where there is none.
  virtual std::optional<std::string> find_method(std::string_view name) const = 0;
  // What a method of this format is called in another; empty where it has no counterpart.
  virtual std::string_view counterpart(std::string_view method, Format other) const noexcept = 0;
  // Methods to offer where something has to be smaller, best first.
  virtual std::vector<std::string_view> ladder() const = 0;
  // Whether the options of MLX (bits of embedding and output) mean something.
  virtual bool has_mlx_options() const noexcept = 0;

  // ---- types ----
  // TYPE of --tensor-type REGEX=TYPE; nothing where this format has no such type.
  virtual std::optional<TensorType> find_type(std::string_view name) const = 0;
  virtual std::optional<Encoding> mxfp4() const noexcept = 0;  // where it has that
  virtual std::string_view router_type() const noexcept = 0;   // what the router gets, in words
  // What to do about a weight for which the type of `target` has no room, and about one so small
  // that F16 has only 0 for it.
  virtual std::string advice_on_room(const PlannedTensor& target, float weight) const = 0;
  virtual std::string advice_on_vanishing(const PlannedTensor& target) const = 0;

  // Every type that a matrix may have, for who chooses among all; empty where there is no choice.
  virtual std::vector<Encoding> encodings(const PlanInput& input) const = 0;
  // The recipe's method becomes what a file of these types, the usual ones first, is called.
  virtual void name_after(std::span<const Encoding> usual, Recipe& recipe) const = 0;
  // The tensors of an output without their places. Appends to `notes`; throws as make_plan does.
  virtual std::vector<PlannedTensor> tensors(const PlanInput& input, const Recipe& recipe,
                                             std::vector<std::string>& notes) const = 0;

  // ---- layout ----
  // Appends to `notes` what the user should know. Throws as make_plan does.
  virtual PlannedOutput plan(const PlanInput& input, const Recipe& recipe,
                             std::vector<std::string>& notes) const = 0;
};

std::span<const OutputFormat* const> output_formats() noexcept;  // indexed by Format
const OutputFormat& output_format(Format format) noexcept;

// The three of today.
const OutputFormat& gguf_output() noexcept;
const OutputFormat& mlx_output() noexcept;
const OutputFormat& fp8_output() noexcept;

}  // namespace pajamas::quantize
