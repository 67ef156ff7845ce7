// Untested: compiled against Apple's headers (tools/check_macos.sh), never run (docs/macos.md).
#ifdef __APPLE__
#include <sys/sysctl.h>

#include <cstdint>
#include <string>
#include <vector>

#include "base/machine.h"
#include "base/system.h"

namespace pajamas {
namespace {

std::uint64_t machine_number(const char* name) {
  std::uint64_t value = 0;  // those that are shorter fill its beginning, which is the low end
  std::size_t size = sizeof(value);
  return ::sysctlbyname(name, &value, &size, nullptr, 0) == 0 ? value : 0;
}

std::string machine_text(const char* name) {
  char text[256] = {};
  std::size_t size = sizeof(text) - 1;
  return ::sysctlbyname(name, text, &size, nullptr, 0) == 0 ? text : "";
}

}  // namespace

Processor processor() {
  Processor found;
  found.model = machine_text("machdep.cpu.brand_string");
  found.cores = static_cast<int>(machine_number("hw.physicalcpu"));
  found.threads = static_cast<int>(machine_number("hw.logicalcpu"));
  // Of Apple silicon the second level is the last that it tells of, one a kind of core.
  for (const char* kind : {"hw.perflevel0.", "hw.perflevel1."}) {
    const std::string prefix = kind;
    const std::uint64_t each = machine_number((prefix + "l2cachesize").c_str());
    const std::uint64_t sharing = machine_number((prefix + "cpusperl2").c_str());
    const std::uint64_t cpus = machine_number((prefix + "logicalcpu").c_str());
    if (sharing > 0) found.last_level_cache += each * ((cpus + sharing - 1) / sharing);
  }
  return found;
}

// Apple silicon has one, which shares the machine's memory.
std::vector<Gpu> gpus() {
#ifdef __aarch64__
  return {{machine_text("machdep.cpu.brand_string") + " GPU", memory_limit_bytes()}};
#else
  return {};
#endif
}

}  // namespace pajamas
#endif
