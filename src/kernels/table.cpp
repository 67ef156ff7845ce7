#include "kernels/table.h"

#include <array>
#include <string>
#include <vector>

#include "base/error.h"
#include "base/suggest.h"
#include "kernels/int8_tables.h"
#include "kernels/tables.h"

namespace pajamas::kernels {
namespace {

#if defined(__x86_64__)
constexpr std::array kTables{&kAvx512Table, &kAvx2Table, &kRefTable};
constexpr std::array kInt8Sets{&kAvx512VnniInt8, &kAvx2Int8, &kRefInt8};
#elif defined(__aarch64__)
constexpr std::array kTables{&kNeonTable, &kRefTable};
constexpr std::array kInt8Sets{&kNeonDotInt8, &kNeonInt8, &kRefInt8};
#else
constexpr std::array kTables{&kRefTable};
constexpr std::array kInt8Sets{&kRefInt8};
#endif

std::string runnable_names() {
  std::string names;
  for (const KernelTable* table : kTables) {
    if (!table->supported(cpu_features())) continue;
    if (!names.empty()) names += ", ";
    names += table->name;
  }
  return names;
}

}  // namespace

std::span<const KernelTable* const> all_kernels() noexcept { return kTables; }
std::span<const Int8Kernels* const> all_int8_kernels() noexcept { return kInt8Sets; }

const KernelTable& best_kernels() noexcept {
  for (const KernelTable* table : kTables) {
    if (table->supported(cpu_features())) return *table;
  }
  return kRefTable;
}

const KernelTable& kernels_by_name(std::string_view name) {
  for (const KernelTable* table : kTables) {
    if (table->name != name) continue;
    if (table->supported(cpu_features())) return *table;
    throw Error(ErrorCode::kUnsupported,
                "this processor cannot run the " + std::string(name) + " kernels",
                "choose one of: " + runnable_names());
  }
  std::vector<std::string_view> names;
  for (const KernelTable* table : kTables) names.push_back(table->name);
  throw Error(ErrorCode::kUsage, "there are no kernels named '" + printable(name) + "'",
              did_you_mean(name, names) + "choose one of: " + runnable_names());
}

}  // namespace pajamas::kernels
