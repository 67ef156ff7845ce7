// Any configuration and any list of tensors as a model directory, MLX's above all: either an Error,
// or a checkpoint whose rows all lie in its file.
#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <filesystem>
#include <sstream>
#include <string>
#include <string_view>
#include <vector>

#include "base/error.h"
#include "io/safetensors.h"
#include "model/checkpoint.h"

namespace {

using namespace pajamas;
namespace fs = std::filesystem;

// Data are zeros that take no memory.
constexpr std::uint64_t kMaxData = std::uint64_t{1} << 32;
constexpr std::uint64_t kMaxRowBytes = 1 << 16;
constexpr std::uint64_t kMaxLayers = 8;

// A folder whose two files are in memory, the same for all inputs of this process.
class MemoryFolder {
 public:
  MemoryFolder()
      : path_(fs::temp_directory_path() / ("fuzz-mlx-" + std::to_string(::getpid()))),
        config_(link("config.json")),
        shard_(link("model.safetensors")) {}
  ~MemoryFolder() { fs::remove_all(path_); }

  const fs::path& path() const { return path_; }
  void write(std::string_view config, std::string_view header, std::uint64_t shard_bytes) {
    fill(config_, config, config.size());
    fill(shard_, header, shard_bytes);
  }

 private:
  int link(const char* name) const {
    const int fd = ::memfd_create(name, MFD_CLOEXEC);
    if (fd < 0) std::abort();
    fs::create_directories(path_);
    fs::remove(path_ / name);
    fs::create_symlink("/proc/self/fd/" + std::to_string(fd), path_ / name);
    return fd;
  }
  static void fill(int fd, std::string_view bytes, std::uint64_t size) {
    if (::ftruncate(fd, 0) != 0 || ::ftruncate(fd, static_cast<off_t>(size)) != 0 ||
        ::pwrite(fd, bytes.data(), bytes.size(), 0) != static_cast<ssize_t>(bytes.size())) {
      std::abort();
    }
  }

  fs::path path_;
  int config_;
  int shard_;
};

// A line each: name, type, extents. Stops at the first that is nothing such.
std::vector<io::SafetensorsSpec> parse_tensors(std::string_view text) {
  std::vector<io::SafetensorsSpec> specs;
  std::istringstream lines{std::string(text)};
  for (std::string line; std::getline(lines, line);) {
    std::istringstream fields(line);
    std::string name, type;
    fields >> name >> type;
    const auto dtype = dtype_by_safetensors_name(type);
    if (!dtype) break;
    std::vector<std::uint64_t> dims;
    for (std::uint64_t dim; fields >> dim;) dims.push_back(dim);
    specs.push_back({name, *dtype, Shape(dims)});
  }
  return specs;
}

std::uint64_t data_bytes(const std::vector<io::SafetensorsSpec>& specs) {
  std::uint64_t bytes = 0;
  for (const io::SafetensorsSpec& spec : specs) {
    if (spec.shape.elements() > kMaxData / 8) return kMaxData + 1;
    bytes += spec.shape.elements() * info(spec.dtype).block_bytes;
    if (bytes > kMaxData) break;
  }
  return bytes;
}

void check(const model::Checkpoint& checkpoint) {
  std::vector<std::byte> buffer;
  for (const model::StoredTensor& tensor : checkpoint.tensors()) {
    const std::uint64_t rows = tensor.shape.rows(), cols = tensor.shape.cols();
    if (!tensor.encoding.fits(cols) || rows % tensor.parts.size() != 0) std::abort();
    for (const model::Part& part : tensor.parts) {
      for (std::size_t p = 0; p < tensor.encoding.planes(); ++p) {
        const std::uint64_t bytes = tensor.encoding.plane_row_bytes(p, cols);
        if (part[p].col_step != 0 || part[p].row_step != bytes) continue;
        const std::uint64_t sharing = tensor.encoding.rows_sharing(p);
        if ((tensor.rows_per_part() + sharing - 1) / sharing * bytes != part[p].bytes) std::abort();
      }
    }
    if (tensor.encoding.row_bytes(cols) > kMaxRowBytes) continue;
    for (const std::uint64_t row : {std::uint64_t{0}, rows / 2, rows - 1}) {
      Planes planes;
      buffer.resize(tensor.encoding.row_bytes(cols));
      std::span<std::byte> rest(buffer);
      for (std::size_t p = 0; p < tensor.encoding.planes(); ++p) {
        const std::uint64_t bytes = tensor.encoding.plane_row_bytes(p, cols);
        planes.plane[p] = rest.first(bytes);
        rest = rest.subspan(bytes);
      }
      // What was checked when it was opened can be read: an Error here is a bug.
      try {
        checkpoint.read_rows(tensor, row, 1, planes);
      } catch (const Error&) {
        std::abort();
      }
    }
  }
}

}  // namespace

// A zero byte divides config.json from the tensors. "mlx" in the first line of these says so in the
// shard's metadata.
extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  static MemoryFolder folder;
  const std::string_view input(reinterpret_cast<const char*>(data), size);
  const auto zero = input.find('\0');
  if (zero == std::string_view::npos) return 0;
  const std::string_view config = input.substr(0, zero);
  std::string_view tensors = input.substr(zero + 1);
  const bool mlx = tensors.starts_with("mlx\n");
  if (mlx) tensors.remove_prefix(4);
  try {
    if (model::parse_config_json(config).layers > kMaxLayers) return 0;  // possible, but slow
    const auto specs = parse_tensors(tensors);
    if (data_bytes(specs) > kMaxData) return 0;
    std::map<std::string, std::string> metadata;
    if (mlx) metadata["format"] = "mlx";
    const io::SafetensorsLayout layout = io::lay_out_safetensors(specs, metadata);
    folder.write(config, layout.header, layout.file_bytes);
    check(model::Checkpoint::open(folder.path()));
  } catch (const Error& error) {
    if (error.code() == ErrorCode::kInternal) throw;
  }
  return 0;
}
