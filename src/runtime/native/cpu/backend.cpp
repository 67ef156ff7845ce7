#include "runtime/native/cpu/backend.h"

#include "base/error.h"
#include "runtime/native/cpu/device.h"
#include "runtime/native/engine.h"
#include "runtime/native/kv_cache.h"
#include "weights/mapped.h"

namespace pajamas::runtime {
namespace {

class CpuBackend final : public Backend {
 public:
  std::string_view name() const noexcept override { return "cpu"; }
  bool available() const noexcept override { return true; }
  std::string description() const override { return "this machine's processor"; }

  MemoryNeeds needs(const model::ModelConfig& config, const EngineOptions& options) const override {
    return {KvCache::bytes_for(config, options.context, options.kv_type),
            KvCache::bytes_per_position(config, options.kv_type), NativeEngine::work_bytes(config)};
  }

  std::unique_ptr<Engine> open(model::Checkpoint checkpoint,
                               const EngineOptions& options) const override {
    return open_store(std::make_shared<weights::MappedWeights>(std::move(checkpoint)), options);
  }

  std::unique_ptr<Engine> open_store(std::shared_ptr<const weights::WeightStore> store,
                                     const EngineOptions& options) const override {
    PJ_CHECK(options.pool != nullptr);
    auto device = std::make_unique<CpuDevice>(std::move(store), *options.pool, *options.kernels,
                                              options.activations);
    return std::make_unique<NativeEngine>(std::move(device), options.kv_type);
  }
};

}  // namespace

const Backend& cpu_backend() noexcept {
  static const CpuBackend backend;
  return backend;
}

}  // namespace pajamas::runtime
