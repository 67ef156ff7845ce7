// What the system is told of mapped memory beside asking for it.
#pragma once

#include <cstddef>
#include <span>

namespace pajamas {

// Bytes of a file that is mapped, which will not be looked at for a while: they no longer count as
// memory of this process, and with `evict` the system's page cache may forget them at once. They
// stay readable. A hint.
void drop_mapped(std::span<const std::byte> bytes, bool evict) noexcept;

}  // namespace pajamas
