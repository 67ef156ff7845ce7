#include "runtime/mlx/backend.h"

#include <fmt/format.h>

#include "base/error.h"
#include "base/shared_library.h"
#include "kernels/math.h"
#include "model/rope.h"
#include "runtime/mlx/plugin.h"
#include "runtime/native/engine.h"
#include "runtime/native/kv_cache.h"
#include "weights/mapped.h"

namespace pajamas::runtime {
namespace {

// Beside the program as it was built, above its tests, or where it was installed.
struct MlxPlugin {
  std::unique_ptr<SharedLibrary> library;
  MakeMlxDevice make = nullptr;
  DescribeMlx describe = nullptr;
  std::string why;  // there is none

  MlxPlugin() {
    const std::filesystem::path here = program_folder();
    for (const auto& folder : {here, here / "..", here / ".." / "lib" / "llama-pajamas"}) {
      const auto file = folder / kMlxPluginName;
      std::error_code ignored;
      if (!std::filesystem::exists(file, ignored)) continue;
      library = SharedLibrary::load(file, &why);
      if (library == nullptr) continue;
      make = reinterpret_cast<MakeMlxDevice>(library->symbol(kMlxDeviceSymbol));
      describe = reinterpret_cast<DescribeMlx>(library->symbol(kMlxDescribeSymbol));
      if (make != nullptr && describe != nullptr) return;
      make = nullptr;
      why = fmt::format("{} belongs to another build", printable(file.native(), 300));
    }
    if (why.empty()) why = fmt::format("there is no {} beside the program", kMlxPluginName);
  }
};

const MlxPlugin& mlx_plugin() {
  static const MlxPlugin plugin;
  return plugin;
}

bool mlx_runs(const Encoding& encoding) noexcept {
  return encoding.is_affine() || encoding.is_small_float() ||
         (encoding.is_plain() && (encoding.dtype == DType::kF32 || encoding.dtype == DType::kF16 ||
                                  encoding.dtype == DType::kBF16));
}

class MlxBackend final : public Backend {
 public:
  std::string_view name() const noexcept override { return "mlx"; }
  bool available() const noexcept override {
    try {
      return mlx_plugin().make != nullptr;
    } catch (...) {
      return false;
    }
  }
  std::string description() const override {
    return available() ? mlx_plugin().describe()
                       : fmt::format("{}: tools/setup_mlx.sh and a build get it", mlx_plugin().why);
  }

  MemoryNeeds needs(const model::ModelConfig& config, const EngineOptions& options) const override {
    return {KvCache::bytes_for(config, options.context, options.kv_type),
            KvCache::bytes_per_position(config, options.kv_type), NativeEngine::work_bytes(config)};
  }

  std::unique_ptr<Engine> open(model::Checkpoint checkpoint,
                               const EngineOptions& options) const override {
    for (const model::StoredTensor& tensor : checkpoint.tensors()) {
      if (mlx_runs(tensor.encoding)) continue;
      throw Error(ErrorCode::kUnsupported,
                  fmt::format("the backend \"mlx\" does not run weights stored as {}",
                              tensor.encoding.name()),
                  "give it an MLX directory or the original checkpoint, or use --backend cpu")
          .at(tensor.name)
          .at(printable(checkpoint.path().native(), 300));
    }
    return open_store(std::make_shared<weights::MappedWeights>(std::move(checkpoint)), options);
  }

  std::unique_ptr<Engine> open_store(std::shared_ptr<const weights::WeightStore> store,
                                     const EngineOptions& options) const override {
    const KvTypeInfo& kept = info(options.kv_type);
    if (kept.block != 1) {
      throw Error(
          ErrorCode::kUnsupported,
          fmt::format("the backend \"mlx\" does not store keys and values as {}", kept.name),
          "use --kv-cache f16 or f32, or --backend cpu");
    }
    auto table = std::make_shared<const model::RopeTable>(model::rope_table(store->config()));
    MlxArguments arguments{
        std::move(store), options.activations, options.kv_type,
        [table](std::uint32_t position, std::span<float> cos, std::span<float> sin) {
          kernels::rope_angles(position, table->frequencies, table->factor, cos, sin);
        }};
    return std::make_unique<NativeEngine>(
        std::unique_ptr<Device>(mlx_plugin().make(std::move(arguments))), options.kv_type);
  }
};

}  // namespace

const Backend& mlx_backend() noexcept {
  static const MlxBackend backend;
  return backend;
}

}  // namespace pajamas::runtime
