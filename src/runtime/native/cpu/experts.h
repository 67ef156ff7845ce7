// What a layer with experts has beside its products: which rows go to whom, and their ways there
// and back.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "model/config.h"
#include "runtime/native/cpu/processor.h"
#include "runtime/native/device.h"

namespace pajamas::runtime {

// One row's experts, in ascending order, and what each counts: [used] both.
// `scores` are the router's [experts]; they are overwritten. Of equal scores the first is chosen.
void choose_experts(const model::ModelConfig& config, std::span<float> scores,
                    std::span<std::uint32_t> experts, std::span<float> weights);

// gate = activation(gate) * up, element by element.
void activate(const Processor& processor, const model::ModelConfig& config, std::span<float> gate,
              std::span<const float> up);

// A Routing in this machine's memory.
struct HostRouting {
  explicit HostRouting(const Routing& routing) noexcept;

  std::size_t count() const noexcept { return rows.size(); }  // of assignments
  std::uint64_t experts() const noexcept { return begin.size() - 1; }
  bool is_busy(std::size_t expert) const noexcept { return begin[expert] < begin[expert + 1]; }

  std::span<std::uint32_t> rows;
  std::span<float> weights;
  std::span<std::uint32_t> begin;
  std::span<std::uint32_t> places;
};

// What routing needs on the way, kept from one call to the next.
struct RouteScratch {
  std::vector<std::uint32_t> chosen;  // [rows][used]
  std::vector<float> weights;         // the same
  std::vector<std::uint32_t> next;    // [experts]: where the next assignment goes
};

// As the operations of a device.
void route(const Processor& processor, const model::ModelConfig& config, std::span<float> scores,
           const HostRouting& out, RouteScratch& scratch);
void gather(const Processor& processor, const HostRouting& routing, std::span<const float> x,
            std::span<float> out);
void combine(const Processor& processor, const HostRouting& routing, std::span<const float> x,
             std::span<float> out);

}  // namespace pajamas::runtime
