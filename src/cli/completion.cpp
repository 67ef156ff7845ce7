#include "cli/completion.h"

#include <algorithm>
#include <string_view>

#include "cli/manual.h"
#include "kernels/table.h"
#include "model/chat.h"
#include "quantize/method.h"
#include "runtime/backend.h"
#include "runtime/backend_choice.h"

namespace pajamas::cli {
namespace {

using Kind = Values::Kind;

Values words(std::vector<std::string> all, bool list = false) {
  return {Kind::kWords, std::move(all), list};
}

std::vector<std::string> methods() {
  std::vector<std::string> names;
  for (const auto& method : quantize::gguf_methods()) names.emplace_back(method.name);
  for (const auto& method : quantize::mlx_methods()) names.emplace_back(method.name);
  return names;
}

std::vector<std::string> recipes() {
  const auto names = quantize::mlx_recipes();
  return {names.begin(), names.end()};
}

std::vector<std::string> cache_types() {
  std::vector<std::string> names;
  for (const auto& type : runtime::kKvTypes) names.emplace_back(type.name);
  return names;
}

std::vector<std::string> backends() {
  std::vector<std::string> names{std::string(runtime::kAnyBackend)};
  for (const auto* backend : runtime::backends()) names.emplace_back(backend->name());
  return names;
}

std::vector<std::string> kernel_names() {
  std::vector<std::string> names;
  for (const auto* table : kernels::all_kernels()) names.emplace_back(table->name);
  return names;
}

std::vector<std::string> command_names(const Command& app) {
  std::vector<std::string> names;
  for (const Command& command : app.commands()) names.push_back(command.name());
  return names;
}

}  // namespace

Values values_of(const Command& app, const Option& option) {
  const auto is = [&](const std::string& name) { return option.is(name); };
  if (is("method")) return words(methods(), true);
  if (is("recipe")) return words(recipes());
  if (is("format")) return words({"gguf", "mlx", "fp8"}, true);
  if (is("kv-cache")) return words(cache_types());
  if (is("kernels")) return words(kernel_names());
  if (is("colour")) return words({"auto", "always", "never"});
  if (is("reasoning")) {
    return words({model::kReasoningLevels.begin(), model::kReasoningLevels.end()});
  }
  if (is("activations")) return words({"int8", "float"});
  if (option.name().starts_with("--backend")) return words(backends());
  if (is("metrics") && option.type() == "ASPECTS") {  // of `compare`
    return words({"speed", "memory", "quality", "size"}, true);
  }
  if (is("metrics")) return words({"perplexity", "kl", "mmlu", "humaneval"}, true);
  if (is("group-size")) return words({"32", "64", "128"});
  if (is("embedding-bits") || is("output-bits")) return words({"2", "3", "4", "5", "6", "8"});
  const std::string positional = option.has_place() ? option.place_name() : "";
  if (positional == "SHELL") return words({"bash", "zsh", "fish"});
  if (positional == "COMMAND") return words(command_names(app));
  static constexpr std::string_view kFiles[] = {"FILE", "FILE.json", "PATH",
                                                "DIR",  "MODEL",     "CONFIG"};
  const bool files = std::ranges::count(kFiles, option.type()) > 0 || positional == "MODEL" ||
                     positional == "FOLDER";
  return {files ? Kind::kFiles : Kind::kNone, {}, false};
}

std::string short_description(const std::string& description) {
  constexpr std::size_t kLongest = 60;
  std::string text = description.substr(0, description.find_first_of(";(\n"));
  if (text.size() > kLongest) text = text.substr(0, text.rfind(' ', kLongest));
  while (text.ends_with(' ') || text.ends_with(',') || text.ends_with(':')) text.pop_back();
  return text;
}

}  // namespace pajamas::cli
