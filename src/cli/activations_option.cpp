#include "cli/activations_option.h"

#include <fmt/format.h>

#include "base/error.h"

namespace pajamas::cli {

void add_activations_option(CLI::App& command, std::string& name, const std::string& standard) {
  name = standard;
  command
      .add_option("--activations", name,
                  fmt::format("Multiply quantized weights with activations rounded to 8 bits "
                              "(int8: fast) or not (float: exact) (default: {})",
                              standard))
      ->type_name("TYPE");
}

runtime::Activations activations_of(const std::string& name) {
  if (name == "int8") return runtime::Activations::kInt8;
  if (name == "float") return runtime::Activations::kFloat;
  throw Error(ErrorCode::kUsage,
              fmt::format("there are no activations \"{}\"", printable(name, 40)),
              "give int8 or float")
      .at("--activations");
}

}  // namespace pajamas::cli
