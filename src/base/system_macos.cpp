// Untested: compiled against Apple's headers (tools/check_macos.sh), never run (docs/macos.md).
#ifdef __APPLE__
#include <mach/mach.h>
#include <sys/resource.h>
#include <sys/sysctl.h>
#include <unistd.h>

#include <algorithm>
#include <cstdint>

#include "base/system.h"

namespace pajamas {
namespace {

template <class Number>
Number sysctl_number(const char* name) noexcept {
  Number value = 0;
  std::size_t size = sizeof(value);
  return ::sysctlbyname(name, &value, &size, nullptr, 0) == 0 ? value : 0;
}

struct TaskMemory {
  std::uint64_t resident = 0;
  std::uint64_t anonymous = 0;
};

TaskMemory task_memory() noexcept {
  task_vm_info_data_t info{};
  mach_msg_type_number_t count = TASK_VM_INFO_COUNT;
  if (::task_info(mach_task_self(), TASK_VM_INFO, reinterpret_cast<task_info_t>(&info), &count) !=
      KERN_SUCCESS) {
    return {};
  }
  return {info.resident_size, info.internal};
}

}  // namespace

std::uint64_t peak_resident_bytes() noexcept {
  rusage usage{};
  ::getrusage(RUSAGE_SELF, &usage);
  return static_cast<std::uint64_t>(usage.ru_maxrss);  // bytes here
}

std::uint64_t resident_bytes() noexcept { return task_memory().resident; }

std::uint64_t anonymous_bytes() noexcept { return task_memory().anonymous; }

std::uint64_t memory_limit_bytes() noexcept { return sysctl_number<std::uint64_t>("hw.memsize"); }

// What is free or holds copies of files that are on the disk.
std::uint64_t available_memory_bytes() noexcept {
  vm_statistics64_data_t pages{};
  mach_msg_type_number_t count = HOST_VM_INFO64_COUNT;
  const mach_port_t host = ::mach_host_self();
  const kern_return_t result =
      ::host_statistics64(host, HOST_VM_INFO64, reinterpret_cast<host_info64_t>(&pages), &count);
  ::mach_port_deallocate(mach_task_self(), host);
  if (result != KERN_SUCCESS) return 0;
  const auto page = static_cast<std::uint64_t>(std::max(1L, ::sysconf(_SC_PAGESIZE)));
  return (std::uint64_t{pages.free_count} + pages.inactive_count + pages.purgeable_count) * page;
}

int usable_cpus() noexcept { return std::max(1, sysctl_number<int>("hw.logicalcpu")); }

}  // namespace pajamas
#endif
