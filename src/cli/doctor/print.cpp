// The report of `doctor` for people.
#include <fmt/format.h>
#include <fmt/ranges.h>

#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "cli/doctor/report.h"
#include "cli/terminal.h"
#include "cli/text_wrap.h"

namespace pajamas::cli {
namespace {

using nlohmann::ordered_json;

constexpr const char* kUnknown = "unknown";

std::string shown_value(const ordered_json& value) {
  return value.is_null() ? kUnknown : value.is_string() ? value.get<std::string>() : value.dump();
}

std::string bytes_of(const ordered_json& value) {
  return value.is_null() ? kUnknown : readable_bytes(value.get<std::uint64_t>());
}

std::string rate_of(const ordered_json& value) {
  return value.is_null() ? kUnknown : readable_byte_rate(value.get<double>());
}

// As wide as the terminal; what goes elsewhere stays in one line.
std::string laid_out(std::string_view text, std::size_t indent, std::size_t taken = 0) {
  const auto columns = terminal_columns(stdout);
  return columns ? wrapped(text, *columns, indent, taken) : std::string(text);
}

void heading(std::string_view text) {
  fmt::print("{}\n", paint(laid_out(text, 0), Colour::kBold, stdout));
}

void line(std::string_view name, std::string_view value) {
  constexpr std::size_t kValueColumn = 19;
  fmt::print("  {:<16} {}\n", name, laid_out(value, kValueColumn, kValueColumn));
}

std::string joined_words(const ordered_json& array) {
  std::vector<std::string> all;
  for (const auto& each : array) all.push_back(each.get<std::string>());
  return all.empty() ? "none that are used" : fmt::format("{}", fmt::join(all, " "));
}

void print_machine(const ordered_json& report) {
  const ordered_json& cpu = report["processor"];
  heading("Machine");
  line("processor", shown_value(cpu["model"]));
  line("cores",
       fmt::format("{} ({} logical, {} usable here)", shown_value(cpu["cores"]),
                   shown_value(cpu["logical_processors"]), shown_value(cpu["usable_processors"])));
  line("features", joined_words(cpu["features"]));
  line("kernels", fmt::format("{} (of {})", shown_value(cpu["kernels"]),
                              joined_words(cpu["supported_kernels"])));
  const ordered_json& memory = report["memory"];
  line("memory", fmt::format("{}, {} available", bytes_of(memory["total_bytes"]),
                             bytes_of(memory["available_bytes"])));
  line("memory reads",
       memory["read_bytes_per_second"].is_null()
           ? kUnknown
           : fmt::format("{} (measured: {} threads, {} at a time)",
                         rate_of(memory["read_bytes_per_second"]), shown_value(cpu["threads"]),
                         bytes_of(memory["buffer_bytes"])));
  // What others read meanwhile is missing from the measured rates.
  const ordered_json& load = cpu["load_average"];
  if (!memory["read_bytes_per_second"].is_null() && !load.is_null() &&
      load.get<double>() > cpu["usable_processors"].get<double>() / 2) {
    line("", fmt::format("the machine is busy (load {:.1f}): measured rates are lower than its own",
                         load.get<double>()));
  }
  for (const auto& gpu : report["gpus"]) {
    line("GPU", fmt::format("{}, memory {}; not used by this program yet", shown_value(gpu["name"]),
                            bytes_of(gpu["memory_bytes"])));
  }
  if (report["gpus"].empty()) line("GPU", "none found (looked for NVIDIA and AMD)");
  line("MLX",
       report["mlx"]["hardware"].get<bool>()
           ? "this is Apple silicon, for which it is made"
           : "this is not Apple silicon: models in MLX form run best on the CPU engine here");
  for (const auto& backend : report["backends"]) {
    const bool usable = backend["usable"].get<bool>();
    const std::string where = backend["built_in"].get<bool>() ? "built in"
                              : backend["plugin"].is_null()
                                  ? "plug-in, not found"
                                  : fmt::format("plug-in {}", shown_value(backend["plugin"]));
    line(fmt::format("backend {}", shown_value(backend["name"])),
         fmt::format("{}: {} ({})", usable ? "usable" : "not usable",
                     shown_value(backend[usable ? "runs_on" : "why_not"]), where));
  }
  std::vector<std::string> choices;
  for (const auto& choice : report["automatic_backend"]) {
    choices.push_back(
        fmt::format("{} for {}", shown_value(choice["backend"]), shown_value(choice["format"])));
  }
  line("backend auto", fmt::format("{}", fmt::join(choices, ", ")));
}

void print_disks(const ordered_json& report) {
  heading("Disk");
  for (const auto& disk : report["disks"]) {
    std::string text =
        fmt::format("{}: {} free", shown_value(disk["path"]), bytes_of(disk["free_bytes"]));
    if (!disk["problem"].is_null()) {
      text += fmt::format("; {}", shown_value(disk["problem"]));
    } else if (!disk["direct"].is_null()) {
      text +=
          fmt::format(", writes {}, reads {} (measured{})", rate_of(disk["write_bytes_per_second"]),
                      rate_of(disk["read_bytes_per_second"]),
                      disk["direct"].get<bool>() ? "" : ", perhaps from memory");
    } else {
      text += ", rates unknown";
    }
    line(shown_value(disk["what"]), text);
  }
  const ordered_json& cache = report["cache"];
  line("models from hub",
       cache["exists"].get<bool>()
           ? fmt::format("{} in {}, {}", bytes_of(cache["bytes"]), shown_value(cache["path"]),
                         cache["models"].get<std::uint64_t>() == 1
                             ? "1 model"
                             : shown_value(cache["models"]) + " models")
           : fmt::format("none yet in {}", shown_value(cache["path"])));
}

void print_settings(const ordered_json& report) {
  const ordered_json& settings = report["settings"];
  heading("Settings");
  line("file", settings["file"].is_null()
                   ? "none"
                   : fmt::format("{}{}", shown_value(settings["file"]),
                                 settings["file_read"].get<bool>() ? "" : " (not read)"));
  if (!settings["profiles"].empty()) {
    line("profile",
         fmt::format("{} (there {}: {})",
                     settings["profile"].is_null() ? "none" : shown_value(settings["profile"]),
                     settings["profiles"].size() == 1 ? "is" : "are",
                     joined_words(settings["profiles"])));
  }
  for (const auto& setting : settings["values"]) {
    line(shown_value(setting["name"]),
         setting["value"].is_null()
             ? fmt::format("default; set it in the file or by {}", shown_value(setting["variable"]))
             : fmt::format("{} ({})", shown_value(setting["value"]),
                           shown_value(setting["source"])));
  }
}

void print_models(const ordered_json& report) {
  heading(fmt::format(
      "Models: the most precise method that fits into the memory available, with a "
      "context of {} ({} cache)",
      with_thousands(report["context"].get<std::uint64_t>()), shown_value(report["kv_cache"])));
  constexpr std::size_t kWholeTable = 95;
  const bool narrow = terminal_columns(stdout).value_or(kWholeTable) < kWholeTable;
  const auto row = [&](std::string_view model, std::string_view method, std::string_view file,
                       std::string_view memory, std::string_view read, std::string_view rate) {
    if (narrow) {
      fmt::print("  {:<20} {:<9} {:>9} {:>9}  {}\n", model, method, file, memory, rate);
    } else {
      fmt::print("  {:<22} {:<10} {:>9} {:>10} {:>15}  {}\n", model, method, file, memory, read,
                 rate);
    }
  };
  row("model", "method", "file", "memory", "read per token",
      narrow ? "tokens/s" : "tokens/s (predicted)");
  for (const auto& model : report["models"]) {
    const bool fits = model["fits"].is_boolean() && model["fits"].get<bool>();
    const ordered_json& rate = model["predicted_tokens_per_second"];
    const std::string predicted =
        !fits            ? (model["fits"].is_null() ? std::string(kUnknown) : "does not fit")
        : rate.is_null() ? std::string(kUnknown)
                         : fmt::format("at most {}", readable_rate(rate.get<double>()));
    row(shown_value(model["model"]), shown_value(model["method"]), bytes_of(model["file_bytes"]),
        bytes_of(model["memory_bytes"]), bytes_of(model["bytes_per_token"]), predicted);
  }
  fmt::print("  {}\n",
             laid_out("predicted = memory reads / weights read per token (of experts only those "
                      "used): an upper bound, not a measurement",
                      2, 2));
}

}  // namespace

void print_report(const ordered_json& report) {
  print_machine(report);
  print_disks(report);
  print_settings(report);
  print_models(report);
}

}  // namespace pajamas::cli
