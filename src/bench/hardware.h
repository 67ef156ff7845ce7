// Hardware that people own, by what bounds the speed of generation on it.
#pragma once

#include <cstdint>
#include <span>
#include <string_view>

namespace pajamas::bench {

struct Hardware {
  std::string_view name;
  double bytes_per_second;     // that its memory gives, as published
  std::uint64_t memory_bytes;  // of a GPU what it has; of unified memory the most that is sold
  std::string_view source;     // of the rate
};

std::span<const Hardware> known_hardware() noexcept;

}  // namespace pajamas::bench
