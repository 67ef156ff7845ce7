#include "runtime/mlx/backend.h"

#include <fmt/format.h>

#include <functional>
#include <mutex>
#include <optional>
#include <string>
#include <utility>
#include <vector>

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

struct MlxPlugin {
  std::filesystem::path found;
  std::unique_ptr<SharedLibrary> library;
  MakeMlxDevice make = nullptr;
  DescribeMlx describe = nullptr;
  std::string why;  // there is none

  explicit MlxPlugin(std::span<const std::filesystem::path> folders) {
    for (const auto& folder : folders) {
      const auto file = folder / kMlxPluginName;
      std::error_code ignored;
      if (!std::filesystem::exists(file, ignored)) continue;
      found = file.lexically_normal();
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

bool mlx_runs(const Encoding& encoding) noexcept {
  return encoding.is_affine() || encoding.is_small_float() ||
         (encoding.is_plain() && (encoding.dtype == DType::kF32 || encoding.dtype == DType::kF16 ||
                                  encoding.dtype == DType::kBF16));
}

class MlxBackend final : public Backend {
 public:
  // Where the plug-in may be; asked once.
  explicit MlxBackend(std::function<std::vector<std::filesystem::path>()> folders)
      : folders_(std::move(folders)) {}

  std::string_view name() const noexcept override { return "mlx"; }
  bool available() const noexcept override {
    try {
      return plug().make != nullptr;
    } catch (...) {
      return false;
    }
  }
  std::string description() const override {
    return available() ? plug().describe()
                       : fmt::format("{}: tools/setup_mlx.sh and a build get it", plug().why);
  }
  bool built_in() const noexcept override { return false; }
  std::string plugin() const override { return plug().found.string(); }

  MemoryNeeds needs(const model::ModelConfig& config, const EngineOptions& options) const override {
    return {KvCache::bytes_for(config, options.context, options.kv_type),
            KvCache::bytes_per_position(config, options.kv_type), NativeEngine::work_bytes(config)};
  }

  void require_options(const EngineOptions& options) const override {
    const auto refuse = [](const char* flag, const char* what) {
      throw Error(ErrorCode::kUnsupported,
                  fmt::format("the backend \"mlx\" has no {} to choose", what),
                  fmt::format("leave {} out, or use --backend cpu", flag));
    };
    if (options.threads_asked) refuse("--threads", "threads");
    if (options.kernels_asked) refuse("--kernels", "kernels");
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
    require_available(*this);
    require_options(options);
    auto table = std::make_shared<const model::RopeTable>(model::rope_table(store->config()));
    MlxArguments arguments{
        std::move(store), options.activations, options.kv_type,
        [table](std::uint32_t position, std::span<float> cos, std::span<float> sin) {
          kernels::rope_angles(position, table->frequencies, table->factor, cos, sin);
        }};
    return std::make_unique<NativeEngine>(
        std::unique_ptr<Device>(plug().make(std::move(arguments))), options.kv_type);
  }

 private:
  const MlxPlugin& plug() const {
    std::call_once(looked_, [&] { plugin_.emplace(folders_()); });
    return *plugin_;
  }

  std::function<std::vector<std::filesystem::path>()> folders_;
  mutable std::once_flag looked_;
  mutable std::optional<MlxPlugin> plugin_;
};

}  // namespace

const Backend& mlx_backend() noexcept {
  static const MlxBackend backend([] {
    const std::filesystem::path here = program_folder();
    return std::vector<std::filesystem::path>{here, here / "..",
                                              here / ".." / "lib" / "llama-pajamas"};
  });
  return backend;
}

std::unique_ptr<Backend> mlx_backend_of(std::span<const std::filesystem::path> folders) {
  return std::make_unique<MlxBackend>(
      [all = std::vector(folders.begin(), folders.end())] { return all; });
}

}  // namespace pajamas::runtime
