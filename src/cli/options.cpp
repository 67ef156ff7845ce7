#include <fmt/format.h>

#include <vector>

#include "base/error.h"
#include "base/system.h"
#include "cli/command.h"
#include "cli/log.h"
#include "model/chat.h"

namespace pajamas::cli {

void add_threads_option(CLI::App& command, int& threads) {
  threads = usable_cpus();
  command
      .add_option("--threads", threads,
                  "Number of threads (default: the setting threads, else all processors)")
      ->type_name("N");
}

void add_kernels_option(CLI::App& command, std::string& name) {
  command
      .add_option(
          "--kernels", name,
          "Instruction set to use (default: the setting kernels, else the best of this machine)")
      ->type_name("NAME");
}

const kernels::KernelTable& chosen_kernels(const std::string& name) {
  const kernels::KernelTable& table =
      name.empty() ? kernels::best_kernels() : kernels::kernels_by_name(name);
  log_detail(fmt::format("kernels: {}", table.name));
  return table;
}

void add_reasoning_option(CLI::App& command, std::string& level) {
  command
      .add_option("--reasoning", level,
                  "How hard to think, as far as the chat template has a setting for it")
      ->check(CLI::IsMember(
          std::vector<std::string>(model::kReasoningLevels.begin(), model::kReasoningLevels.end())))
      ->type_name("LEVEL");
}

void add_chat_template_option(CLI::App& command, std::string& name) {
  command
      .add_option("--chat-template", name,
                  "Which of the model's chat templates to use (default: tool_use where there are "
                  "tools, else default)")
      ->type_name("NAME");
}

text::Tokenizer make_tokenizer(const model::TextAssets& assets) {
  return with_context(assets.origin, [&] { return text::Tokenizer(assets.tokenizer); });
}

}  // namespace pajamas::cli
