// One pass from a checkpoint to Q4_K_M and MLX 4-bit, and where its time goes, as JSON:
//   build/release/bench/quantize_pass MODEL OUTPUT_FOLDER [THREADS]
#include <fmt/format.h>
#include <sys/resource.h>

#include <algorithm>
#include <atomic>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>

#include "base/error.h"
#include "base/system.h"
#include "quantize/execute.h"
#include "quantize/plan_input.h"

namespace {

using namespace pajamas;

// Anonymous memory at its highest, looked at whenever rows are done.
class MemoryProbe final : public Progress {
 public:
  void begin(std::string_view, std::uint64_t, std::string_view) override {}
  void advance(std::uint64_t) override {
    if (++calls_ % 64 != 0) return;
    const std::uint64_t now = anonymous_bytes();
    std::uint64_t most = peak_.load();
    while (most < now && !peak_.compare_exchange_weak(most, now)) {
    }
  }
  void end() override {}
  void note(std::string_view) override {}
  std::uint64_t peak() const { return peak_; }

 private:
  std::atomic<std::uint64_t> calls_{0}, peak_{0};
};

double seconds_of(const timeval& time) {
  return static_cast<double>(time.tv_sec) + static_cast<double>(time.tv_usec) * 1e-6;
}

int run(int argc, char** argv) {
  if (argc < 3) {
    fmt::print(stderr, "usage: quantize_pass MODEL OUTPUT_FOLDER [THREADS]\n");
    return 2;
  }
  const std::filesystem::path output = argv[2];
  const TaskPool pool(argc > 3 ? std::stoi(argv[3]) : usable_cpus());
  std::optional<model::Checkpoint> checkpoint;
  const quantize::PlanInput input = quantize::load_plan_input(argv[1], &checkpoint);
  quantize::Recipe gguf, mlx;
  gguf.format = quantize::Format::kGguf;
  gguf.method = "Q4_K_M";
  gguf.output = output / "gguf/model-q4_k_m.gguf";
  mlx.format = quantize::Format::kMlx;
  mlx.method = "4bit";
  mlx.output = output / "mlx/model-4bit";
  const quantize::Plan plan = quantize::make_plan(input, {gguf, mlx}, pool.threads());
  MemoryProbe probe;
  const StopFlag stop;
  quantize::ExecuteOptions options;
  options.output.replace = true;
  const quantize::ExecuteStats stats =
      quantize::execute(plan, *checkpoint, pool, probe, stop, options);
  rusage usage{};
  ::getrusage(RUSAGE_SELF, &usage);
  nlohmann::ordered_json report = {
      {"weights", model::parameter_count(checkpoint->config())},
      {"threads", pool.threads()},
      {"kernels", kernels::best_kernels().name},
      {"wall", stats.wall},
      {"user", seconds_of(usage.ru_utime)},
      {"system", seconds_of(usage.ru_stime)},
      {"read", stats.read},
      {"decode", stats.decode},
      {"encode_gguf", stats.encode[0]},
      {"encode_mlx", stats.encode[1]},
      {"write", stats.write[0] + stats.write[1]},
      {"sync", stats.sync},
      {"peak_anonymous", probe.peak()},
  };
  fmt::print("{}\n", report.dump());
  return 0;
}

}  // namespace

int main(int argc, char** argv) {
  try {
    return run(argc, argv);
  } catch (const std::exception& error) {
    fmt::print(stderr, "error: {}\n", error.what());
    return 1;
  }
}
