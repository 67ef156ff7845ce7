// What the program and its plug-in for MLX know of each other. Both are built from one source: the
// number in the names of the entries changes when this does, so that a plug-in of another build is
// not taken.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <span>

#include "runtime/engine_options.h"
#include "runtime/native/device.h"
#include "weights/store.h"

namespace pajamas::runtime {

struct MlxArguments {
  std::shared_ptr<const weights::WeightStore> store;
  Activations activations = Activations::kFloat;
  KvType kv_type = KvType::kF32;
  // Cosine and sine of a position's angles: [head_dim / 2] both.
  std::function<void(std::uint32_t, std::span<float>, std::span<float>)> angles;
};

// A new device, which the caller owns. Throws what its operations do.
using MakeMlxDevice = Device* (*)(MlxArguments&& arguments);
// "mlx 0.32.4 on gpu", for as long as the process lives.
using DescribeMlx = const char* (*)();

#define PAJAMAS_MLX_DEVICE pajamas_mlx_device_3
#define PAJAMAS_MLX_DESCRIBE pajamas_mlx_describe_3
inline constexpr const char* kMlxDeviceSymbol = "pajamas_mlx_device_3";
inline constexpr const char* kMlxDescribeSymbol = "pajamas_mlx_describe_3";

#ifdef __APPLE__
inline constexpr const char* kMlxPluginName = "libpajamas_mlx.dylib";
#else
inline constexpr const char* kMlxPluginName = "libpajamas_mlx.so";
#endif

}  // namespace pajamas::runtime
