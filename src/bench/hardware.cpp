#include "bench/hardware.h"

#include <array>

namespace pajamas::bench {
namespace {

constexpr double kGigabyte = 1e9;
constexpr std::uint64_t kGibibyte = 1ull << 30;

// Of two variants of one name the one that most people mean: the RTX 3060 of 12 GB, the RTX 4070
// with GDDR6X, the M3 Max of 16 cores.
constexpr std::array kHardware{
    Hardware{"RTX 3060", 360 * kGigabyte, 12 * kGibibyte,
             "https://pcpartdb.com/gpus/view/nvidia-geforce-rtx-3060-12-gb-ga104"},
    Hardware{"RTX 4070", 504 * kGigabyte, 12 * kGibibyte,
             "https://www.thefpsreview.com/gpu-family/"
             "nvidia-geforce-rtx-4070-gpu-family-specifications"},
    Hardware{"RTX 4090", 1008 * kGigabyte, 24 * kGibibyte,
             "https://www.thundercompute.com/glossary/memory/memory-bandwidth"},
    Hardware{"M2 Pro", 200 * kGigabyte, 32 * kGibibyte,
             "https://www.macrumors.com/2023/01/18/things-to-know-about-m2-pro-m2-max/"},
    Hardware{"M3 Max", 400 * kGigabyte, 128 * kGibibyte,
             "https://macmegasite.com/2024/10/30/"
             "m4-max-chip-has-16-core-cpu-40-core-gpu-and-35-increase-in-memory-bandwidth"},
    Hardware{"M3 Ultra", 819 * kGigabyte, 512 * kGibibyte,
             "https://techpowerup.com/news-tags/Mac%20Studio"},
    Hardware{"H100 SXM", 3350 * kGigabyte, 80 * kGibibyte,
             "https://modal.com/gpu-glossary/perf/memory-bandwidth"},
};

}  // namespace

std::span<const Hardware> known_hardware() noexcept { return kHardware; }

}  // namespace pajamas::bench
